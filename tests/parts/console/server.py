"""A server of a test: processes in a mount namespace where everything lies at the path that it has installed.

In it, /etc is an overlay that the test writes to, the checkout's programs and
modules lie over Debian's, /run is the server's own, and what it mounts at
/consolefs no other server sees.  Its hostname is in a namespace, too, by which
all of its processes are known: the children of children that have ended.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.parts.realm import DEADLINE, end
from tests.parts.waiting import until

ROOT = Path(__file__).parents[3]

SET_UP = """\
set -e
root=$1 role=$2
hostname "$4"
over() { mount -t overlay -o "lowerdir=$1:$2" overlay "$2"; }
mount -t overlay -o "lowerdir=/etc,upperdir=$root/etc,workdir=$root/work" overlay /etc
for dir in bin sbin; do
    layers=$root/$dir
    [ ! -d "$role/$dir" ] || layers=$layers:$role/$dir
    over "$layers" /usr/$dir
done
own=$role/files/usr/libexec
[ ! -d "$own" ] || over "$own" /usr/libexec
over "$3" /usr/lib/python3/dist-packages
mount --bind "$root/log" /var/log
mkdir -p /var/log/conserver /var/log/invirt/consoles
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/systemd/userdb /run/conserver /run/invirt/conserver
echo ready
exec sleep infinity
"""


@dataclass
class Server:
    """One server: its role, its folder, its processes."""

    role: str
    name: str
    folder: Path
    environment: Mapping[str, str]
    holder: subprocess.Popen[bytes] | None = None
    names: str = ""  # the namespace of its hostname
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def enter(self) -> list[str]:
        """What is put before an argv that is to run in here."""
        assert self.holder
        return ["nsenter", "-t", str(self.holder.pid), "-m", "-u"]

    @property
    def words(self) -> list[str]:
        """What is put after that for the environment of its programs."""
        return ["env", *(f"{name}={value}" for name, value in self.environment.items())]

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file below etc (or, before the server is up, sbin)."""
        root = Path(f"/proc/{self.holder.pid}/root") if self.holder else self.folder
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def up(self) -> None:
        """Make the namespace."""
        modules = sorted(ROOT.glob("invirt-*/python"))
        role = str(ROOT / f"invirt-{self.role}")
        argv = ["unshare", "-m", "-u", "--propagation", "private", "sh", "-c", SET_UP, "sh"]
        self.holder = subprocess.Popen(
            [*argv, str(self.folder), role, ":".join(map(str, modules)), self.name], stdout=subprocess.PIPE
        )
        assert self.holder.stdout and self.holder.stdout.readline() == b"ready\n", "no mount namespace"
        self.names = os.readlink(f"/proc/{self.holder.pid}/ns/uts")

    def down(self) -> None:
        """End all processes: those that were started as systemd would, then what they have left."""
        for child in reversed(self.children):
            end(child)
        if self.names:
            wait(self._emptied, "the end of all processes")
        if self.holder:
            assert self.holder.stdout
            self.holder.stdout.close()
            end(self.holder)

    def processes(self) -> Iterator[Path]:
        """Those in here but the holder, by their folders in /proc; one may end at any moment."""
        assert self.holder and self.names != os.readlink("/proc/self/ns/uts")
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it has ended meanwhile
                if int(process.name) != self.holder.pid and os.readlink(process / "ns/uts") == self.names:
                    yield process

    def of(self, uid: int) -> Iterator[Path]:
        """A user's."""
        for process in self.processes():
            with suppress(OSError):
                if process.stat().st_uid == uid:
                    yield process

    def _emptied(self) -> bool:
        """Kill what is in here; whether there was nothing."""
        emptied = True
        for process in self.processes():
            emptied = False
            with suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
        return emptied

    def start(
        self, *argv: str, listening: socket.socket | None = None, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start a process that ends with the server; listening: what systemd would pass."""
        if listening:
            passed = 'exec 3<&"$0"; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
            argv = ("bash", "-c", passed, str(listening.fileno()), *argv)
        with (self.folder / "output").open("ab") as log:
            child = subprocess.Popen(
                [*self.enter, *argv],
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listening.fileno()] if listening else [],
            )
        self.children.append(child)
        return child

    def run(
        self, *argv: str, timeout: float = DEADLINE, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in here."""
        return subprocess.run(
            [*self.enter, *argv],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=timeout,
        )

    def output(self) -> str:
        """What its processes have said."""
        return (self.folder / "output").read_text(errors="replace")

    def await_(self, what: str, *argv: str) -> None:
        """Until a command succeeds in here."""
        wait(lambda: self.run(*argv).returncode == 0, what, self.output)

    def reached(self, address: str, port: int) -> None:
        """Until something listens there."""
        self.await_(f"{address}:{port}", "bash", "-c", f"</dev/tcp/{address}/{port}")


def wait(
    true: Callable[[], bool], what: str, why: Callable[[], str] = str, seconds: float = DEADLINE
) -> None:
    """Until true() is."""
    until(true, lambda: f"in vain: {what}\n{why()[-3000:]}", seconds)
