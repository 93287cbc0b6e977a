"""The hypervisor xen, driven by xl.

A guest that ended is off until remote says otherwise.  One that reboots xl boots again by itself,
with what it was booted with: its process for each domain waits for that, and tells in its log why a
domain ended.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess

from invirt.base.abilities import Can
from invirt.base.errors import Busy, CommandFailed, NotFound
from invirt.base.names import DomainName, machine_of
from invirt.base.process import run
from invirt.host import leftovers, paths, tokens
from invirt.host.console import logs
from invirt.host.domain import DomainConfig
from invirt.host.moving import papers
from invirt.host.protocols import OBEY, Domain, Limits
from invirt.host.records import KILLED, POWEROFF, Record
from invirt.host.waiting import wait
from invirt.host.xen import config as rendering
from invirt.host.xen import throttling, told
from invirt.host.xen.xl import INCOMING, LONG, Row, Xl, coming, leaving, pipe

LOGS = Path("/var/log/xen")  # xl-NAME.log; of one that came from another host, as it was called then
VOLUMES = "/usr/libexec/invirt/volumes"
MOST_WEIGHT = 65535
END = 10.0  # seconds until one that is destroyed must be gone
SHUT_DOWN = re.compile(rb"has shut down, reason code ([0-9]+)")
OFF, REBOOT = b"0", b"1"  # Xen's codes (xen/include/public/sched.h)


class Xen:
    """Domains of xl; run starts its processes; one that is asked to reboot has obey seconds to go down."""

    can = frozenset({Can.CDROM, Can.SCREEN, Can.GROW, Can.CAP, Can.MOVE, Can.INSTALL, Can.RESCUE})

    def __init__(self, run: Callable[..., CompletedProcess[str]] = run, obey: float = OBEY) -> None:
        self.xl = Xl(run)
        self.obey = obey

    def create(self, config: DomainConfig) -> None:
        """What xl would drop is refused; a name that is another's, or on its way in, is its own refusal."""
        row = self.xl.row(config.name)
        if row is not None and not row.over:
            return
        try:
            self.prepare(config)
            if machine := machine_of(config.name):
                papers.forget(machine)
            decided(config.name)
            if row is not None:  # its remains would keep its name
                self._end(config.name)
            self._boot(config.name)
        finally:
            told.forget(config.name)

    def prepare(self, config: DomainConfig) -> None:
        """All but the boot.  BadInput for what xl would drop."""
        record, file = Record(config.name), written(config.name)
        rendering.check(config)
        given = told.added(config)
        paths.write(file, rendering.rendered(given))
        self.xl.check(given, file)
        leftovers.clear(record, config.machine)
        paths.write(record.config_file, config.without("install").json())
        record.ended.unlink(missing_ok=True)
        if rendering.has_screen(config):
            place_screen(config.machine or 0)

    def _boot(self, name: DomainName) -> None:
        """One that is ending is waited for; of one that doesn't start nothing stays, be it that xl hangs."""
        try:
            self.xl.run(["systemctl", "restart", unit(name)], timeout=LONG)
        except CommandFailed as error:
            said = self.unit_said(name) or error.hint or error.message
            for verb in ("kill --signal=KILL", "stop"):
                self.xl.run(["systemctl", *verb.split(), unit(name)], check=False, timeout=LONG)
            with suppress(CommandFailed):  # that it did not start is what counts
                self._end(name)
            raise CommandFailed(f"{name} did not start", hint=said) from error

    def lock(self, name: DomainName, how: str) -> None:
        """Its volumes, where several hosts see them: "hold" for this host alone, "share" or "release"."""
        try:
            self.xl.run([VOLUMES, how, name], timeout=LONG)
        except CommandFailed as error:
            raise Busy(f"the disks of {name} can't be locked ({how})", hint=error.hint) from error

    def unit_said(self, name: DomainName) -> str:
        """The last lines of xl in its unit."""
        words = ["journalctl", "-q", "-u", unit(name), "-n", "5", "-o", "cat", "-t", "xl"]
        return str(self.xl.run(words).stdout.strip())

    def domains(self) -> list[Domain]:
        return [Domain(row.name, row.memory, row.vcpus) for row in self._here()]

    def births(self) -> dict[DomainName, str]:
        """Its number, and its disks' threads."""
        threads = throttling.threads()
        return {row.name: " ".join((str(row.number), *threads.get(row.number, ()))) for row in self._here()}

    def _here(self) -> list[Row]:
        return [row for row in self.xl.rows() if not row.over and not row.name.endswith(INCOMING)]

    def running(self, name: DomainName) -> bool:
        return self._running(name) is not None

    def _running(self, name: DomainName) -> Row | None:
        row = self.xl.row(name)
        return None if row is None or row.over else row

    def ended(self) -> dict[DomainName, str]:
        running = {row.name for row in self.xl.rows() if not row.over}
        off = [record for record in off_here() if record.name not in running]
        return {record.name: POWEROFF if why(record) in (POWEROFF, KILLED) else "crash" for record in off}

    def shutdown(self, name: DomainName) -> None:
        if self.running(name):
            self.xl("shutdown", "-F", name)

    def reboot(self, name: DomainName) -> None:
        """A domain that has rebooted has another number, and stands still until all its devices are there."""
        before = self._running(name)
        if before is None:
            raise NotFound(f"{name} is off", hint="Boot it instead.")

        def anew() -> bool:
            row = self._running(name)
            return row is not None and row.number != before.number and not row.paused

        try:
            self.xl("reboot", "-F", name)
            obeyed = wait(anew, self.obey)
        except CommandFailed:  # a PC without Xen's drivers can only be asked to power off
            self.xl("shutdown", "-F", name)
            wait(lambda: not self.running(name), self.obey)
            obeyed = False
        if not obeyed:
            self._end(name)
            self._boot(name)

    def destroy(self, name: DomainName) -> None:
        """One on its way in ends, too; a unit leaves alone the disks of one that is on its way."""
        undecided = coming(name).exists() or leaving(name).exists()
        if coming(name).exists() or any(not row.over for row in self._rows(name)):
            Record(name).end_by(KILLED)
        self._end(name)
        if undecided:
            self.lock(name, "release")
        decided(name)

    def _rows(self, name: DomainName) -> list[Row]:
        """What there is of it, be it on its way in, or its remains."""
        return [row for row in self.xl.rows() if row.name in (name, name + INCOMING)]

    def _end(self, name: DomainName) -> None:
        """Whatever is there of it, be it that it obeys meanwhile, and is booted again; its unit gives its
        disks back."""
        said = "xl list and xl dmesg tell more."

        def gone() -> bool:
            nonlocal said
            rows = self._rows(name)
            for row in rows:
                try:
                    self.xl("destroy", row.name)
                except CommandFailed as error:  # that it is gone is what counts
                    said = error.hint or said
            return not rows

        if not wait(gone, END):
            raise CommandFailed(f"{name} can't be ended", hint=said)
        self.xl.run(["systemctl", "stop", unit(name)], check=False, timeout=LONG)

    def _bury(self, name: DomainName) -> None:
        """Take away the remains of a domain that has ended: they would keep its name."""
        row = self.xl.row(name)
        if row is not None and row.over:
            self._end(name)

    def eject(self, name: DomainName) -> None:
        """The guest has no drive for it any more when it is booted again."""
        record = Record(name)
        place = rendering.cds(record.config()).get(rendering.MACHINES_CD) if self.running(name) else None
        if place:
            self.xl("cd-eject", name, place)
            without = rendering.without_disk(record.config(), rendering.MACHINES_CD)
            paths.write(record.config_file, without.json())
            paths.write(written(name), rendering.rendered(without))

    def pause(self, name: DomainName) -> None:
        self._turn(name, "pause")

    def unpause(self, name: DomainName) -> None:
        self._turn(name, "unpause")

    def _turn(self, name: DomainName, verb: str) -> None:
        if not self.running(name):
            raise NotFound(f"{name} is off")
        self.xl(verb, name)

    def plug(self, config: DomainConfig, interface: str) -> None:
        """xl takes the words of xl-network-configuration(5); its script guards and leads the link."""
        said = [f"{key}={value}" for key, value in config.nic(interface).items()]
        self.xl("network-attach", config.name, *said)

    def unplug(self, name: DomainName, interface: str, mac: str) -> bool:
        self.xl("network-detach", name, mac)
        return True

    def limit(self, name: DomainName, limits: Limits) -> None:
        """CPUs by the scheduler: its weight is 256 where others' is 100, and a cap of 0 is none."""
        row = self._running(name)
        if row is None:
            raise NotFound(f"{name} is off")
        weight = min(max(1, round((limits.weight or 100) * 2.56)), MOST_WEIGHT)
        self.xl("sched-credit2", "-d", name, "-w", str(weight), "-c", str(limits.cap or 0))
        throttling.throttle(self.xl.run, unit(name), row.number, disks_of(name), limits)

    def said(self, name: DomainName) -> bytes:
        """As conserver keeps it."""
        return logs.end(Record(name).machine() or 0)

    def console(self, name: DomainName) -> None:
        os.execvp("xl", ["xl", "console", name])

    def tidy(self, days: float) -> None:
        """What is left of guests that were off for so long goes."""
        remains = {row.name for row in self.xl.rows() if row.over}
        for record in Record.all():
            with tokens.locked(machine_of(record.name) or record.name):
                if record.name in remains:
                    self._forsake(record.name)
                age = time.time() - record.folder.stat().st_mtime
                if age > days * 86400 and not self.running(record.name):
                    shutil.rmtree(record.folder)

    def _forsake(self, name: DomainName) -> None:
        """One that went on after a move that failed has no process of xl's any more, which would end it."""
        done = self.xl.run(["systemctl", "is-active", "--quiet", unit(name)], check=False)
        if done.returncode:
            self._bury(name)
            self.lock(name, "release")

    def show(self, verb: str, names: Sequence[DomainName]) -> str:
        """xl's own, which are those of 2008."""
        if verb == "sched-credit2":
            return "".join(self.xl(verb, "-d", name) for name in names) if names else self.xl(verb)
        return self.xl(verb, *names)

    def status(self) -> dict[str, str]:
        return {"accelerator": "xen"}


