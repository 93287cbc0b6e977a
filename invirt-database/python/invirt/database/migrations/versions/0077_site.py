"""Schema site: what the database was told of the site, for servers that look whether they were told the same."""

from __future__ import annotations

from alembic import op

revision = "0077"
down_revision = "0076"

SITE = """
CREATE SCHEMA site;
CREATE TABLE site.sections (
    section text PRIMARY KEY,
    digest text NOT NULL
);
COMMENT ON TABLE site.sections IS 'digests of the sections of invirt.yaml that the database server goes by';
CREATE VIEW site.schema AS SELECT version_num::text AS version FROM alembic_version;
GRANT USAGE ON SCHEMA site TO {servers};
GRANT SELECT ON site.sections, site.schema TO {servers};
"""
KINDS = ("remote", "host", "dns", "dhcp", "console", "web")


def upgrade() -> None:
    """All servers may read it; invirt-database-setup fills it."""
    servers = ", ".join(f"invirt_{kind}" for kind in KINDS)
    op.execute(SITE.format(servers=servers).replace(":", r"\:"))


def downgrade() -> None:
    """Nobody looks any more."""
    op.execute("DROP SCHEMA site CASCADE")
