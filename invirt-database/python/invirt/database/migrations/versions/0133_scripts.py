"""A system may have a script of the site's own, which its installer runs in what it has installed."""

from __future__ import annotations

from alembic import op

revision = "0133"
down_revision = "0124"

COLUMN = """
ALTER TABLE autoinstalls ADD COLUMN script text NOT NULL DEFAULT '' CONSTRAINT autoinstall_script
    CHECK (length(script) <= 65536 AND (script = '' OR script ~ '^#!/'));
COMMENT ON COLUMN autoinstalls.script IS 'what is run, as root of the new system, at the end of an installation';
"""


def upgrade() -> None:
    """None has one yet."""
    op.execute(COLUMN.replace(":", r"\:"))


def downgrade() -> None:
    """Without them."""
    op.execute("ALTER TABLE autoinstalls DROP COLUMN script")
