"""The lab as a whole: up, down, its state, and running commands on its servers."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from invirt.base.errors import BadInput, Busy, InvirtError, NotFound
from invirt.base.process import run
from invirt_lab import host
from invirt_lab.site import ADMIN, ANEW, BOUNDED, CLUSTER, DOOR, SERVERS, USERS, USUAL, Site

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOCK = host.RUN / "lock"
_PID = host.RUN / "pid"
_DOOR = host.RUN / "door"
_SUPERVISOR = (sys.executable, "-m", "invirt_lab.supervisor")
# How a command gets to a server that is no child of the supervisor's, by its name.
elsewhere: dict[str, Callable[[Sequence[str]], list[str]]] = {}
_ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{host.TREE}/scripts:{host.TREE}/invirt-base/python"}


@contextmanager
def only_one() -> Iterator[int]:
    """Hold the lab's lock; yields its file descriptor, which a supervisor inherits.

    Raises Busy where a lab is up, or on its way up.
    """
    host.RUN.mkdir(mode=0o755, exist_ok=True)
    lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Busy(
            "there is a lab already, and only one can be", hint="scripts/lab status, or scripts/lab down"
        ) from None
    try:
        yield lock
    finally:
        os.close(lock)


def start(layers: Mapping[str, Sequence[Path]], lock: int, site: Site = USUAL) -> subprocess.Popen[str]:
    """Start the supervisor; returns when all servers that have layers are started, not yet booted.

    site: who answers for names, and who has the pages.

    The lab ends with this process unless ready() is called on the result.
    """
    host.lend_cgroups()
    host.sweep()
    (host.RUN / "log").mkdir(exist_ok=True)
    command = ["unshare", *host.NAMESPACES, "--net", "--", host.OWN_ROOT]
    with (host.RUN / "log" / "supervisor").open("w") as log, _door() as door:
        supervisor = subprocess.Popen(
            [*command, *_SUPERVISOR],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            pass_fds=[lock, door],
            start_new_session=True,
            cwd="/",
            env=_ENVIRONMENT,
        )
    _PID.write_text(f"{supervisor.pid}\n")
    named = {name: [str(path) for path in paths] for name, paths in layers.items()}
    known = {"web": SERVERS[site.web].address, "dns": SERVERS[site.dns].address}
    _tell(supervisor, json.dumps({"layers": named, "door": door, **known}))
    _await_line(supervisor, "started", timeout=120)
    return supervisor


@contextmanager
def _door() -> Iterator[int]:
    """A socket of this machine for its browsers, which the supervisor inherits; see door()."""
    try:
        made = socket.create_server(("127.0.0.1", DOOR))
    except OSError:  # another lab's
        made = socket.create_server(("127.0.0.1", 0))
    with made:
        _DOOR.write_text(f"{made.getsockname()[1]}\n")
        yield made.fileno()


def door() -> int:
    """The port of 127.0.0.1 that leads to the web server's; raises NotFound where there is no lab."""
    if not _supervisors():
        raise NotFound("there is no lab", hint="scripts/lab up")
    return int(_DOOR.read_text())


def ready(supervisor: subprocess.Popen[str]) -> None:
    """The lab is complete: it stays when this process goes."""
    _tell(supervisor, "ready")


def _tell(supervisor: subprocess.Popen[str], line: str) -> None:
    assert supervisor.stdin
    supervisor.stdin.write(f"{line}\n")
    supervisor.stdin.flush()


def _await_line(supervisor: subprocess.Popen[str], line: str, timeout: float) -> None:
    assert supervisor.stdout
    readable, _, _ = select.select([supervisor.stdout], [], [], timeout)
    if not readable or supervisor.stdout.readline().strip() != line:
        supervisor.kill()
        said = (host.RUN / "log" / "supervisor").read_text().strip().splitlines()[-5:]
        raise InvirtError("the lab's supervisor didn't start", hint="\n".join(said))


def down() -> bool:
    """End the lab and remove what is left of it; False if there was none."""
    supervisors = _supervisors()
    for pid in supervisors:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    there = bool(supervisors or host.processes())
    host.sweep()
    host.wait_ended(supervisors)
    host.take_back_cgroups()
    _PID.unlink(missing_ok=True)
    with _freed():
        return there


def _supervisors() -> list[int]:
    """The lab's outer process, and process 1 of its namespaces."""
    try:
        pid = int(_PID.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *map(int, children)] if b"invirt_lab.supervisor" in command else []


@contextmanager
def _freed() -> Iterator[None]:
    """The lock, once the last of the killed processes has let go of it."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with only_one():
                yield
            return
        except Busy:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def leader(name: str) -> int:
    """The process id, on this machine, of a server's systemd.

    Raises BadInput for a server that is none, NotFound for one that isn't up.
    """
    if name not in SERVERS:
        raise BadInput(f"there is no server {name!r}", hint=f"The servers are {', '.join(SERVERS)}.")
    for cgroup in host.cgroups():
        for procs in (cgroup / name).glob("payload/**/cgroup.procs"):
            for pid in procs.read_text().split():
                if _number_inside(pid) == "1":
                    return int(pid)
    raise NotFound(f"the server {name} is not up", hint="scripts/lab up")


def _number_inside(pid: str) -> str:
    """What pid is called in its own PID namespace."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next((line.split()[-1] for line in lines if line.startswith("NSpid:")), "")


