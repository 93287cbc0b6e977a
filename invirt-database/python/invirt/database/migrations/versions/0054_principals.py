"""Principals with a + and of three parts, as realms have them; owners' names with a +, as they come of them."""

from __future__ import annotations

from alembic import op

revision = "0054"
down_revision = "0053"

PRINCIPAL = (
    "VALUE ~ '^[A-Za-z0-9._{plus}-]+(/[A-Za-z0-9._{plus}-]+){parts}@[A-Z0-9.-]+$' AND length(VALUE) <= 255"
)
OWNER = "name ~ '^[A-Za-z0-9][A-Za-z0-9._/@{plus}-]{{0,254}}$'"


def _accept(plus: str, parts: str, known: str) -> None:
    principal, owner = PRINCIPAL.format(plus=plus, parts=parts), OWNER.format(plus=plus)
    op.execute("ALTER DOMAIN principal DROP CONSTRAINT principal")
    op.execute(f"ALTER DOMAIN principal ADD CONSTRAINT principal CHECK ({principal}) {known}")
    op.execute("ALTER TABLE owners DROP CONSTRAINT owner_name")
    op.execute(f"ALTER TABLE owners ADD CONSTRAINT owner_name CHECK ({owner}) {known}")


def upgrade() -> None:
    """What is there is of the new form, too."""
    _accept("+", "{0,2}", "")


def downgrade() -> None:
    """Rows that came meanwhile stay."""
    _accept("", "?", "NOT VALID")
