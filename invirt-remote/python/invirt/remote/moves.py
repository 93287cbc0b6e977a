"""`admin machine migrate`: a guest goes to another host, as administrators say."""

from __future__ import annotations

from invirt.base import validate
from invirt.base.cli import Argument, Flag, Option, Verb, Who
from invirt.base.errors import BadInput
from invirt.base.names import MachineName
from invirt.remote.actor import Actor
from invirt.remote.submission import submit
from invirt.remote.verbs import waitable


def migrate(
    actor: Actor, name: MachineName, host: str | None, within: int | None = None, off: bool = False
) -> str:
    """Move the machine to that host, or to the one with the least memory in use; off: while it is off."""
    if off and within:
        raise BadInput("--within is for a machine that moves while it runs", hint="Leave it out with --off.")
    wanted = {"host": host, "within": within}
    arguments = {key: value for key, value in wanted.items() if value}
    submit("cold-migrate" if off else "migrate", actor, name, arguments)
    return f"{name} has moved"


def _seconds(text: str) -> int:
    return validate.count(text, 1, 3600)


NAME = Argument("name", "the machine", validate.machine_name, "NAME", sample="inode")
HOST = Argument(
    "host", "where to; by default the host with the least memory in use", validate.host_name, "HOST",
    required=False, sample="host2",
)  # fmt: skip
WITHIN = Option("within", "how long it may take; then it stays where it is", _seconds, "SECONDS", sample="60")
OFF = Flag("off", "shut it down, and boot it there; disks that HOST doesn't see are copied")
MIGRATE = waitable(
    Verb(
        "migrate", "move a machine to another host while it runs", migrate, (NAME, HOST, WITHIN, OFF),
        who=Who.SITE, changes=True,
    )
)  # fmt: skip
