"""web.operations: by which key each was asked for, so that what has ended can be told from what would be waited for."""

from __future__ import annotations

from alembic import op

revision = "0074"
down_revision = "0073"

VIEW = """CREATE VIEW web.operations AS SELECT o.operation_id, o.kind, o.machine_id, o.machine_name, o.principal,
    o.via, o.administrator, o.state, o.error, o.created_at, o.finished_at{} FROM operations o"""
GRANT = "GRANT SELECT ON web.operations TO invirt_web"


def upgrade() -> None:
    """Add the column."""
    op.execute(VIEW.replace("CREATE", "CREATE OR REPLACE").format(", o.request_key"))


def downgrade() -> None:
    """Remove it."""
    op.execute("DROP VIEW web.operations")
    op.execute(VIEW.format(""))
    op.execute(GRANT)
