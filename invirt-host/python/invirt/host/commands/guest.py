"""invirt-guest: what the unit of a QEMU guest runs."""

from __future__ import annotations

import argparse
import os

from invirt.base.cli import Command
from invirt.base.errors import CommandFailed
from invirt.host.domain import domain_name
from invirt.host.network import vif
from invirt.host.qemu.driver import HOST, POWEROFF, Qemu, end_by
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.launch import launch
from invirt.host.waiting import wait

ACCELERATORS = ("kvm", "tcg")


def run(arguments: argparse.Namespace) -> None:
    """Become QEMU."""
    if arguments.log:
        log = os.open(arguments.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
    launch(arguments.name, arguments.accelerator or "")


def stop(arguments: argparse.Namespace) -> None:
    """Ask the guest to power off and wait; for the host's own shutdown."""
    guest = Guest(arguments.name)
    if guest.running():
        end_by(guest, HOST)
    Qemu.of_this_host().shutdown(arguments.name)
    if not wait(lambda: not guest.running(), arguments.seconds):
        raise CommandFailed(f"{arguments.name} did not power off within {arguments.seconds} seconds")


def clean(arguments: argparse.Namespace) -> None:
    """Take away what the ended guest left; systemd says how QEMU ended (systemd.exec(5))."""
    if (os.environ.get("EXIT_CODE"), os.environ.get("EXIT_STATUS")) == ("exited", "0"):
        end_by(Guest(arguments.name), POWEROFF)
    for nic in Guest(arguments.name).config().devices("vif"):
        vif.remove(nic["vifname"])


def _arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("run", help="become the guest's QEMU")
    verb.add_argument("--log", metavar="FILE", help="write messages there")
    verb.add_argument("--accelerator", choices=ACCELERATORS, help="instead of the one of this host")
    verb.set_defaults(verb=run)
    verb = verbs.add_parser("stop", help="ask the guest to power off, and wait")
    verb.add_argument("--seconds", type=int, default=60, help="how long to wait")
    verb.set_defaults(verb=stop)
    verbs.add_parser("clean", help="take away what the ended guest left").set_defaults(verb=clean)
    for verb in verbs.choices.values():
        verb.add_argument("name", metavar="DOMAIN", type=domain_name)


COMMAND = Command(
    name="invirt-guest",
    section=8,
    summary="run one QEMU guest",
    description="Run by invirt-guest@DOMAIN.service; administrators use xm.",
    example="invirt-guest run d_inode",
    arguments=_arguments,
    run=lambda arguments: arguments.verb(arguments),
)
