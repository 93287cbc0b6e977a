"""The page behind the link of a look, which is for whoever has it, and the making and ending of looks."""

from __future__ import annotations

from urllib.parse import urlsplit

from invirt.base.errors import InvirtError, NotFound
from invirt.web import forms, looks, machines, saying
from invirt.web.answers import Answer, Go, Page, Visit
from invirt.web.reading import one

SHOWN = "SELECT m.name FROM web.look(%(hash)s) JOIN web.machines m USING (machine_id)"


def look(visit: Visit, token: str) -> Answer:
    """The page behind a link, whoever asks."""
    found = one(SHOWN, {"hash": looks.digest(token)})
    if found is None:
        raise looks.absent()
    return Page("look", {"name": found.name, "token": token}, script="console")


def change(visit: Visit, name: str, verb: str) -> Answer:
    """Share a machine, and show the link this once, or end what is shared."""
    try:
        if verb not in ("share", "end"):
            raise NotFound(f"there is no {verb[:20]!a}")
        values = {**visit.values, "user": visit.who, "name": name}
        found = saying.say(*forms.form(f"look {verb}").said(values))
    except InvirtError as error:
        return machines.machine(visit, name, "look", error)
    if verb == "end":
        return Go(f"/machines/{name}", saying.told(found))
    return machines.machine(visit, name, link=urlsplit(str(found["link"])).path)
