"""The page of a user's tokens, by which programs do for them at the API."""

from __future__ import annotations

from invirt.base.errors import InvirtError, NotFound
from invirt.web import forms, saying
from invirt.web.answers import Answer, Go, Page, Visit, status
from invirt.web.machines import OWN
from invirt.web.reading import rows

TOKENS = "SELECT * FROM tokens WHERE principal = %(who)s ORDER BY name"
MACHINES = f"SELECT name FROM web.machines WHERE {OWN} ORDER BY name"


def show(visit: Visit, error: InvirtError | None = None, made: str = "") -> Answer:
    """Those there are.  error: what was wrong with what was typed; made: a new one, shown this once."""
    asked = {"who": visit.who}
    values = {
        "tokens": rows(TOKENS, asked),
        "machines": [row.name for row in rows(MACHINES, asked)],
        "made": made,
        "error": error,
        "typed": visit.values if error else {},
    }
    return Page("tokens", values, status(error) if error else 200)


def change(visit: Visit, verb: str) -> Answer:
    """Make or end one."""
    try:
        if verb not in ("add", "remove"):
            raise NotFound(f"there is no {verb[:20]!a}")
        values: dict[str, str | tuple[str, ...]] = {**visit.values, "user": visit.who}
        values["machine"] = tuple(visit.values.get("machine", "").split())
        found = saying.say(*forms.form(f"token {verb}").said(values))
    except InvirtError as error:
        return show(visit, error)
    told = found if isinstance(found, dict) else {}
    return (
        show(visit, made=str(told["token"])) if "token" in told else Go("/tokens", str(told.get("done", "")))
    )
