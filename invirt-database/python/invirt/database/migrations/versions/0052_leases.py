"""A NIC's address is its lease: who asks for his own again (INIT-REBOOT) gets it, and nobody another's."""

from __future__ import annotations

from alembic import op

revision = "0052"
down_revision = "0051"

# Kea asks for leases by MAC or address, and changes only one that still ends when
# it did: so all end at one time. Its clock goes to the middle of January 2038.
VIEW = """
CREATE OR REPLACE VIEW dhcp.lease4 AS
SELECT {address} AS address, {mac} AS hwaddr, NULL::bytea AS client_id,
    3600::bigint AS valid_lifetime, '2038-01-01 00:00:00+00'::timestamptz AS expire, 1::bigint AS subnet_id,
    false AS fqdn_fwd, false AS fqdn_rev, ''::varchar AS hostname, 0::bigint AS state, NULL::text AS user_context,
    NULL::bytea AS relay_id, NULL::bytea AS remote_id, 0::bigint AS pool_id
FROM nics WHERE {which}
"""


def upgrade() -> None:
    """Show each NIC's address as leased."""
    view = VIEW.format(address="ip - '0.0.0.0'::inet", mac="macaddr_send(mac_addr)", which="ip IS NOT NULL")
    op.execute(view.replace(":", r"\:"))


def downgrade() -> None:
    """Show none."""
    op.execute(VIEW.format(address="NULL::bigint", mac="NULL::bytea", which="false").replace(":", r"\:"))
