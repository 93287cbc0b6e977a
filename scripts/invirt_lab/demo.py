"""The main job, shown: what users do with machines, from their own computer, and once by bare remctl."""

from __future__ import annotations

import json
import shlex
import textwrap
import time
from collections.abc import Callable

from invirt.base.errors import InvirtError
from invirt_lab import cluster, console, installing, locker, moving, pages
from invirt_lab.browser import words
from invirt_lab.site import CONSOLE, DOMAIN, REALM, SERVERS

REMOTE = SERVERS["remote"].fqdn
CONSOLE_SERVER = SERVERS[CONSOLE].fqdn
REFUSED = 4
DENIED = 255  # remctl's own
FOREIGN = "203.0.113.9"  # an address that is nobody's
_BOB = f"bob@{REALM}"

_GO_ON = """\
The lab is up. Go on by hand, for example:

    scripts/lab as alice invirt create castor --memory 128M --disk 1G --start --console
    scripts/lab as alice invirt list
    scripts/lab as alice invirt --help
    scripts/lab as alice remctl {remote} help       (the same, bare)
    scripts/lab shell host1 xm list
    scripts/lab as alice ssh remus@{console}        (its serial console; ^Ec. leaves)
    scripts/lab shell console console remus         (the same as an administrator)
    scripts/lab shell db invirt-admin --help
    scripts/lab log remote
    scripts/lab status
    scripts/lab pages                               (says the following again)
    scripts/lab down

In a browser: {way_in}"""


class Demo:
    """Runs the steps, one after the other, and remembers how long each took."""

    def __init__(self) -> None:
        self.times: list[tuple[str, float]] = []

    def remctl(self, user: str, *words: str, fails: int = 0) -> None:
        """A remctl call by a user; raises InvirtError unless it ends with the status fails."""
        self.types(user, ("remctl", REMOTE, *words), fails)

    def user(self, user: str, *words: str, fails: int = 0, timeout: float = 180) -> str:
        """What a user says with invirt, as types()."""
        return self.types(user, ("invirt", *words), fails, timeout)

    def types(self, user: str, words: tuple[str, ...], fails: int = 0, timeout: float = 180) -> str:
        """What a user types on the client; raises InvirtError unless it ends with the status fails.

        Returns what it printed; timeout: seconds.
        """
        print(f"\n{user}$ {shlex.join(words)}", flush=True)
        start = time.monotonic()
        done = cluster.as_user(user, *words, timeout=timeout, check=False)
        said = (done.stdout + done.stderr).rstrip()
        self._took(f"{user}: {' '.join(words)}", start)
        print(textwrap.indent(said or "(no output)", "    "))
        if done.returncode != fails:
            raise InvirtError(
                f"that ended with status {done.returncode}, not {fails}", hint="scripts/lab log remote"
            )
        return said

    def wait(self, what: str, work: Callable[[], None]) -> None:
        """Something that is waited for; raises what work raises."""
        print(f"\n... {what}", flush=True)
        start = time.monotonic()
        work()
        self._took(what, start)
        print(f"    yes, after {time.monotonic() - start:.1f} s")

    def _took(self, what: str, start: float) -> None:
        self.times.append((what, time.monotonic() - start))

    def report(self) -> None:
        """How long each step took, and how to go on."""
        print("\nWhat was done, and the seconds it took:")
        for what, seconds in self.times:
            print(f"  {seconds:6.1f}  {what}")
        print(f"\n{_GO_ON.format(remote=REMOTE, console=CONSOLE_SERVER, way_in=pages.way_in())}")


def wait_off(machine: str, timeout: float = 120) -> None:
    """Return when the machine runs on no host; raises InvirtError after timeout seconds."""
    deadline = time.monotonic() + timeout
    while host := console.host_of(machine):
        if time.monotonic() > deadline:
            raise InvirtError(f"{machine} still runs on {host}")
        time.sleep(0.2)


def run(moves: bool = False, install: bool = False, lockers: bool = False) -> None:
    """The whole of it; raises InvirtError at the first thing that isn't as it should be.

    moves: what hosts are for, too: see invirt_lab.moving.  install: Debian in a machine, and no more.
    lockers: a machine of a locker's members, and no more.
    """
    demo = Demo()
    if install:
        installing.show(demo, "debian")
    elif lockers:
        locker.show(demo, "rover")
    else:
        _main_job(demo)
    if moves:
        moving.show(demo, "remus")
    demo.report()


def _main_job(demo: Demo) -> None:
    _first_machine(demo)
    _forge(demo)
    _by_name(demo)
    _other_people(demo)
    _reboot(demo)
    _see_it(demo)
    _change_it(demo)
    _end_it(demo)
    _on_pages(demo)
    _type_into_it(demo)


def _first_machine(demo: Demo) -> None:
    demo.user("alice", "create", "remus", "--memory", "128M", "--disk", "1G")
    demo.user("alice", "show", "remus")
    demo.user("alice", "start", "remus")
    demo.wait("the guest's prompt on its serial console", lambda: console.wait_for_prompt("remus"))
    demo.user("alice", "status", "remus")
    demo.user("alice", "list")
    demo.user("alice", "quota")
    demo.remctl("alice", "machine", "list")


