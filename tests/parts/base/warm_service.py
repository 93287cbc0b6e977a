"""A service of workers started ahead, for two small programs that the real client calls."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.parts.realm import DEADLINE, end
from tests.parts.waiting import until

CLIENT = Path(__file__).parents[3] / "invirt-base/libexec/warm"

# A role: what its service runs.  code.py is a file of its own, to be changed.
SERVICE = """
import json, os, subprocess, sys, time
from invirt import config
from invirt.base import warm
from invirt.base.errors import Unreachable
from invirt.base.worker import Role, apart
sys.path.insert(0, os.environ["FOLDER"] + "/code")
import code_of_ours
calls = signed_on = 0
class Connection:
    seconds = float(os.environ["SECONDS"])
    def __init__(self):
        if os.path.exists(os.environ["FOLDER"] + "/down"):
            raise Unreachable("there is no database")
        global signed_on
        signed_on += 1
        os.environ.setdefault("KRB5CCNAME", "of ours")
        time.sleep(float(os.environ["SIGN_ON"]))
        self.read, self.write = os.pipe()
    def fileno(self):
        return self.read
    def is_alive(self):
        return not os.path.exists(os.environ["FOLDER"] + "/dead")
    def leave(self):
        os.close(self.read)
        os.close(self.write)
def tell():
    global calls
    calls += 1
    with open("/proc/self/fd/0") as stdin:
        said = stdin.read()
    print(json.dumps({
        "pid": os.getpid(), "calls": calls, "signed_on": signed_on, "words": sys.argv,
        "environment": dict(os.environ), "folder": os.getcwd(), "stdin": said,
        "code": code_of_ours.VERSION, "contact": config.site.contact,
        "open": sorted(map(int, os.listdir("/proc/self/fd"))),
    }))
    print("on stderr", file=sys.stderr)
    return 7
def wait():
    child = subprocess.Popen(["sleep", "600"])
    with open(sys.argv[1] + ".new", "w") as file:
        print(os.getpid(), child.pid, file=file)
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(600)
def leave():
    kept = os.pipe()
    def copy():
        listed = sorted(map(int, os.listdir("/proc/self/fd")))
        found = [one for one in listed if os.path.exists(f"/proc/self/fd/{one}")]  # but for what listed them
        with open(sys.argv[1] + ".new", "w") as file:
            print(json.dumps({"group": os.getpgrp(), "open": found}), file=file)
        os.rename(sys.argv[1] + ".new", sys.argv[1])
        time.sleep(600)
    print(json.dumps({"pid": apart(copy, kept), "kept": kept}))
    return 0
warm.MOST = int(os.environ["MOST"])
warm.serve(Role("test", {"tell": tell, "wait": wait, "leave": leave}, Connection, 2))
"""
PROGRAM = f"""\
#!{CLIENT} test
import sys
print("by itself:", *sys.argv[1:])
sys.exit(3)
"""


@dataclass
class Service:
    """A running service, its folder, and the environment of who calls it."""

    folder: Path
    environment: dict[str, str]
    listening: socket.socket
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "warm/test"

    def start(self, seconds: float = 1000, most: int = 64, sign_on: float = 0.0) -> None:
        """As systemd does.  most: workers, those at work among them; sign_on: the seconds that takes."""
        argv = [
            "bash",
            "-c",
            f'exec "$@" 3<&{self.listening.fileno()}',
            "bash",
            sys.executable,
            "-c",
            SERVICE,
        ]
        self.process = subprocess.Popen(
            argv,
            pass_fds=[self.listening.fileno()],
            env={
                **self.environment,
                **{"FOLDER": str(self.folder), "SECONDS": str(seconds)},
                **{"MOST": str(most), "SIGN_ON": str(sign_on)},
            },
        )

    def stop(self) -> None:
        """As systemd does: workers that are at work live on."""
        if self.process:
            end(self.process)
            self.process = None

    def call(self, *words: str, program: str = "tell", **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program."""
        return subprocess.run(
            [self.folder / program, *words],
            env={**self.environment, **more},
            input="given",
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            timeout=DEADLINE,
        )

    def told(self, *words: str, **more: str) -> dict[str, object]:
        """What a worker tells, as soon as one is ready; it must have been one."""
        limit = time.monotonic() + DEADLINE
        while (done := self.call(*words, **more)).returncode == 3:
            assert time.monotonic() < limit, "no worker is ever ready"
        assert (done.returncode, done.stderr) == (7, "on stderr\n"), done
        found: dict[str, object] = json.loads(done.stdout)
        return found

    def wait(self, file: str = "pids") -> tuple[subprocess.Popen[bytes], list[int]]:
        """A call that is under way: its program, and the processes that do its work."""
        self.told()
        at = self.folder / file
        calling = subprocess.Popen(
            [self.folder / "wait", at], env=self.environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        until(at.exists)
        return calling, [int(pid) for pid in at.read_text().split()]


def lives(pid: int) -> bool:
    """Whether it is a process that does anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def workers(service: Service) -> list[int]:
    """Its children."""
    assert service.process
    pid = service.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
