"""A system that can be installed says of what suite its base must be, and what mirror machines get in place of its."""

from __future__ import annotations

from alembic import op

revision = "0142"
down_revision = "0141"

COLUMNS = """
ALTER TABLE autoinstalls ADD COLUMN suite text NOT NULL DEFAULT '' CONSTRAINT autoinstall_suite
        CHECK (suite ~ '^([a-z0-9][a-z0-9.+-]{0,62})?$'),
    ADD COLUMN mirror text NOT NULL DEFAULT '' CONSTRAINT autoinstall_mirror
        CHECK (length(mirror) <= 255
            AND mirror ~ '^(https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?)?$');
COMMENT ON COLUMN autoinstalls.suite IS 'what its base must be of, as mirrors call it; empty: whichever it is of';
COMMENT ON COLUMN autoinstalls.mirror IS 'what machines have in place of the mirror that its base was made of; empty: that';
"""


def upgrade() -> None:
    """None says either yet."""
    op.execute(COLUMNS.replace(":", r"\:"))


def downgrade() -> None:
    """As their bases are."""
    op.execute("ALTER TABLE autoinstalls DROP COLUMN suite, DROP COLUMN mirror")