def _by_name(demo: Demo) -> None:
    demo.user("alice", "create", "castor", "--memory", "128M", "--disk", "1G")
    demo.user("alice", "start", "castor")
    demo.wait("castor to ping remus by its name", lambda: wait_ping("castor", "remus"))
    demo.wait("the client to ping castor by its name", lambda: _client_pings("castor"))
    demo.user("alice", "kill", "castor")
    demo.user("alice", "delete", "castor", "--yes")


def wait_ping(machine: str, name: str, timeout: float = 120) -> None:
    """Return when one guest reaches another by its name in DNS; raises InvirtError after timeout seconds."""
    deadline = time.monotonic() + timeout
    while " 0% packet loss" not in (said := console.ask(machine, f"ping -c 1 -W 2 {name}.{DOMAIN}")):
        if time.monotonic() > deadline:
            raise InvirtError(f"{machine} doesn't reach {name}.{DOMAIN}", hint=said)
        time.sleep(0.5)


def _client_pings(name: str) -> None:
    """Until the first answer: the client may know the address from a machine that had it before."""
    cluster.on("client", "ping", "-c", "1", "-w", "30", f"{name}.{DOMAIN}")


def _other_people(demo: Demo) -> None:
    demo.remctl("bob", "control", "remus", "status", fails=DENIED)
    demo.user("bob", "status", "remus", fails=REFUSED)
    demo.user("alice", "share", "remus", _BOB)
    demo.user("bob", "status", "remus")
    demo.user("alice", "unshare", "remus", _BOB)
    demo.user("bob", "status", "remus", fails=REFUSED)


def _forge(demo: Demo) -> None:
    """From inside: what the host's rules refuse."""
    typed = f"ip address add {FOREIGN}/32 dev eth0; ping -c 1 -W 1 -I {FOREIGN} dns.{DOMAIN}"
    demo.wait(f"in remus: {typed}", lambda: _ask("remus", typed))


def _ask(machine: str, typed: str) -> None:
    print(textwrap.indent(console.ask(machine, typed).rstrip(), "    "))


def _see_it(demo: Demo) -> None:
    """Hosts count once a minute."""
    demo.wait("the minute to be over", lambda: wait_usage("alice", "remus"))
    demo.user("alice", "usage", "remus", "--of", "hour")


def wait_usage(user: str, machine: str, timeout: float = 150) -> None:
    """Until a user sees why packets of a machine were dropped; raises InvirtError after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        said = cluster.as_user(user, "invirt", "usage", machine, "--of", "hour", "--json").stdout
        if "foreign_ip" in {drop["reason"] for drop in json.loads(said)["dropped"]}:
            return
        if time.monotonic() > deadline:
            raise InvirtError(f"nothing is known of what {machine} used", hint="scripts/lab log host1")
        time.sleep(1)


def _reboot(demo: Demo) -> None:
    demo.user("alice", "reboot", "remus")
    demo.wait("the prompt again, after the reboot", lambda: console.wait_for_prompt("remus"))


def _change_it(demo: Demo) -> None:
    demo.user("alice", "stop", "remus")
    demo.wait("the guest to be off", lambda: wait_off("remus"))
    demo.user("alice", "resize", "remus", "--memory", "192")
    demo.user("alice", "rename", "remus", "romulus")
    demo.user("alice", "show", "romulus")


def _end_it(demo: Demo) -> None:
    demo.user("alice", "start", "romulus")
    demo.wait("the prompt of the renamed guest", lambda: console.wait_for_prompt("romulus"))
    demo.user("alice", "kill", "romulus")
    demo.user("alice", "status", "romulus")
    demo.user("alice", "delete", "romulus", "--yes")
    demo.user("alice", "list")


def _on_pages(demo: Demo) -> None:
    """In a browser: within by ticket, from outside by password."""
    signed_on = ("--negotiate", "--user", ":", f"{pages.HOME}/sign-on/ticket", "--location", "--cookie", "")
    shown = ("--output", "/dev/null", "--write-out", "%{http_code} %{url_effective}")
    demo.types("alice", ("curl", "--silent", "--show-error", *signed_on, *shown))
    demo.wait(f"alice in a browser, at {pages.url()}: pollux, made, started, seen and deleted", _pollux)


def _pollux() -> None:
    alice = pages.browser("alice")
    alice.follow(alice.make("pollux", memory="128M", disk="1G"))
    print(textwrap.indent(words(alice.follow(alice.press("pollux", "create"))), "    "))
    told = words(alice.ask("/machines/pollux").text)
    print(textwrap.indent(told.partition("What it uses")[0], "    "))
    alice.follow(alice.press("pollux", "destroy"))
    alice.follow(alice.press("pollux", "delete", typed_name="pollux"))


def _type_into_it(demo: Demo) -> None:
    """Over ssh, as its login, with alice's ticket; it stays up to go on by hand."""
    demo.user("alice", "create", "remus", "--memory", "128M", "--disk", "1G")
    demo.user("alice", "start", "remus")
    typed = "echo Hello from $(hostname), up $(cut -d. -f1 /proc/uptime) s"
    demo.wait(
        f"alice$ ssh remus@{CONSOLE_SERVER}, and types: {typed}",
        lambda: print(textwrap.indent(console.ask_over_ssh("alice", "remus", typed).rstrip(), "    ")),
    )
