"""A system on a machine's disk: what its page tells of it, and the forms that install and rescue one."""

from __future__ import annotations

from typing import Any

from invirt.base.errors import BadInput
from invirt.web import forms, saying
from invirt.web.answers import Visit
from invirt.web.reading import one, rows

VERB, RESCUE = "control install", "control rescue"
OFFERED = "SELECT * FROM web.autoinstalls ORDER BY name"
SYSTEM = "SELECT * FROM web.systems WHERE machine_id = %(machine)s"
CDS = "SELECT * FROM web.cdroms ORDER BY name"
CD = "SELECT * FROM web.inserted WHERE machine_id = %(machine)s"
RESCUED = "SELECT * FROM web.rescues WHERE machine_id = %(machine)s"


def about(machine: int) -> dict[str, Any]:
    """offered: what can be installed.  system: what there is, or None.  rescued: whether it is.

    cds: those there are.  cd: the one in its drive, or None.
    """
    asked = {"machine": machine}
    return {
        "offered": rows(OFFERED, {}),
        "system": one(SYSTEM, asked),
        "cds": rows(CDS, {}),
        "cd": one(CD, asked),
        "rescued": one(RESCUED, asked) is not None,
    }


def begin(visit: Visit, name: str) -> str:
    """Have one installed; returns root's password, which nobody can tell again."""
    if visit.values.get("typed_name") != name:
        raise BadInput(f"{name} is left as it is", hint="Type its name to say that you mean it.")
    wanted = visit.values.get("autoinstall", "")
    words = forms.form(VERB).said({"user": visit.who, "name": name, "autoinstall": wanted, "yes": "yes"})
    return str(saying.say(*words)["password"])
