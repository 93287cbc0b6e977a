"""A guest moved by QEMU alone: two processes, its own TLS, and bare QMP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

from invirt.base.errors import NotFound
from invirt.host.domain import DomainConfig
from invirt.host.qemu.guest import arguments
from invirt.host.qemu.qmp import Qmp, connect
from invirt.host.waiting import wait
from tests.results import quickest

PATIENCE = 120.0  # seconds that anything may take
TLS = "tls-creds-x509"


class Events:
    """When the guest last stood still or went on, by QEMU's own word, at each of these sockets."""

    def __init__(self, *sockets: Path) -> None:
        self.at: dict[str, float] = {}
        self.listening: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._listen, args=(path,), daemon=True) for path in sockets]
        for thread in self.threads:
            thread.start()

    def _listen(self, path: Path) -> None:
        found: list[socket.socket] = []

        def connected() -> bool:
            with suppress(NotFound):  # not yet, or it is what an earlier QEMU left
                found.append(connect(path, PATIENCE))
            return bool(found)

        assert wait(connected, PATIENCE)
        self.listening += found
        with found[0], found[0].makefile("rb") as lines, suppress(OSError):
            found[0].sendall(b'{"execute": "qmp_capabilities"}\n')
            for line in lines:
                said = json.loads(line)
                if "event" in said:
                    when = said["timestamp"]
                    self.at[said["event"]] = when["seconds"] + when["microseconds"] / 1e6

    def still(self) -> float:
        """Seconds from where it stopped until it went on."""
        assert wait(lambda: {"STOP", "RESUME"} <= self.at.keys(), PATIENCE), self.at
        for listening in self.listening:  # QEMU has one listener at a time
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
        return self.at["RESUME"] - self.at["STOP"]


class Process:
    """A QEMU, with its sockets in a folder of its own."""

    def __init__(self, folder: Path, config: DomainConfig, coming: str = "") -> None:
        folder.mkdir(parents=True)
        self.qmp, self.events, self.log = folder / "qmp", folder / "events", folder / "log"
        [disk] = config.devices("disk")
        self.descriptors = {
            "qmp": _listen(self.qmp),
            "events": _listen(self.events),
            "console": _listen(folder / "console"),
            "log": os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND),
            disk["vdev"]: os.open(disk["target"], os.O_RDWR),
        }
        words = [word for word in arguments(config, "tcg", self.descriptors, coming) if word != "-S"]
        self.process = subprocess.Popen(words, pass_fds=[*self.descriptors.values()])
        for descriptor in self.descriptors.values():
            os.close(descriptor)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)


class Bare:
    """A guest that QEMU alone moves from process to process; certificates: see tls()."""

    def __init__(self, folder: Path, config: DomainConfig, certificates: Path) -> None:
        self.folder, self.config, self.certificates, self.count = folder, config, certificates, 0
        self.here = Process(folder / "0", config)
        assert wait(lambda: b"guest# " in self.here.log.read_bytes(), PATIENCE)
        with Qmp(self.here.qmp, PATIENCE) as qmp:
            self.model = str(qmp("qom-get", path="/machine", property="type")).removesuffix("-machine")

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *_: object) -> None:
        self.here.end()

    def move(self) -> tuple[float, float]:
        """Seconds that a move takes, from the start of the other QEMU to the end of this one; and of them
        those in which the guest stands still."""
        self.count += 1
        there = self.folder / str(self.count)
        events = Events(self.here.events, there / "events")
        took = quickest(lambda: self._move(there), 1)
        return took, events.still()

    def _move(self, folder: Path) -> None:
        there = Process(folder, self.config, self.model)
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"tcp:127.0.0.1:{free.getsockname()[1]}"
        try:
            self._send(there, address)
        except BaseException:
            there.end()
            raise
        self.here.end()
        self.here = there

    def _send(self, there: Process, address: str) -> None:
        with Qmp(there.qmp, PATIENCE) as target, Qmp(self.here.qmp, PATIENCE) as source:
            for qmp, end in ((target, "server"), (source, "client")):
                tls = {"id": end, "dir": str(self.certificates), "endpoint": end, "verify-peer": True}
                qmp("object-add", **{"qom-type": TLS, **tls})
                qmp("migrate-set-parameters", **{"tls-creds": end, "tls-hostname": "localhost"})
            target("migrate-incoming", uri=address)
            source("migrate-set-parameters", **{"max-bandwidth": 1 << 40, "downtime-limit": 300})
            source("migrate", uri=address)
            assert wait(lambda: source("query-migrate").get("status") in ("completed", "failed"), PATIENCE)
            assert wait(lambda: target.status() == "running", PATIENCE), source("query-migrate")


def tls(home: Path) -> Path:
    """The certificates of a home of tests.parts.host.test_moving, by the names that QEMU gives them."""
    folder = home / "tls"
    folder.mkdir()
    for name, file in (("ca-cert", "ca.pem"), ("server-cert", "crt"), ("server-key", "key"),
                       ("client-cert", "crt"), ("client-key", "key")):  # fmt: skip
        (folder / f"{name}.pem").write_bytes((home / file).read_bytes())
    return folder


def _listen(path: Path) -> int:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(5)
    return listening.detach()
