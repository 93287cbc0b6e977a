"""What machines of a type need of their hosts."""

from __future__ import annotations

from alembic import op

revision = "0061"
down_revision = "0060"

NEEDS = ("move", "grow", "screen", "cdrom", "cap", "snapshot", "xen", "qemu", "fake")
COLUMN = f"""
ALTER TABLE types ADD needs text[] NOT NULL DEFAULT '{{}}'
    CONSTRAINT type_needs CHECK (needs <@ ARRAY{list(NEEDS)} AND array_position(needs, NULL) IS NULL);
COMMENT ON COLUMN types.needs IS 'what a host must be, or be able to, to run its machines';
"""


def upgrade() -> None:
    """Nothing is needed so far."""
    op.execute(COLUMN)


def downgrade() -> None:
    """Placement of that version doesn't ask."""
    op.execute("ALTER TABLE types DROP COLUMN needs")
