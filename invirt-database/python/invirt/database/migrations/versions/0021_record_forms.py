r"""The content of each record in DNS is of its type's form, since PowerDNS gives no zone away that holds another."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"

NUMBER8 = "(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
NUMBER16 = "(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
NAME = rf"({LABEL}\.)*{LABEL}"
HEX = "([0-9a-f]{2}|[0-9A-F]{2})+"
LETTER = r"[ !#-\[\]-~]"
TEXT = rf'"({LETTER}|\\["\\]){{0,255}}"'
FORMS = {
    "A": rf"{NUMBER8}(\.{NUMBER8}){{3}}",
    "AAAA": "[0-9a-f:.]+",
    "CAA": rf'{NUMBER8} [a-z0-9]{{1,15}} "{LETTER}*"',
    "CNAME": NAME,
    "DS": f"{NUMBER16} {NUMBER8} {NUMBER8} {HEX}",
    "MX": f"{NUMBER16} {NAME}",
    "NS": NAME,
    "PTR": NAME,
    "SRV": f"{NUMBER16} {NUMBER16} {NUMBER16} {NAME}",
    "SSHFP": f"{NUMBER8} {NUMBER8} {HEX}",
    "TLSA": f"{NUMBER8} {NUMBER8} {NUMBER8} {HEX}",
    "TXT": f"{TEXT}( {TEXT})*",
}


def upgrade() -> None:
    """Refuse others from now on; those that are there already stay."""
    forms = "\n".join(f"WHEN '{type}' THEN content ~ '^({form})$'" for type, form in FORMS.items())
    op.execute(
        f"ALTER TABLE dns.extra_records ADD CONSTRAINT record_form CHECK (CASE type {forms} END"
        " AND CASE WHEN type = 'AAAA' THEN family(content::inet) = 6 ELSE true END) NOT VALID".replace(
            ":", r"\:"
        )
    )


def downgrade() -> None:
    """Take what may be put there."""
    op.execute("ALTER TABLE dns.extra_records DROP CONSTRAINT record_form")
