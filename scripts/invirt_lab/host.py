"""This machine: what the lab needs installed, where it keeps things, cgroups."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from invirt.base.errors import Busy, CommandFailed, InvirtError
from invirt.base.process import run

TREE = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("INVIRT_LAB_CACHE", "/var/cache/invirt-lab"))
NAME = os.environ.get("INVIRT_LAB_NAME", "invirt-lab")  # another one is another lab, beside the first
RUN = Path("/run") / NAME
CGROUP = NAME

_COMMANDS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "reprepro": "reprepro",
    "gpg": "gnupg",
    "dpkg-buildpackage": "dpkg-dev",
    "unshare": "util-linux",
    "busybox": "busybox-static",
    "lz4": "lz4",
    "zstd": "zstd",
}

_APT = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

# A mount and PID namespace of its own: what runs in it leaves nothing.
NAMESPACES = ("--mount", "--propagation=unchanged", "--pid", "--fork", "--kill-child", "--mount-proc")
OWN_ROOT = str(Path(__file__).with_name("own-root"))
# Children that mount things: theirs alone, and gone when they end or we do.
ALONE = ("setpriv", "--pdeathsig", "KILL", "--", "unshare", *NAMESPACES, "--", OWN_ROOT)


def installed(package: str) -> bool:
    """Whether the Debian package is installed on this machine."""
    status = run(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}", package], check=False)
    return status.stdout.startswith("ii")


def _apt(arguments: list[str]) -> None:
    """apt-get; fetches the lists only where the first try fails, as they may be missing or old."""
    command = ["apt-get", "--yes", "--no-install-recommends", *arguments]
    try:
        run(command, timeout=600, env=_APT)
    except CommandFailed:
        run(["apt-get", "update"], timeout=300, env=_APT)
        run(command, timeout=600, env=_APT)


def install(packages: list[str]) -> None:
    """Install Debian packages on this machine."""
    _apt(["install", *packages])


def build_dependencies(tree: str) -> None:
    """Install what building the source package in tree needs; see install()."""
    _apt(["build-dep", "--build-profiles", "nocheck", tree])


def require_root() -> None:
    """Raises InvirtError unless this process is root's."""
    if os.geteuid() != 0:
        raise InvirtError(
            "the lab needs root: it makes namespaces, mounts and a bridge", hint="sudo scripts/lab …"
        )


def missing(more: Mapping[str, str]) -> list[str]:
    """Debian packages that the lab needs and this machine lacks; more: others, by a command of theirs."""
    wanted = {**_COMMANDS, **more}
    return sorted({package for command, package in wanted.items() if not shutil.which(command)})


def cgroups() -> list[Path]:
    """The lab's own cgroup in each hierarchy that systemd uses: v1's and v2's, where mounted."""
    return _own("name=systemd")


def cpu_cgroups() -> list[Path]:
    """The same in v1's hierarchies of CPUs: of servers that are to bound what their services take."""
    return [cgroup for cgroup in _own("cpu", "cpuacct") if cgroup not in cgroups()]


def _own(*controllers: str) -> list[Path]:
    found = []
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split(" ")
        if kind == "cgroup2" or (kind == "cgroup" and {*controllers} & {*options.split(",")}):
            found.append(Path(where) / CGROUP)
    return found


def lend_cgroups() -> None:
    """Mount cgroups where nobody has, as in a chroot; until take_back_cgroups()."""
    if not cgroups():
        run(["mount", "-t", "cgroup2", "invirt-lab", "/sys/fs/cgroup"])


def take_back_cgroups() -> None:
    """Unmount what lend_cgroups() has mounted, if it has."""
    if "\ninvirt-lab /sys/fs/cgroup " in Path("/proc/mounts").read_text():
        run(["umount", "/sys/fs/cgroup"])


def _below(cgroup: Path) -> Iterator[Path]:
    """cgroup and all in it, the deepest first."""
    if cgroup.is_dir():
        for folder, _, _ in os.walk(cgroup, topdown=False):
            yield Path(folder)


def processes(server: str = "") -> set[int]:
    """All processes of the lab, or of one server, by this machine's numbers.

    0 stands for those that can't be seen from here: a lab outside this chroot
    or container, whose lock can't be seen either.
    """
    found: set[int] = set()
    for cgroup in cgroups():
        for folder in _below(cgroup / server):
            try:
                found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
            except OSError:  # went away, or holds threads only
                continue
    return found


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def sweep(server: str = "", timeout: float = 60) -> None:
    """End every process of a lab, or of one server, and remove its cgroups.

    Raises InvirtError where some stay.
    """
    deadline = time.monotonic() + timeout
    while pids := processes(server):
        if 0 in pids:
            raise Busy(
                "there is a lab already, outside this container", hint="Take it down where it was made."
            )
        for pid in pids:
            _kill(pid)
        if time.monotonic() > deadline:
            raise InvirtError(f"processes of the lab don't end: {sorted(pids)}")
        time.sleep(0.05)
    for cgroup in (*cgroups(), *cpu_cgroups()):
        for folder in _below(cgroup / server):
            _remove_cgroup(folder, deadline)


def wait_ended(pids: list[int], timeout: float = 60) -> None:
    """Return when none of the processes runs; raises InvirtError if one does after timeout seconds."""
    deadline = time.monotonic() + timeout
    while running := [pid for pid in pids if _runs(pid)]:
        if time.monotonic() > deadline:
            raise InvirtError(f"processes of the lab don't end: {running}")
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether there is such a process, other than a dead one that nobody has buried yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _remove_cgroup(folder: Path, deadline: float) -> None:
    while folder.is_dir():
        try:
            folder.rmdir()
        except OSError as error:  # busy while the last process is being buried
            if time.monotonic() > deadline:
                raise InvirtError(f"{folder} can't be removed: {error.strerror}") from error
            time.sleep(0.05)
