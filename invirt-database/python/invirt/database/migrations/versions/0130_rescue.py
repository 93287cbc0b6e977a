"""A machine that was booted to be rescued is that for as long as its memory is reserved, and no longer."""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0130"
down_revision = "0122"

RESCUE = """
ALTER TABLE reservations ADD COLUMN rescue boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN reservations.rescue IS 'it boots the rescue system there, not its own';
CREATE VIEW web.rescues AS SELECT DISTINCT machine_id FROM reservations WHERE rescue;
GRANT SELECT ON web.rescues TO invirt_web;
"""
NEEDS = """
ALTER TABLE types DROP CONSTRAINT type_needs, ADD CONSTRAINT type_needs
    CHECK (needs <@ ARRAY{words} AND array_position(needs, NULL) IS NULL);
"""
KNOWN = ["move", "grow", "screen", "cdrom", "cap", "snapshot", "xen", "qemu", "fake"]


def _word(kinds: str) -> str:
    """The trigger by which operations that are done say that the machine's owner wants it on."""
    word: str = import_module("invirt.database.migrations.versions.0111_installs").WORD
    return word.format(on=kinds).replace(":", r"\:")


def upgrade() -> None:
    """Who reboots a machine wants it on, also where that ends its rescue."""
    op.execute(RESCUE)
    op.execute(NEEDS.format(words=[*KNOWN, "install", "rescue"]))
    op.execute(_word("'boot', 'install', 'reboot'"))


def downgrade() -> None:
    """What runs the rescue system does so until it is switched off."""
    op.execute(_word("'boot', 'install'"))
    op.execute("UPDATE types SET needs = array_remove(array_remove(needs, 'install'), 'rescue')")
    op.execute(NEEDS.format(words=KNOWN))
    op.execute("DROP VIEW web.rescues")
    op.execute("ALTER TABLE reservations DROP COLUMN rescue")
