"""The page of a new machine, and what is left of one's quota for it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from invirt import config
from invirt.base.errors import BadInput, InvirtError
from invirt.web import forms, saying
from invirt.web.answers import Answer, Page, Visit, status
from invirt.web.reading import rows

# An array is asked for first; with IN, what all owners use is counted.
QUOTAS = """
SELECT q.* FROM web.quotas q WHERE owner_id = ANY (ARRAY(
    SELECT owner_id FROM owner_access WHERE principal = %(who)s AND role = 'owner')) ORDER BY name
"""
SIZES = {"Small": 1, "Medium": 2, "Large": 4}  # times the site's default
MORE = ("cpus", "type", "owner", "pool", "description")


def quotas(who: str) -> list[Mapping[str, Any]]:
    """Those of one's owners; before the first machine, what one will have."""
    found = [row._asdict() for row in rows(QUOTAS, {"who": who})]
    if found:
        return found
    name, _, realm = who.rpartition("@")
    quota = config.quota
    allowed: dict[str, int | None] = {"machines": quota.machines, "memory": quota.memory, "disk": quota.disk}
    allowed |= {name: getattr(quota, name) or None for name in ("running", "cpus", "addresses")}
    used = {"trash": 0, **{f"used_{name}": 0 for name in allowed}}
    return [{"name": name, **allowed, **used}] if realm == config.site.realm else []


def sizes() -> dict[str, tuple[int, int]]:
    """The plain choices: MiB of memory and GiB of disk of each."""
    limits = config.machines
    return {
        name: (min(limits.memory * times, limits.max_memory), min(limits.disk * times, limits.max_disk))
        for name, times in SIZES.items()
    }


def new(visit: Visit, error: InvirtError | None = None) -> Answer:
    """The form of a new machine; again, with what was typed, where it was refused."""
    fields = [field for field in forms.form("create").asked("name") if field.name in MORE]
    typed = {"size": "Small", "again": secrets.token_urlsafe(12), **visit.values}
    values = {
        "quotas": quotas(visit.who),
        "sizes": sizes(),
        "fields": fields,
        "typed": typed,
        "error": error,
    }
    return Page("new", values, status(error) if error else 200)


def create(visit: Visit) -> Answer:
    """Make it.  The same form sent twice makes one."""
    try:
        if visit.values.get("size") not in sizes():
            raise BadInput("choose a size")
        memory, disk = sizes()[visit.values["size"]]
        wanted = {"memory": f"{memory}M", "disk": f"{disk}G"}
        more = {
            name: visit.values[name] for name in ("name", "memory", "disk", *MORE) if visit.values.get(name)
        }
        values = {**wanted, **more, "user": visit.who, "key": visit.values.get("again", "")}
        found = saying.say(*forms.form("create").said(values))
    except InvirtError as error:
        return new(visit, error)
    return saying.after(found, f"/machines/{more['name']}")
