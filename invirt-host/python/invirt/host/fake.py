"""A hypervisor and a storage for tests: they keep state, and fail when told to.

$INVIRT_STATE/fake/domains/NAME holds the configuration of each domain that
"runs".  A file $INVIRT_STATE/fake/faults/STEP makes STEP go wrong; it holds
words: `before` or `after` (the work is done), `fail`, `hang` (until the file
is gone) or `kill` (SIGKILL to the process itself), and maybe `once`.  Steps
are create, shutdown, reboot, destroy, list, said, and volume-create,
volume-resize, volume-rename, volume-remove, volume-restore, volume-return,
volume-purge.
A file $INVIRT_STATE/fake/deaf/NAME is a guest that doesn't obey shutdown.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from invirt.base import log
from invirt.base.abilities import Can
from invirt.base.errors import CommandFailed, NotFound
from invirt.base.names import DomainName, MachineName, machine_of
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.protocols import Domain, Limits
from invirt.host.storage.files import FileStorage

INSTALLED = "invirt-install: 100% done\n"


class FakeHypervisor:
    """Domains that are files."""

    can = frozenset(Can) - {Can.MOVE}

    def create(self, config: DomainConfig) -> None:
        with step("create"):
            if not self.running(config.name):
                paths.write(_domain(config.name), config.without("install").json())
                paths.write(_booted(config.name), "")
                paths.write(_said(config.name), INSTALLED if config.install else "")

    def domains(self) -> list[Domain]:
        with step("list"):
            folder = _home() / "domains"
            files = sorted(folder.glob("[!.]*")) if folder.is_dir() else []
            found = [DomainConfig.from_json(file.read_text()) for file in files]
            return [Domain(one.name, one.memory, one.vcpus) for one in found]

    def births(self) -> dict[DomainName, str]:
        return {one.name: "" for one in self.domains()}

    def running(self, name: DomainName) -> bool:
        return _domain(name).exists()

    def ended(self) -> dict[DomainName, str]:
        """A domain's file that somebody else took away is one that crashed."""
        folder = _home() / "booted"
        names = [DomainName(path.name) for path in folder.glob("[!.]*")]
        return {name: _booted(name).read_text() or "crash" for name in names if not self.running(name)}

    def shutdown(self, name: DomainName) -> None:
        with step("shutdown"):
            if not (_home() / "deaf" / (machine_of(name) or name)).exists():
                _end(name)

    def reboot(self, name: DomainName) -> None:
        with step("reboot"):
            if not self.running(name):
                raise NotFound(f"{name} is off")

    def destroy(self, name: DomainName) -> None:
        with step("destroy"):
            _end(name)

    def limit(self, name: DomainName, limits: Limits) -> None:
        if self.running(name):
            log.write(f"{name} is held to {limits}")

    def eject(self, name: DomainName) -> None:
        """It has no drives."""
        with step("eject"):
            pass

    def pause(self, name: DomainName) -> None:
        self._require(name)

    def unpause(self, name: DomainName) -> None:
        self._require(name)

    def _require(self, name: DomainName) -> None:
        if not self.running(name):
            raise NotFound(f"{name} is off")

    def plug(self, config: DomainConfig, interface: str) -> None:
        if self.running(config.name):
            paths.write(_domain(config.name), config.json())

    def unplug(self, name: DomainName, interface: str, mac: str) -> bool:
        return True

    def said(self, name: DomainName) -> bytes:
        """An installer has done its work by the time that it is asked; it powers off then."""
        with step("said"):
            said = _said(name).read_bytes() if _said(name).exists() else b""
            if said:
                _end(name)
            return said

    def console(self, name: DomainName) -> None:
        if not self.running(name):
            raise NotFound(f"{name} is off")
        print(f"{name} is a fake and says nothing.")

    def tidy(self, days: float) -> None:
        """Ended domains leave nothing."""

    def show(self, verb: str, names: Sequence[DomainName]) -> str:
        return "".join(f"{domain.name}\n" for domain in self.domains() if not names or domain.name in names)

    def status(self) -> dict[str, str]:
        return {"accelerator": "none"}


class FakeStorage(FileStorage):
    """Sparse files whose handling fails when told to."""

    def create(self, name: MachineName, disk: str, gib: int) -> None:
        with step("volume-create"):
            super().create(name, disk, gib)

    def resize(self, name: MachineName, disk: str, gib: int) -> None:
        with step("volume-resize"):
            super().resize(name, disk, gib)

    def rename(self, name: MachineName, disk: str, new_name: MachineName, new_disk: str) -> None:
        with step("volume-rename"):
            super().rename(name, disk, new_name, new_disk)

    def remove(self, name: MachineName, disk: str, operation: int) -> None:
        with step("volume-remove"):
            super().remove(name, disk, operation)

    def restore(
        self,
        name: MachineName,
        disk: str,
        operation: int,
        new_name: MachineName | None = None,
        new_disk: str | None = None,
    ) -> None:
        with step("volume-restore"):
            super().restore(name, disk, operation, new_name, new_disk)

    def give_up(
        self, name: MachineName, disk: str, operation: int, new_name: MachineName, new_disk: str
    ) -> None:
        with step("volume-return"):
            super().give_up(name, disk, operation, new_name, new_disk)

    def purge(self, name: MachineName, disk: str, operation: int) -> None:
        with step("volume-purge"):
            super().purge(name, disk, operation)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Go wrong before or after the work in the block, if the step's file says so."""
    fault = _home() / "faults" / name
    _go_wrong(fault, "before")
    yield
    _go_wrong(fault, "after")


def _go_wrong(fault: Path, when: str) -> None:
    try:
        words = fault.read_text().split()
    except FileNotFoundError:
        return
    if when not in words:
        return
    if "once" in words:
        fault.unlink()
    if "kill" in words:
        os.kill(os.getpid(), signal.SIGKILL)
    while "hang" in words and fault.exists():
        time.sleep(0.02)
    if "fail" in words:
        raise CommandFailed(f"{fault.name} failed as it was told to")


def _domain(name: DomainName) -> Path:
    return _home() / "domains" / name


def _said(name: DomainName) -> Path:
    return _home() / "said" / name


def _booted(name: DomainName) -> Path:
    return _home() / "booted" / name


def _end(name: DomainName) -> None:
    if _booted(name).exists():
        paths.write(_booted(name), "poweroff")
    _domain(name).unlink(missing_ok=True)


def _home() -> Path:
    return paths.state() / "fake"
