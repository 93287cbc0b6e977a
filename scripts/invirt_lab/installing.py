"""What a site that installs systems has: a server of bases, and Debian 12 as one of them; and that, shown."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from invirt.base.errors import InvirtError
from invirt.base.process import run
from invirt_lab import cluster, console, host, roles
from invirt_lab.site import HOSTS, SERVERS

SERVER = "install"
SYSTEM, SUITE = "debian-12", "bookworm"
LONGEST = 540  # seconds, emulated and on a busy machine
BASES = host.CACHE / "bases"
_STATE = "/var/lib/invirt-autoinstaller"  # as the role has it
_OLDEST = 2 * 86400  # seconds: a base of these days
_RAMDISKS = "invirt-kernel"  # what the hosts' role recommends


class Shown(Protocol):
    """The demo, as far as this part needs it."""

    def user(self, user: str, *words: str, fails: int = 0, timeout: float = 180) -> str:
        """What a user says with invirt; returns what it printed."""

    def wait(self, what: str, work: Callable[[], None]) -> None:
        """Something that is waited for; raises what work raises."""


def make() -> None:
    """Give the site its server of bases, the hosts their installer, and the database Debian 12.

    The lab's servers reach no mirror, so the base is made on this machine.
    """
    _build()
    roles.boot_later(SERVER)
    roles.install_role(SERVERS[SERVER])
    shutil.copytree(BASES, public().parent, ignore=shutil.ignore_patterns("S.*"), dirs_exist_ok=True)
    cluster.on(SERVER, "invirt-autoinstaller", "verify", SYSTEM)
    for name in HOSTS:
        roles.add(name, _RAMDISKS)
    server = SERVERS[SERVER]
    keyring = base64.b64encode((BASES / "keyring.gpg").read_bytes()).decode()
    cluster.on("db", "sh", "-c", "base64 -d >/root/keyring.gpg", input=keyring)
    cluster.on("db", "invirt-admin", "record", "add", server.fqdn, "A", server.address)
    offer(SYSTEM, "Debian 12", SUITE)


def url(name: str) -> str:
    """Where that is which is served under a name."""
    return f"http://{SERVERS[SERVER].fqdn}:8180/{name}"


def offer(name: str, description: str, suite: str, *more: str) -> None:
    """Tell the database that this can be installed; more: options of invirt-admin autoinstall add."""
    told = ("--url", url(name), "--keyring", "/root/keyring.gpg", "--description", description)
    cluster.on("db", "invirt-admin", "autoinstall", "add", name, *told, "--suite", suite, *more)


def public() -> Path:
    """The folder that the server serves, from outside of it."""
    return Path(f"/proc/{cluster.leader(SERVER)}/root{_STATE}/public")


def is_made() -> bool:
    """Whether the site has that already."""
    return SYSTEM in cluster.on("db", "invirt-admin", "autoinstall", "list").stdout.split()


def _build() -> None:
    """The base in the cache, of these days; one that was made before bases said their suite is made anew."""
    manifest = BASES / "public" / SYSTEM / "manifest.asc"
    told = manifest.read_text() if manifest.exists() else ""
    if f"\nsuite {SUITE}\n" not in told or manifest.stat().st_mtime < time.time() - _OLDEST:
        BASES.mkdir(parents=True, exist_ok=True)
        words = ["invirt-autoinstaller", "build", SYSTEM, "--folder", str(BASES)]
        run([str(host.TREE / "scripts/env"), *words], timeout=900)


def show(demo: Shown, machine: str) -> None:
    """From nothing to a login over ssh, at alice's new machine."""
    if not is_made():
        demo.wait(f"the server {SERVER} by apt, with a base of {SYSTEM}", make)
    demo.user("alice", "systems")
    sizes = ("--memory", "512M", "--disk", "2G")
    said = demo.user("alice", "create", machine, *sizes, "--install", SYSTEM, timeout=LONGEST)
    password = password_of(said)
    demo.user("alice", "show", machine)
    typed = "cat /etc/debian_version; hostname; ip -brief -4 address; uptime"
    demo.wait(
        f"root's login over alice's ssh to {machine}'s console, and types: {typed}",
        lambda: print(console.log_in("alice", machine, password, typed, LONGEST)),
    )


def password_of(said: str) -> str:
    """root's, of what an installation has answered; raises InvirtError where it says none."""
    if found := re.search(r"root's password, which is said once: (\S+)", said):
        return found[1]
    raise InvirtError("no password is said", hint=json.dumps(said[-300:]))
