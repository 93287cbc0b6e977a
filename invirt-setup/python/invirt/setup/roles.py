"""This server's roles, by apt."""

from __future__ import annotations

import os
from collections.abc import Sequence

from invirt.base.errors import CommandFailed
from invirt.base.process import run
from invirt.setup.steps import Step

PACKAGES = {
    "database": ("invirt-database-server",),
    "remote": ("invirt-remote-server",),
    "dns": ("invirt-dns-server",),
    "dhcp": ("invirt-dhcp-server",),
    "console": ("invirt-console-server",),
    "web": ("invirt-web-server",),
    "host": ("invirt-host", "qemu-system-x86"),
}
KERNEL = "invirt-kernel"
KDC = ("krb5-kdc", "krb5-admin-server")
# One that a killed run has begun is waited for.
APT = ("apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600")
SHOWN = 12  # lines of what apt said, and of what it complained of
TIMEOUT = 3600  # seconds: a slow line, and a slow disk


def before(found: Sequence[str], kdc: bool) -> list[Step]:
    """What must be there before the roles: a KDC, and the user whom the database server's keys are for."""
    wanted = [*(KDC if kdc else ()), *(["postgresql-common"] if "database" in found else [])]
    return [_step(wanted)] if wanted else []


def roles(found: Sequence[str], disks: str, kernel: str) -> Step:
    """All of a server, in one run of apt.

    disks: a folder or a volume group.  kernel: what machines boot; empty: what package invirt-kernel makes.
    """
    named = [package for role in found for package in PACKAGES[role]]
    if "host" in found:
        named += [KERNEL] if not kernel else []
        named += [] if disks.startswith("/") else ["lvm2"]
    return _step(named)


def _step(wanted: Sequence[str]) -> Step:
    return Step(f"packages: {' '.join(wanted)}", lambda: not missing(wanted), lambda: install(wanted))


def missing(wanted: Sequence[str]) -> list[str]:
    """Those that aren't installed whole."""
    if not wanted:
        return []
    said = run(["dpkg-query", "--show", "--showformat=${Package} ${Status}\n", *wanted], check=False).stdout
    whole = {line.split()[0] for line in said.splitlines() if line.endswith(" install ok installed")}
    return [package for package in wanted if package not in whole]


def install(wanted: Sequence[str]) -> None:
    """Install them in one run of apt, once what a killed one has left is in order.

    Raises CommandFailed with apt's last words.
    """
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    run(["dpkg", "--configure", "-a"], timeout=TIMEOUT, env=env, check=False)
    for argv in (["update"], ["install", "--no-install-recommends", *wanted]):
        done = run([*APT, *argv], timeout=TIMEOUT, env=env, check=False)
        if done.returncode:
            said = [*done.stdout.splitlines()[-SHOWN:], *done.stderr.splitlines()[-SHOWN:]]
            raise CommandFailed(
                f"apt-get {argv[0]} failed", "\n".join([*said, "Mend that, then run invirt-setup again."])
            )
