"""invirt-audit: whether the audit is as it was written, and what stands in it, for other programs."""

from __future__ import annotations

import re
from typing import Any

from invirt.base import tables
from invirt.base.cli import SITE, Command, Found, Option, Verb
from invirt.base.errors import BadInput
from invirt.base.validate import count
from invirt.database import connection

VERIFY = "SELECT at, wrong FROM verify_audit()"
LAST = "SELECT position, encode(hash, 'hex') AS hash FROM audit_seals ORDER BY position DESC LIMIT 1"
KNOWN = "SELECT FROM audit_seals WHERE position = %s AND hash = decode(%s, 'hex')"
EXPORT = """
SELECT s.position, encode(s.hash, 'hex') AS hash, a.* FROM audit_seals s JOIN audit a USING (audit_id)
WHERE s.position > %s ORDER BY s.position LIMIT %s
"""
MOST = 10_000  # lines of one export
SHOWN = 20  # what is wrong


def _seal(text: str) -> tuple[int, str]:
    """POSITION:HASH; raises BadInput."""
    found = re.fullmatch(r"([1-9][0-9]{0,17}):([0-9a-f]{64})", text)
    if not found:
        raise BadInput(f"{text!a} is no seal", hint="One is POSITION:HASH, as verify and the journal say it.")
    return int(found[1]), found[2]


def _verify(seal: tuple[tuple[int, str], ...]) -> Found:
    """Whether each row is as it was sealed, and each seal that is known from elsewhere is there."""
    with connection.transaction() as cursor:
        cursor.execute(VERIFY)
        wrong = [f"{row.at or 'unsealed'}: {row.wrong}" for row in cursor.fetchall()]
        for position, known in seal:
            cursor.execute(KNOWN, (position, known))
            if cursor.fetchone() is None:
                wrong.append(f"{position}: the seal that was known is not there")
        cursor.execute(LAST)
        last = cursor.fetchone()
    found = {"wrong": wrong, "last": f"{last.position}:{last.hash}" if last else None}
    return Found(found, code=1 if wrong else 0, shown=_verdict)


def _verdict(found: dict[str, Any]) -> str:
    lines = found["wrong"][:SHOWN] or ["all is as it was sealed"]
    return "".join(f"{line}\n" for line in [*lines, f"last seal {found['last'] or 'none'}"])


def _export(after: int | None) -> Found:
    """What was sealed after that position, the oldest first."""
    with connection.transaction() as cursor:
        cursor.execute(EXPORT, (after or 0, MOST))
        rows = [row._asdict() | {"at": row.at.isoformat()} for row in cursor.fetchall()]
    return Found(rows, shown=lambda found: "".join(tables.one_line_json(row) for row in found))


def _position(text: str) -> int:
    return count(text, 0, 2**62)


COMMAND = Command(
    name="invirt-audit",
    section=8,
    summary="verify and export what was done to machines, by whom",
    description=(
        "Each row of the audit is sealed after it was committed, by a hash of itself and of the\n"
        "seal before; invirt-database-watch does it. A row that was changed or taken out verify finds,\n"
        "an end that was cut off by a seal that is known from elsewhere: the journal has one each hour.\n"
        "Exit code 1: something is wrong."
    ),
    files=SITE,
    example="invirt-audit export --after 1200",
    verbs=(
        Verb("verify", "look whether all rows are as they were sealed", _verify,
             (Option("seal", "a seal that must be there, as the journal said it", _seal, "POSITION:HASH",
                     several=True, sample=f"7:{'0' * 64}"),), example=""),
        Verb("export", f"print rows as JSON, one a line; at most {MOST}", _export,
             (Option("after", "the position of the last that is known", _position, "POSITION",
                     sample="1200"),)),
    ),
)  # fmt: skip
