"""scripts/lab: the command line."""

from __future__ import annotations

import os
import shlex
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from invirt.base import cli
from invirt.base.cli import Argument, Flag, Found, Option, Verb, rest_of_line
from invirt.base.errors import BadInput
from invirt_lab import cluster, demo, host, lifecycle, packages, pages, roles, xen_host
from invirt_lab.progress import say
from invirt_lab.site import ADMIN, RELEASE, RELEASES, SERVERS, USERS, WEB


def _up(debian: int | None, keep: bool, before: bool, xen: bool) -> None:
    if xen:
        _xen()
    else:
        lifecycle.up(debian or RELEASE, keep, before)


def _xen() -> None:
    """Two Xen hosts, until ^C."""
    host.require_root()
    lifecycle.programs(xen_host.COMMANDS)
    with tempfile.TemporaryDirectory(prefix="xen.") as folder, xen_host.pair(Path(folder)) as hosts:
        for name, one in zip(xen_host.PAIR, hosts, strict=True):
            say(f"root's shell on {name}:\n  {shlex.join(one.command([], terminal=True))}")
        say("They end with ^C.")
        with suppress(KeyboardInterrupt):
            signal.pause()


def _upgrade() -> None:
    packages.publish()
    for names in (*roles.UPGRADES, (WEB,)):
        roles.upgrade(names)


def _demo(debian: int | None, moves: bool, install: bool, lockers: bool) -> None:
    if set(cluster.status().values()) == {"down"}:
        lifecycle.up(debian or RELEASE)
    elif debian not in (None, cluster.release()):
        raise BadInput(f"the lab that is up is of Debian {cluster.release()}", hint="scripts/lab down")
    demo.run(moves, install, lockers)


def _down() -> None:
    host.require_root()
    say("the lab is down" if cluster.down() else "there was no lab")


def _status() -> Found:
    found = [
        {"server": name, "address": SERVERS[name].address, "state": state}
        for name, state in cluster.status().items()
    ]
    return Found(found, code=int({one["state"] for one in found} != {"running"}))


def _states(found: list[dict[str, str]]) -> str:
    return "".join(f"{one['server']:8} {one['address']:12} {one['state']}\n" for one in found)


def _kill(server: str) -> None:
    cluster.kill(server)


def _boot(server: str) -> None:
    cluster.boot(server)
    cluster.wait_booted(server)


def _become(command: list[str]) -> None:
    os.execvp(command[0], command)


def _shell(server: str, command: tuple[str, ...]) -> None:
    _become(cluster.command_on(server, list(command) or ["bash", "-l"]))


def _as(user: str, command: tuple[str, ...]) -> None:
    _become(cluster.command_as(user, list(command) or ["bash", "-l"]))


def _log(server: str, options: tuple[str, ...]) -> None:
    _become(cluster.command_on(server, ["journalctl", "--no-pager", *options]))


DEBIAN = Option("debian", f"the release on its servers (default: {RELEASE})", choices=RELEASES)
BEFORE = Flag("before", "with the packages of the version before, to be upgraded")
MOVES = Flag("moves", "then move a machine under a ping and a console, empty a host, and lose one")
INSTALL = Flag("install", "instead: have Debian installed in a machine, and log in: some minutes")
LOCKERS = Flag("lockers", "instead: show a machine that belongs to a locker of AFS, of a real cell")
XEN = Flag("xen", "instead: two hosts with Xen, emulated, on one network and with one disk, until ^C")
KEEP = Flag("keep", "leave it up even if it doesn't come up whole")
SERVER = Argument("server", ", ".join(SERVERS), choices=tuple(SERVERS), metavar="SERVER")
USER = Argument("user", ", ".join((*USERS, ADMIN)), choices=(*USERS, ADMIN), metavar="USER")


def _rest(name: str, help: str) -> Argument:
    return Argument(name, help, rest_of_line, name.upper(), required=False, several=True)


COMMANDED = _rest("command", "what is run, with its own arguments")
VERBS = (
    Verb("up", "build what is needed and bring all servers up", _up, (KEEP, BEFORE, DEBIAN, XEN), shown=None),
    Verb("upgrade", "upgrade all servers, one after the other, to the packages of this checkout", _upgrade,
         shown=None),
    Verb(
        "demo", "bring the lab up if it isn't, and do the main job: a machine's whole life", _demo,
        (DEBIAN, MOVES, INSTALL, LOCKERS), shown=None,
    ),
    Verb("down", "end the lab, and remove what is left of one that was killed", _down, shown=None),
    Verb("status", "each server's address and state", _status, shown=_states),
    Verb(
        "shell", "run a command on a server as its root; without one, a shell", _shell, (SERVER, COMMANDED),
        shown=None, example="host1 journalctl -f",
    ),
    Verb(
        "as", "run a command on the client with a user's Kerberos ticket", _as, (USER, COMMANDED),
        shown=None, example="alice klist",
    ),
    Verb("pages", "where a browser finds the web server's pages, and who can sign on there", pages.way_in,
         shown=str),
    Verb("kill", "end a server with all that runs on it, as a power cut would", _kill, (SERVER,)),
    Verb("boot", "boot a server that was killed", _boot, (SERVER,)),
    Verb(
        "log", "a server's log; options are journalctl's", _log,
        (SERVER, _rest("options", "such as -n 20")), shown=None, example="remote -n 20",
    ),
)  # fmt: skip
COMMAND = cli.Command(
    name="scripts/lab",
    section=8,
    summary="a whole Invirt cluster of real servers on this machine",
    description="Only one lab at a time. It stays up until it is taken down.",
    example="scripts/lab up; scripts/lab as alice remctl remote.invirt.test machine list",
    verbs=VERBS,
)


if __name__ == "__main__":
    cli.start(COMMAND)
