"""remctl REMOTE web …: what the web server asks, in the name of its users."""

from __future__ import annotations

from typing import Any

from invirt.base import tables
from invirt.base.cli import Call, Command, Group, Verb, Who
from invirt.base.cli.describe import Record, described
from invirt.remote import control, verbs
from invirt.remote.actor import Actor
from invirt.remote.commands import admin
from invirt.remote.listing import LISTVMS
from invirt.remote.machines import DISKS, MACHINE

NAME = "invirt-remote-web"


def _verbs(_: Actor) -> list[Record]:
    return described(COMMAND)


VERBS = Verb(
    "verbs", "this table, as JSON: of what forms are made", _verbs, who=Who.WEB, shown=tables.as_json
)
CONTROL = Group("control", "boot, reboot, shut down or destroy a machine", control.VERBS, (verbs.NAME,))
ADMIN = Group("admin", "what the site's administrators do every day", admin.VERBS)


def _do(call: Call) -> Any:
    """As `admin` or as `machine` and `control` do it; see verbs.for_user()."""
    return verbs.for_user(call, NAME, admin.perform if call.words[0] == ADMIN.name else verbs.perform)


COMMAND = Command(
    name=NAME,
    section=8,
    summary="what `machine`, `control` and `admin` do, in the name of a user",
    description=(
        "Run by remctld for the web server alone.  USER is the principal who acts: whether that user may is\n"
        "decided as if it had called itself, and the audit table names both."
    ),
    example="remctl remote.example.org web lvcreate alice inode hdb 10G",
    verbs=verbs.spoken((*DISKS, LISTVMS, VERBS, *MACHINE, CONTROL, ADMIN)),
    do=_do,
    remctl="web",
)
