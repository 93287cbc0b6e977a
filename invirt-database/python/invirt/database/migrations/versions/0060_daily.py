"""What administrators of the site do every day by the remote server: quotas, and which hosts boot machines."""

from __future__ import annotations

from alembic import op

revision = "0060"
down_revision = "0059"

MAY = {"hosts": "memory, enabled", "owners": "memory, disk, machines"}


def upgrade() -> None:
    """It tells of no host, of no type and of no administrator."""
    for table, columns in MAY.items():
        op.execute(f"GRANT UPDATE ({columns}) ON {table} TO invirt_remote")
    op.execute("REVOKE EXECUTE ON FUNCTION owners_word() FROM PUBLIC")


def downgrade() -> None:
    """Only from a shell on the database server again."""
    for table, columns in MAY.items():
        op.execute(f"REVOKE UPDATE ({columns}) ON {table} FROM invirt_remote")
