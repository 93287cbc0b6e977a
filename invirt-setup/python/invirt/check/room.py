"""Room: disk space and files that can still be made; and KVM, without which guests are slow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from invirt import config
from invirt.check.findings import Finding, Findings, error, warning
from invirt.check.server import Server

GIB = 1 << 30
# Of the whole, and bytes: both must be less.  Much of a large disk may be used before it is full.
LITTLE = (0.10, 5 * GIB)
NONE = (0.03, 1 * GIB)
FOLDERS = ("/", "/var", "/var/log", "/var/lib", "/run", "/tmp")
OF_ROLES = {"database": ("/var/lib/postgresql",), "host": ("/var/lib/invirt",)}
KVM, CHOSEN, XEN = "/dev/kvm", "/run/invirt/accelerator", "/proc/xen/capabilities"


def space(server: Server) -> Findings:
    """Each file system once."""
    seen = set()
    for folder in _folders(server):
        path = server.file(folder)
        if path.exists() and path.stat().st_dev not in seen:
            seen.add(path.stat().st_dev)
            yield from _of(folder, os.statvfs(path))


def _folders(server: Server) -> Iterator[str]:
    yield from FOLDERS
    for role in server.roles:
        yield from OF_ROLES.get(role, ())
    if "host" in server.roles and config.storage.driver == "file":
        yield config.storage.directory


def _of(folder: str, there: os.statvfs_result) -> Iterator[Finding]:
    free, whole = there.f_bavail * there.f_frsize, there.f_blocks * there.f_frsize
    for bounds, found in ((NONE, error), (LITTLE, warning)):
        if whole and free < bounds[0] * whole and free < bounds[1]:
            what = f"{free / GIB:.1f} GiB of {whole / GIB:.1f} are free"
            yield found(
                folder, what, f"du -xh {folder} | sort -h | tail; remove something, or make it larger."
            )
            break
    if there.f_files and there.f_favail < LITTLE[0] * there.f_files:
        found = error if there.f_favail < NONE[0] * there.f_files else warning
        yield found(folder, f"{there.f_favail} more files can be made, of {there.f_files}", "Remove some.")


def kvm(server: Server) -> Findings:
    """Whether QEMU's guests run on the processor itself."""
    wanted = config.hypervisor
    xen = server.file(XEN).exists() and "control_d" in server.file(XEN).read_text()
    if (
        wanted.driver not in ("auto", "qemu")
        or wanted.accelerator == "tcg"
        or wanted.driver == "auto"
        and xen
    ):
        return
    if not server.file(KVM).exists():
        todo = "Switch virtualization on in the firmware, then: modprobe kvm_intel (or kvm_amd)."
        found = error if wanted.accelerator == "kvm" else warning
        yield found(KVM, "it isn't there: guests are emulated, which is many times slower", todo)
    elif wanted.accelerator == "auto":
        yield from _probed(server.file(CHOSEN))


def _probed(file: Path) -> Findings:
    said = file.read_text().strip() if file.exists() else "tcg: invirt-host-probe did not run"
    name, _, why = said.partition(": ")
    if name != "kvm":
        todo = "See that invirt-kernel is installed, then: systemctl restart invirt-host-probe"
        yield warning(KVM, f"guests are emulated, which is many times slower: {why}", todo)
