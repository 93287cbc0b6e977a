"""A NIC's IPv6 address and its further names, which only administrators give."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0003"

IPV6 = """
ALTER TABLE nics ADD COLUMN ip6 inet
    CONSTRAINT nics_ip6_key UNIQUE
    CONSTRAINT nic_ip6 CHECK (family(ip6) = 6 AND masklen(ip6) = 128
        AND (ip6 <<= '2000::/3' OR ip6 <<= 'fc00::/7'));
COMMENT ON COLUMN nics.hostname IS 'its name in DNS; null: the machine''s';
CREATE TABLE hostnames (
    hostname full_name PRIMARY KEY,
    nic_id integer NOT NULL REFERENCES nics ON DELETE CASCADE
);
COMMENT ON TABLE hostnames IS 'further names of NICs; they follow its addresses, and go with it';
CREATE INDEX hostnames_nic_id ON hostnames (nic_id);
"""


def upgrade() -> None:
    """Add column and table."""
    op.execute(IPV6.replace(":", r"\:"))


def downgrade() -> None:
    """Remove them, with what they hold."""
    op.execute("DROP TABLE hostnames")
    op.execute("ALTER TABLE nics DROP COLUMN ip6")
    op.execute("COMMENT ON COLUMN nics.hostname IS NULL")
