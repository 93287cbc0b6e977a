"""The page of a user's ssh keys, which do for a ticket at consoles."""

from __future__ import annotations

from invirt.base import validate
from invirt.base.errors import InvirtError, NotFound
from invirt.web import forms, saying
from invirt.web.answers import Answer, Go, Page, Visit, status
from invirt.web.reading import rows

KEYS = "SELECT key FROM web.keys WHERE principal = %(who)s ORDER BY key"


def show(visit: Visit, error: InvirtError | None = None) -> Answer:
    """Those there are, by their fingerprints; error: what was wrong with the one that was typed."""
    keys = [row.key for row in rows(KEYS, {"who": visit.who})]
    known = {validate.fingerprint(key): key.split()[0] for key in keys}
    typed = visit.values.get("key", "") if error else ""
    return Page("keys", {"keys": known, "error": error, "typed": typed}, status(error) if error else 200)


def change(visit: Visit, verb: str) -> Answer:
    """Add or remove one."""
    try:
        if verb not in ("add", "remove"):
            raise NotFound(f"there is no {verb[:20]!a}")
        found = saying.say(*forms.form(f"key {verb}").said({**visit.values, "user": visit.who}))
    except InvirtError as error:
        return show(visit, error)
    return Go("/keys", str(found.get("done", "")) if isinstance(found, dict) else "")
