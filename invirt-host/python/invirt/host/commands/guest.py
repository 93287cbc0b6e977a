"""invirt-guest: what the unit of a QEMU guest runs."""

from __future__ import annotations

import os

from invirt.base import validate
from invirt.base.cli import Argument, Command, Option, Verb
from invirt.base.errors import CommandFailed
from invirt.base.names import DomainName
from invirt.host.domain import domain_name
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.launch import launch
from invirt.host.waiting import wait

ACCELERATORS = ("kvm", "tcg")


def run(name: DomainName, log: str | None, accelerator: str | None) -> None:
    """Become QEMU.  A boot waits for this: what only the others need is imported there."""
    if log:
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(said, 1)
        os.dup2(said, 2)
    launch(name, accelerator or "")


def stop(name: DomainName, seconds: int) -> None:
    """Ask the guest to power off and wait; for the host's own shutdown."""
    from invirt.host.qemu.driver import Qemu
    from invirt.host.records import HOST

    guest = Guest(name)
    if guest.running():
        guest.end_by(HOST)
    Qemu.of_this_host().shutdown(name)
    if not wait(lambda: not guest.running(), seconds):
        raise CommandFailed(f"{name} did not power off within {seconds} seconds")


def clean(name: DomainName) -> None:
    """Take away what the ended guest left; systemd says how QEMU ended (systemd.exec(5))."""
    from invirt.host.qemu.driver import clean_up
    from invirt.host.records import POWEROFF

    if (os.environ.get("EXIT_CODE"), os.environ.get("EXIT_STATUS")) == ("exited", "0"):
        Guest(name).end_by(POWEROFF)
    clean_up(Guest(name))


def _seconds(text: str) -> int:
    return validate.count(text, 1, 86400)


NAME = Argument("name", "the guest's domain", domain_name, "DOMAIN", sample="d_inode")
LAUNCH = (
    Option("log", "write messages there", metavar="FILE"),
    Option("accelerator", "instead of the one of this host", choices=ACCELERATORS),
)
PATIENCE = Option("seconds", "how long to wait", _seconds, "SECONDS", default=60)
VERBS = (
    Verb("run", "become the guest's QEMU", run, (NAME, *LAUNCH), shown=None),
    Verb("stop", "ask the guest to power off, and wait", stop, (NAME, PATIENCE), changes=True),
    Verb("clean", "take away what the ended guest left", clean, (NAME,), changes=True),
)
COMMAND = Command(
    name="invirt-guest",
    section=8,
    summary="run one QEMU guest",
    description="Run by invirt-guest@DOMAIN.service; administrators use xm.",
    example="invirt-guest run d_inode",
    verbs=VERBS,
)
