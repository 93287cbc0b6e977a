"""Pools of disks may be thin: LVM's, GROUP/POOL."""

from __future__ import annotations

from alembic import op

revision = "0141"
down_revision = "0140"

GROUP = "[A-Za-z0-9_][A-Za-z0-9_.+-]{0,126}"
FOLDER = r"place ~ '^(/\.?[A-Za-z0-9_+-][A-Za-z0-9._+-]*)+$' AND length(place) <= 255"
BEFORE = f"WHEN 'lvm' THEN place ~ '^{GROUP}$'"
THIN = f"WHEN 'thin' THEN place ~ '^{GROUP}/{GROUP}$'"


def _constrain(drivers: str, places: str) -> None:
    op.execute("ALTER TABLE pools DROP CONSTRAINT pool_driver, DROP CONSTRAINT pool_place")
    op.execute(f"ALTER TABLE pools ADD CONSTRAINT pool_driver CHECK (driver IN ({drivers}))")
    op.execute(f"ALTER TABLE pools ADD CONSTRAINT pool_place CHECK (CASE driver {places} ELSE {FOLDER} END)")


def upgrade() -> None:
    """A host of the version before refuses such a pool, and sees its others."""
    _constrain("'lvm', 'thin', 'file', 'fake'", f"{BEFORE} {THIN}")
    op.execute("COMMENT ON COLUMN pools.place IS 'a volume group, GROUP/POOL of thin volumes, or a folder'")


def downgrade() -> None:
    """Fails while a thin pool is there: its disks would lie nowhere."""
    _constrain("'lvm', 'file', 'fake'", BEFORE)
    op.execute("COMMENT ON COLUMN pools.place IS 'a volume group, or a folder'")