def command_on(name: str, argv: Sequence[str]) -> list[str]:
    """The command, for this machine, that runs argv on a server as its root."""
    if name in elsewhere:
        return elsewhere[name](argv)
    environment = [f"PATH={_PATH}", "HOME=/root", "LC_ALL=C.UTF-8", f"TERM={os.environ.get('TERM', 'dumb')}"]
    enter = ["nsenter", f"--target={leader(name)}", "--all", "--root", "--wdns=/", "--"]
    return [*enter, "env", "-i", *environment, *argv]


def command_as(user: str, argv: Sequence[str]) -> list[str]:
    """The command that runs argv on the client with a user's Kerberos ticket."""
    if user not in (*USERS, ADMIN):
        raise BadInput(f"there is no user {user!r}", hint=f"The users are {', '.join((*USERS, ADMIN))}.")
    account = user if user in USERS else "root"
    ticket = 'cd; klist -s || kinit -k -t .keytab "$0"; exec "$@"'
    return command_on(
        "client", ["runuser", "-u", account, "--", *_home(account), "sh", "-c", ticket, user, *argv]
    )


def _home(account: str) -> list[str]:
    return ["env", f"HOME={'/root' if account == 'root' else f'/home/{account}'}"]


def on(
    name: str, *argv: str, input: str | None = None, timeout: float = 120, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run argv on a server as its root; see invirt.base.process.run."""
    return run(command_on(name, argv), input=input, timeout=timeout, check=check)


def as_user(
    user: str, *argv: str, input: str | None = None, timeout: float = 120, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run argv on the client with a user's ticket; see invirt.base.process.run."""
    return run(command_as(user, argv), input=input, timeout=timeout, check=check)


def kill(name: str) -> None:
    """End a server with all that runs on it, as a power cut would; raises NotFound if it isn't up."""
    leader(name)
    host.sweep(name)


def boot(name: str, anew: bool = False, bounded: bool = False) -> None:
    """Boot a server that was killed, or shut down; returns when it is started, not yet booted.

    anew: another one of that name, with none of its role.  bounded: its systemd may bound CPUs, if this
    machine has cgroups of version 1.  Raises Busy if it runs.
    """
    if name in SERVERS and host.processes(name):
        raise Busy(f"the server {name} is up", hint=f"scripts/lab kill {name}")
    inside = _inside()
    host.sweep(name)
    enter = ["nsenter", f"--target={inside}", "--mount", "--pid", "--net", "--root", "--wdns=/", "--"]
    how = [*([ANEW] if anew else []), *([BOUNDED] if bounded else [])]
    run([*enter, *_SUPERVISOR, name, *how], env=_ENVIRONMENT)


def _inside() -> int:
    """Process 1 of the lab's namespaces; raises NotFound where there is no lab."""
    if not (found := _supervisors()[1:]):
        raise NotFound("there is no lab", hint="scripts/lab up")
    return found[0]


def root(name: str) -> Path:
    """A server's disk, whether it is booted or not; raises NotFound where there is no lab."""
    return Path(f"/proc/{_inside()}/root{host.RUN}", "work", name, "root")


def wait_booted(name: str, timeout: float = 180) -> None:
    """Return when a server's systemd has started everything; raises InvirtError if it doesn't."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            state = on(
                name, "systemctl", "is-system-running", "--wait", timeout=timeout, check=False
            ).stdout.strip()
        except NotFound:
            state = "not there"
        if state in ("running", "degraded"):
            return
        if time.monotonic() > deadline:
            raise InvirtError(
                f"{name} didn't boot within {timeout:g} seconds: {state}", hint=f"scripts/lab log {name}"
            )
        time.sleep(0.1)


@contextmanager
def cut_off(name: str) -> Iterator[None]:
    """Take a server's network away for the length of the block, as a dead switch would."""
    switch = [*in_network(), "ip", "link", "set", name]
    run([*switch, "down"])
    try:
        yield
    finally:
        run([*switch, "up"])


def in_network() -> tuple[str, ...]:
    """What begins a command of this machine that is in the network of the servers' cables."""
    return ("nsenter", f"--target={int(_PID.read_text())}", "--net", "--")


def release() -> int:
    """The release of Debian on the servers; raises NotFound where the lab isn't up."""
    return int(on("client", "sh", "-c", '. /etc/os-release; echo "$VERSION_ID"').stdout)


def status() -> dict[str, str]:
    """The state of each server: its systemd's word, or "down"."""
    states = {}
    for name in CLUSTER:
        try:
            states[name] = on(name, "systemctl", "is-system-running", check=False).stdout.strip()
        except NotFound:
            states[name] = "down"
    return states
