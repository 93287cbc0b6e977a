"""Each host's own hypervisor, so that a site can have hosts of both kinds."""

from __future__ import annotations

from alembic import op

revision = "0062"
down_revision = "0061"

COLUMN = """
ALTER TABLE hosts ADD hypervisor text
    CONSTRAINT host_hypervisor CHECK (hypervisor IN ('xen', 'qemu', 'fake'));
COMMENT ON COLUMN hosts.hypervisor IS 'what it should run: one that runs another boots nothing; null: not said';
GRANT UPDATE (hypervisor) ON hosts TO invirt_remote;
"""


def upgrade() -> None:
    """That of hosts which are there already is the one of invirt.yaml, see site.sql."""
    op.execute(COLUMN)


def downgrade() -> None:
    """Back to one kind, that of invirt.yaml."""
    op.execute("REVOKE UPDATE (hypervisor) ON hosts FROM invirt_remote")
    op.execute("ALTER TABLE hosts DROP COLUMN hypervisor")
