"""What the web server may see of systems that are, or can be, installed: no key, no password."""

from __future__ import annotations

from alembic import op

revision = "0112"
down_revision = "0101"


def upgrade() -> None:
    """Two views."""
    op.execute(
        "CREATE VIEW web.autoinstalls AS SELECT name::text AS name, description::text AS description, memory, disk"
        " FROM autoinstalls"
    )
    op.execute(
        "CREATE VIEW web.systems AS SELECT machine_id, coalesce(a.name, m.system)::text AS system, installed_at,"
        " i.machine_id IS NOT NULL AS coming FROM machines m LEFT JOIN installs i USING (machine_id)"
        " LEFT JOIN autoinstalls a USING (autoinstall_id) WHERE coalesce(a.name, m.system) IS NOT NULL"
    )
    op.execute("GRANT SELECT ON web.autoinstalls, web.systems TO invirt_web")


def downgrade() -> None:
    """Take them away."""
    op.execute("DROP VIEW web.systems, web.autoinstalls")
