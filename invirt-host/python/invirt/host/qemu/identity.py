"""Whom a guest's QEMU runs as: a uid of its own, so that one taken over can do nothing to another.

The uid is hypervisor.uid_base and the machine's number, the same on all hosts;
nobody has it in /etc/passwd, and no file is owned by it.  Guests that are no
machine's share the uid of number 0, which no machine has, one at a time.
"""

from __future__ import annotations

import grp
import os
from contextlib import suppress

from invirt.base import lock
from invirt.base.errors import BadConfig, Busy
from invirt.base.names import machine_of
from invirt.host import paths
from invirt.host.domain import DomainConfig

PATIENCE = 5.0  # seconds for one that is just ending


def uid(config: DomainConfig) -> int:
    """The guest's; BadConfig for a machine's that doesn't say its number, or says too high a one."""
    from invirt import config as site

    settings, number = site.hypervisor, config.machine
    if number is None and machine_of(config.name):
        raise BadConfig(
            f"the configuration of {config.name} doesn't say its machine's number",
            hint="It lacks: machine = _machine.machine_id (see invirt-database as the package has it).",
        )
    if not 0 <= (number or 0) < settings.uid_count:
        raise BadConfig(
            f"there is no uid for machine {number}", hint="Raise hypervisor.uid_count in invirt.yaml."
        )
    return settings.uid_base + (number or 0)


def hold(uid: int) -> None:
    """Keep the uid while this process, or what it executes, lives; Busy if another process has it."""
    file = paths.run() / "uids" / str(uid)
    paths.make(file.parent)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(descriptor, True)
    if not lock.take(descriptor, PATIENCE):
        raise Busy(
            f"another guest of this host runs as {uid}",
            hint="A domain that is no machine's can name a number that no machine has: machine = 199999999",
        )


def assume(uid: int) -> None:
    """Go on as uid, for ever, with no right but the use of KVM."""
    groups = []
    with suppress(KeyError):
        groups = [grp.getgrnam("kvm").gr_gid]
    os.setgroups(groups)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
