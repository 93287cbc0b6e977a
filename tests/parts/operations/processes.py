"""Hosts that are the real commands of invirt-host, each call a process, with the fake driver.

Run as a program, it is a requester: `python3 -m tests.parts.operations.processes
FOLDER KIND NAME JSON` submits one operation, and may be killed.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

from invirt.base.errors import InvirtError
from invirt.remote.hosts import failure
from tests.parts.operations.fakehosts import OneByOne

ROOT = Path(__file__).parents[3]
PROGRAMS = {
    "domain": "invirt-host-domain",
    "volume": "invirt-host-volume",
    "host": "invirt-host-status",
    "job": "invirt-host-job",
}
CALLER = "host/remote.invirt.test@INVIRT.TEST"


class ProcessHosts(OneByOne):
    """A folder for each host below folder; the volumes' one is shared (see invirt.yaml)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def environment(self, hostname: str) -> dict[str, str]:
        """What remctld, and this host's own files, would give a command."""
        state = str(self.folder / hostname)
        xen = str(ROOT / "invirt-host/files/etc/xen")
        return {
            **os.environ,
            "REMOTE_USER": CALLER,
            "INVIRT_STATE": state,
            "INVIRT_RUN": f"{state}/run",
            "INVIRT_XEN": xen,
            "KRB5_CLIENT_KTNAME": self.keytab(hostname),
        }

    def keytab(self, hostname: str) -> str:
        """A file by which the commands know what host they are on: a first entry without a key."""
        file = self.folder / f"{hostname}.keytab"
        if not file.exists():
            words = [name.encode() for name in ("INVIRT.TEST", "host", hostname)]
            named = struct.pack(">H", 2) + b"".join(struct.pack(">H", len(word)) + word for word in words)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"\x05\x02" + struct.pack(">i", len(named)) + named)
        return str(file)

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        program = str(ROOT / "invirt-host/sbin" / PROGRAMS[words[0]])
        done = subprocess.run(
            [sys.executable, program, *words[1:]],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment(hostname),
            start_new_session=True,  # a host lives on when remote dies
        )
        if done.returncode:
            raise failure(done.returncode, done.stderr, hostname)
        return done.stdout

    def running(self) -> list[tuple[str, str]]:
        """Host and machine of each guest, from the hosts' own files."""
        found = self.folder.glob("*/fake/domains/d_*")
        return sorted((file.parts[-4], file.name.removeprefix("d_")) for file in found)


def main() -> int:
    """The requester."""
    from invirt.database import connection
    from invirt.remote.operations import Actor, submit

    folder, kind, name, wants = sys.argv[1:]
    connection.role = "remote"
    try:
        submit(kind, Actor("alice@INVIRT.TEST"), name, json.loads(wants), hosts=ProcessHosts(Path(folder)))
    except InvirtError as error:
        print(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
