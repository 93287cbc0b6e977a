"""The site's administrators: those of invirt.yaml, beside whom invirt-admin has added."""

from __future__ import annotations

from typing import Any

from invirt import config
from invirt.base import log

PROGRAM = "invirt-database-watch"
ENDED = "DELETE FROM administrators WHERE in_yaml AND principal <> ALL (%s::text[]) RETURNING principal"
NAMED = """
INSERT INTO administrators (principal, in_yaml) SELECT unnest(%s::text[]), true
ON CONFLICT (principal) DO NOTHING RETURNING principal
"""


def settle(cursor: Any) -> None:
    """Let in whom invirt.yaml names, and put out whom it names no more."""
    named = list(config.site.administrators)
    for words, query in (("is no administrator any more", ENDED), ("is an administrator from now on", NAMED)):
        cursor.execute(query, (named,))
        for (principal,) in cursor.fetchall():
            log.write(f"{principal} {words}, says invirt.yaml", program=PROGRAM)
