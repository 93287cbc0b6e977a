"""What version the database server's packages are of, for servers that look whether they are in step."""

from __future__ import annotations

from alembic import op

revision = "0098"
down_revision = "0085"

PACKAGES = """
CREATE TABLE site.packages (
    version text NOT NULL CONSTRAINT packages_version CHECK (version ~ '^[0-9][A-Za-z0-9.+~:-]{0,99}$')
);
COMMENT ON TABLE site.packages IS 'the version of the packages on the database server; one row';
GRANT SELECT ON site.packages TO {servers};
"""
KINDS = ("remote", "host", "dns", "dhcp", "console", "web")


def upgrade() -> None:
    """All servers may read it; invirt-database-setup fills it."""
    servers = ", ".join(f"invirt_{kind}" for kind in KINDS)
    op.execute(PACKAGES.replace("{servers}", servers).replace(":", r"\:"))


def downgrade() -> None:
    """Nobody looks any more."""
    op.execute("DROP TABLE site.packages")