def place_screen(number: int) -> None:
    """The machine's folder, new and empty, in which root alone makes sockets."""
    folder = paths.screen(number).parent
    shutil.rmtree(folder, ignore_errors=True)
    paths.make(folder.parent)
    folder.mkdir()
    folder.chmod(0o711)


def unit(name: DomainName) -> str:
    """That in which xl's process for the domain outlives us."""
    return f"invirt-domain@{name}.service"


def off_here() -> list[Record]:
    """Of domains that are off, unless they run: nothing is known yet of one that is on its way in."""
    return [record for record in Record.all() if not coming(record.name).exists()]


def disks_of(name: DomainName) -> list[str]:
    """Where its disks are; none of a domain that was not booted by us."""
    try:
        disks = Record(name).config().devices("disk")
    except FileNotFoundError:
        return []
    return [disk["target"] for disk in disks if disk.get("devtype") != "cdrom"]


def decided(name: DomainName) -> None:
    """The domain isn't on its way to another host, or from one, any more."""
    for path in (leaving(name), pipe(name), coming(name)):
        path.unlink(missing_ok=True)


def written(name: DomainName) -> Path:
    """The file that xl is given: root alone reads it."""
    return paths.state() / "domains" / name


def why(record: Record) -> str:
    """Why a domain that is off is: "poweroff", "killed", "host" or "crash".

    One that was to boot again after a reboot, and could not, has crashed.
    """
    try:
        return record.ended.read_text()
    except FileNotFoundError:
        said = SHUT_DOWN.findall(paths.tail(_log(record.name), 1 << 16))
    by_itself = {OFF, REBOOT} if record.on_reboot() == "destroy" else {OFF}
    return POWEROFF if said and said[-1] in by_itself else "crash"


def _log(name: DomainName) -> Path:
    """Of its last launch here."""
    logs = [LOGS / f"xl-{called}.log" for called in (name, name + INCOMING)]
    return max(logs, key=lambda log: log.stat().st_mtime if log.exists() else 0)
