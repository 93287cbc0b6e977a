"""A server without a machine: processes that share a mount namespace of their own.

In it, /etc/remctl is a copy that the test fills, the checkout's programs
lie over /usr/sbin and /usr/libexec, and /etc/hosts names the test's loopback
addresses.  So remctld, its configuration and our programs run at the very
paths that they have when they are installed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from invirt.base import templates
from tests.parts.realm import DEADLINE, end

ROOT = Path(__file__).parent.parent.parent

SET_UP = """\
set -e
mount --bind "$1/remctl" /etc/remctl
mount --bind "$1/hosts" /etc/hosts
mount -t overlay -o "lowerdir=$2/sbin:/usr/sbin" overlay /usr/sbin
mount -t overlay -o "lowerdir=$1/libexec:/usr/libexec" overlay /usr/libexec
echo ready
exec sleep infinity
"""


@dataclass
class Namespace:
    """A mount namespace, alive as long as its first process is."""

    folder: Path
    holder: subprocess.Popen[bytes]
    environment: Mapping[str, str]

    @property
    def enter(self) -> list[str]:
        """What is put before an argv that is to run in here."""
        return ["nsenter", "-t", str(self.holder.pid), "-m"]

    def log(self) -> str:
        """What those that were started in here have said."""
        return (self.folder / "log").read_text()

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a process in here; who starts it ends it."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self.enter, *argv],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def run(self, *argv: str, timeout: float = DEADLINE) -> subprocess.CompletedProcess[str]:
        """Run a command in here."""
        return subprocess.run(
            [*self.enter, *argv],
            env=self.environment,
            capture_output=True,
            check=False,
            text=True,
            timeout=timeout,
        )

    @contextmanager
    def warm(self, role: str, *before: str) -> Iterator[subprocess.Popen[bytes]]:
        """Workers of role are ready as long as the context lasts; before: what their argv begins with."""
        path = self.folder / "run/warm" / role
        path.parent.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as listening, (self.folder / "log").open("ab") as log:
            listening.bind(str(path))
            listening.listen(256)
            passed = ["bash", "-c", f'exec "$@" 3<&{listening.fileno()}', "bash"]
            service = subprocess.Popen(
                [*passed, *self.enter, *before, f"/usr/sbin/invirt-{role}-warm"],
                pass_fds=[listening.fileno()],
                env=dict(self.environment),
                stderr=log,
            )
            try:
                yield service
            finally:
                end(service)


def python() -> dict[str, str]:
    """What of this process' environment a Python needs: where our modules are, and whether to keep bytecode.

    A folder of the checkout that gets its first bytecode has changed, and so have the programs that live
    in it: who watches them begins anew (invirt.base.warm).
    """
    wanted = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
    return {name: os.environ[name] for name in wanted if name in os.environ}


@contextmanager
def namespace(
    folder: Path, role: str, environment: Mapping[str, str], hosts: Mapping[str, str]
) -> Iterator[Namespace]:
    """A namespace for a server of role (remote, host): its files/etc/remctl and sbin/ are in place.

    environment: added to this process' own PYTHONPATH.  hosts: addresses by
    name.  Templates are rendered with the test's own configuration.
    """
    folder.mkdir()
    shutil.copytree("/etc/remctl", folder / "remctl")
    own = ROOT / f"invirt-{role}" / "files/etc/remctl"
    if own.exists():
        shutil.copytree(own, folder / "remctl", dirs_exist_ok=True)
    shutil.copytree(ROOT / "invirt-base/libexec", folder / "libexec/invirt")
    if (libexec := ROOT / f"invirt-{role}/files/usr/libexec").exists():
        shutil.copytree(libexec, folder / "libexec", dirs_exist_ok=True)
    for template in (folder / "remctl").rglob("*.mako"):
        template.with_suffix("").write_text(templates.render(template))
    # remctld asks for a caller's name: a name server that lacks an answer would hold it up for seconds.
    named = {"localhost": "127.0.0.1", **hosts}
    (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in named.items()))
    holder = subprocess.Popen(
        [
            "unshare",
            "-m",
            "--propagation",
            "private",
            "sh",
            "-c",
            SET_UP,
            "sh",
            str(folder),
            str(ROOT / f"invirt-{role}"),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout
    try:
        assert holder.stdout.readline() == b"ready\n", "no mount namespace"
        yield Namespace(folder, holder, {**python(), **environment})
    finally:
        holder.stdout.close()
        end(holder)
