"""scripts/lab: the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from invirt.base import cli
from invirt.base.errors import BadInput
from invirt_lab import cluster, demo, host, lifecycle, packages, roles
from invirt_lab.progress import say
from invirt_lab.site import ADMIN, RELEASE, RELEASES, SERVERS, USERS


def _up(arguments: argparse.Namespace) -> None:
    lifecycle.up(arguments.debian or RELEASE, arguments.keep, arguments.before)


def _upgrade(arguments: argparse.Namespace) -> None:
    packages.publish()
    for names in roles.UPGRADES:
        roles.upgrade(names)


def _demo(arguments: argparse.Namespace) -> None:
    if set(cluster.status().values()) == {"down"}:
        lifecycle.up(arguments.debian or RELEASE)
    elif arguments.debian not in (None, cluster.release()):
        raise BadInput(f"the lab that is up is of Debian {cluster.release()}", hint="scripts/lab down")
    demo.run()


def _down(arguments: argparse.Namespace) -> None:
    host.require_root()
    say("the lab is down" if cluster.down() else "there was no lab")


def _status(arguments: argparse.Namespace) -> int:
    states = cluster.status()
    for name, state in states.items():
        print(f"{name:8} {SERVERS[name].address:12} {state}")
    return 0 if set(states.values()) == {"running"} else 1


def _kill(arguments: argparse.Namespace) -> None:
    cluster.kill(arguments.server)


def _boot(arguments: argparse.Namespace) -> None:
    cluster.boot(arguments.server)
    cluster.wait_booted(arguments.server)


def _shell(arguments: argparse.Namespace) -> None:
    command = cluster.command_on(arguments.server, arguments.command or ["bash", "-l"])
    os.execvp(command[0], command)


def _as(arguments: argparse.Namespace) -> None:
    command = cluster.command_as(arguments.user, arguments.command or ["bash", "-l"])
    os.execvp(command[0], command)


def _log(arguments: argparse.Namespace) -> None:
    command = cluster.command_on(arguments.server, ["journalctl", "--no-pager", *arguments.options])
    os.execvp(command[0], command)


_RUN: dict[str, tuple[Callable[[argparse.Namespace], int | None], str]] = {
    "up": (_up, "build what is needed and bring all servers up"),
    "upgrade": (_upgrade, "upgrade all servers, one after the other, to the packages of this checkout"),
    "demo": (_demo, "bring the lab up if it isn't, and do the main job: a machine's whole life"),
    "down": (_down, "end the lab, and remove what is left of one that was killed"),
    "status": (_status, "each server's address and state"),
    "shell": (_shell, "run a command on a server as its root; without one, a shell"),
    "as": (_as, "run a command on the client with a user's Kerberos ticket"),
    "kill": (_kill, "end a server with all that runs on it, as a power cut would"),
    "boot": (_boot, "boot a server that was killed"),
    "log": (_log, "a server's log; options are journalctl's"),
}


def _arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", dest="what", required=True)
    parsers = {
        name: commands.add_parser(name, help=text, description=text) for name, (_, text) in _RUN.items()
    }
    parsers["up"].add_argument(
        "--keep", action="store_true", help="leave it up even if it doesn't come up whole"
    )
    parsers["up"].add_argument(
        "--before", action="store_true", help="with the packages of the version before, to be upgraded"
    )
    for name in ("up", "demo"):
        parsers[name].add_argument(
            "--debian", type=int, choices=RELEASES, help=f"the release on its servers (default: {RELEASE})"
        )
    for name in ("shell", "log", "kill", "boot"):
        parsers[name].add_argument(
            "server", choices=tuple(SERVERS), metavar="SERVER", help=", ".join(SERVERS)
        )
    parsers["as"].add_argument(
        "user", choices=(*USERS, ADMIN), metavar="USER", help=", ".join((*USERS, ADMIN))
    )
    for name in ("shell", "as"):
        parsers[name].add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND…")
    parsers["log"].add_argument("options", nargs=argparse.REMAINDER, metavar="OPTION…")


def _run(arguments: argparse.Namespace) -> int | None:
    return _RUN[arguments.what][0](arguments)


COMMAND = cli.Command(
    name="scripts/lab",
    section=8,
    summary="a whole Invirt cluster of real servers on this machine",
    description="Only one lab at a time. It stays up until it is taken down.",
    example="scripts/lab up; scripts/lab as alice remctl remote.invirt.test machine list",
    arguments=_arguments,
    run=_run,
)


if __name__ == "__main__":
    cli.start(COMMAND)
