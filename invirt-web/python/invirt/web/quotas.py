"""The page of quotas: what one's owners use and may use, and asking for more."""

from __future__ import annotations

from typing import Any

from invirt.base.errors import InvirtError
from invirt.web import forms, making, saying
from invirt.web.answers import Answer, Go, Page, Visit, status
from invirt.web.reading import rows

# What is counted, as people read it, and its unit.
RESOURCES = {
    "machines": ("Machines", ""),
    "running": ("Running machines", ""),
    "memory": ("Memory", "MiB"),
    "disk": ("Disk", "GiB"),
    "cpus": ("CPUs", ""),
    "addresses": ("Addresses", ""),
}
ASKED = """
SELECT * FROM web.quota_requests WHERE owner_id IN
    (SELECT owner_id FROM owner_access WHERE principal = %(who)s AND role = 'owner')
ORDER BY request_id DESC LIMIT 50
"""


def amount(resource: str, number: int | None) -> str:
    """So much of it, as people read it; None: there is no bound."""
    if number is None:
        return "no bound"
    unit = RESOURCES[resource][1]
    if unit == "MiB" and number % 1024 == 0:
        number, unit = number // 1024, "GiB"
    return f"{number} {unit}".rstrip()


def show(visit: Visit, error: InvirtError | None = None) -> Answer:
    """All of one's owners; error: what was wrong with what was asked for."""
    owners = [(quota["name"], _lines(quota)) for quota in making.quotas(visit.who)]
    form = forms.offered().get("quota ask")
    values = {
        "owners": owners,
        "asked": rows(ASKED, {"who": visit.who}),
        "amount": amount,
        "resources": RESOURCES,
        "fields": form.asked() if form else (),
        "typed": visit.values if error else {},
        "error": error,
    }
    return Page("quotas", values, status(error) if error else 200)


def _lines(quota: Any) -> list[tuple[str, str, str, str]]:
    """What is counted, what is used, what may be, and a note."""
    found = []
    for resource, (label, _) in RESOURCES.items():
        kept = quota["trash"] if resource == "disk" else 0
        used = amount(resource, quota[f"used_{resource}"] + kept)
        note = f"{amount('disk', kept)} of it in the trash" if kept else ""
        found.append((label, used, amount(resource, quota[resource]), note))
    return found


def ask(visit: Visit) -> Answer:
    """Ask for more."""
    try:
        found = saying.say(*forms.form("quota ask").said({**visit.values, "user": visit.who}))
    except InvirtError as error:
        return show(visit, error)
    return Go("/quotas", saying.told(found))
