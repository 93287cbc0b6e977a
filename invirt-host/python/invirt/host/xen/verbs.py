"""What xm has beside a hypervisor's calls: as Xen has it; a host of QEMU says what there is instead.

A machine's domain is remote's to move, and its memory is not kept for later: its disk may change meanwhile.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

from invirt import config
from invirt.base.errors import BadInput, CommandFailed, Denied, NotFound
from invirt.base.names import DomainName, machine_of
from invirt.base.process import foreground
from invirt.host import loading, tokens
from invirt.host.xen import stream
from invirt.host.xen.xl import Xl

# What to do on a host of QEMU.
INSTEAD = {
    "vcpu-set": "A guest of QEMU keeps the CPUs that it was booted with: resize its machine while it is off.",
    "save": "`xm pause` lets a guest stand still, and `xm shutdown` powers it off.",
    "restore": "`xm create` boots a domain.",
    "migrate": "Shut it down, and create it on the other host.",
}
GUESTS = "/system.slice/system-invirt\\x2dguest.slice"  # QEMU's, each a group of its own


def _require_xen(verb: str) -> None:
    """Raises BadInput where there is none."""
    if loading.driver() != "xen":
        raise BadInput(f"xm {verb} is Xen's own, and this host runs {loading.driver()}", INSTEAD[verb])


def vcpu_set(domain: DomainName, count: int) -> None:
    """Of the CPUs that the domain was booted with; it must do its part."""
    _require_xen("vcpu-set")
    with tokens.locked(machine_of(domain) or domain):
        row = Xl().row(domain)
        if row is None or row.over:
            raise NotFound(f"{domain} is off")
        Xl()("vcpu-set", "-i", domain, str(count))


def save(domain: DomainName, file: str, checkpoint: bool) -> None:
    """Write it to a file, and end it; checkpoint: it runs on."""
    _require_xen("save")
    _require_own(domain)
    with tokens.locked(domain):
        _do("save", *(["-c"] if checkpoint else []), domain, file)


def restore(file: str, paused: bool) -> None:
    """Let one go on that was saved; xl's process for it stays."""
    _require_xen("restore")
    domain = stream.name(file)
    _require_own(domain)
    with tokens.locked(domain):
        _do("restore", *(["-p"] if paused else []), file)


def migrate(domain: DomainName, host: str, live: bool) -> None:
    """A machine's domain by remote, which runs what remctl would; one's own by xl's way, ssh.

    live: as it is wherever it can be.
    """
    if machine := machine_of(domain):
        _ask_remote("admin", "machine", "migrate", machine, host)
    _require_xen("migrate")
    with tokens.locked(domain):
        _do("migrate", domain, host)


def top() -> NoReturn:
    """In this terminal, until q."""
    argv = ["xl", "top"] if loading.driver() == "xen" else ["systemd-cgtop", GUESTS]
    os.execvp(argv[0], argv)


def _ask_remote(*words: str) -> NoReturn:
    """With the ticket of who types this."""
    argv = ["remctl", config.remote.hostname, *words]
    if not shutil.which(argv[0]):
        raise CommandFailed(
            "a machine's domain is moved by the remote server, and remctl is not installed here",
            hint=f"Where you have an administrator's ticket: {' '.join(argv)}",
        )
    os.execvp(argv[0], argv)


def _require_own(domain: DomainName) -> None:
    """Denied for a machine's."""
    if machine := machine_of(domain):
        raise Denied(
            f"{domain} is the machine {machine}'s: by the time that its memory is restored it may have"
            " run elsewhere, and its disk be another",
            hint="`xm pause` lets it stand still, `xm migrate` moves it, `xm shutdown` powers it off.",
        )


def _do(*words: str) -> None:
    """In this terminal, for as long as it takes."""
    if status := foreground(["xl", *words], env=os.environ, every=60, may_go_on=lambda: True):
        raise CommandFailed(f"xl {words[0]} has ended with status {status}", hint="It said why, above.")
