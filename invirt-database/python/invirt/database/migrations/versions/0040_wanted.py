"""Which machines are wanted on: their owners' word, beside where they are."""

from __future__ import annotations

from alembic import op

revision = "0040"
down_revision = "0031"

WANTED = """
ALTER TABLE machines
    ADD COLUMN wanted_on boolean NOT NULL DEFAULT false,
    ADD COLUMN autostart boolean NOT NULL DEFAULT true,
    ADD COLUMN why_off one_line NOT NULL DEFAULT '';
UPDATE machines SET wanted_on = true WHERE host_id IS NOT NULL;
COMMENT ON COLUMN machines.wanted_on IS
    'switched on, and since then off neither by somebody nor by the guest itself';
COMMENT ON COLUMN machines.autostart IS 'boot it again when it is wanted on, but off';
COMMENT ON COLUMN machines.why_off IS 'for its owner: why it is not booted again';
CREATE INDEX machines_wanted_on ON machines (machine_id) WHERE wanted_on;
"""


def upgrade() -> None:
    """Add the columns; what runs now is wanted on."""
    op.execute(WANTED)


def downgrade() -> None:
    """Remove them."""
    op.execute("ALTER TABLE machines DROP COLUMN wanted_on, DROP COLUMN autostart, DROP COLUMN why_off")
