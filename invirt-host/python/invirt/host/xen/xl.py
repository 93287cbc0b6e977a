"""xl, whose exit status says nothing: what it says beside that is read, and held against what was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from invirt.base.errors import BadInput
from invirt.base.names import DomainName
from invirt.base.process import run
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.xen import config as rendering

LONG = 300.0  # seconds for what waits for a guest's devices
INCOMING = "--incoming"  # ends the name of a domain that is on its way in from another host
# What it says though nothing is wrong.
HARMLESS = re.compile(r'Parsing config from .*|got a tsc mode string: ".*"|')


@dataclass(frozen=True)
class Row:
    """A line of `xl list`.  memory: MiB.  states: letters of r, b, p, s, c and d.  seconds: of CPUs.

    leaving: it is on its way to another host, see invirt.host.xen.moving.
    """

    name: DomainName
    number: int
    memory: int
    vcpus: int
    states: str
    seconds: float
    leaving: bool = False

    @property
    def paused(self) -> bool:
        """Whether it stands still, or is being made."""
        return "p" in self.states or (self.leaving and "s" in self.states)

    @property
    def over(self) -> bool:
        """Whether it has ended, and only its remains are there; one that leaves is suspended at last."""
        return any(letter in self.states for letter in ("cd" if self.leaving else "scd"))


def leaving(name: DomainName) -> Path:
    """What xl says of the domain's way to another host; there as long as that isn't decided."""
    return paths.run() / "leaving" / name


def coming(name: DomainName) -> Path:
    """What xl is told of a domain on its way in; there as long as it isn't decided where it runs."""
    return paths.run() / "coming" / f"{name}.cfg"


def pipe(name: DomainName) -> Path:
    """Where xl reads it: as long as this is there, the domain's unit takes it in instead of booting it."""
    return coming(name).with_suffix("")


class Xl:
    """run: starts its processes."""

    def __init__(self, run: Callable[..., CompletedProcess[str]] = run) -> None:
        self.run = run

    def __call__(self, *words: str) -> str:
        """What it prints."""
        return self.run(["xl", *words], timeout=LONG).stdout

    def rows(self) -> list[Row]:
        """All domains, those of others too; the name, which may be anything, comes first."""
        lines = (line.rsplit(maxsplit=5) for line in self.run(["xl", "list"]).stdout.splitlines()[1:])
        return [_row(*line) for line in lines if len(line) == 6]

    def row(self, name: DomainName) -> Row | None:
        """That of one domain: xl's own question for a name fails the same way for any reason."""
        return next((row for row in self.rows() if row.name == name), None)

    def check(self, config: DomainConfig, file: Path) -> None:
        """Raises BadInput for what it would not understand, or drop, of the file made of config."""
        done = self.run(["xl", "create", "-n", str(file)], check=False)
        said = [line for line in done.stderr.splitlines() if not HARMLESS.fullmatch(line.strip())]
        if said or done.returncode:
            raise BadInput(
                f"xl doesn't take the configuration of {config.name}",
                hint="\n".join(said[-5:]) or done.stdout,
            )
        for word, meant, understood in differences(config, json.loads(done.stdout)):
            raise config.refusal(word, f"= {meant} is taken for {understood} by xl", "See xl.cfg(5).")


def _row(name: str, number: str, memory: str, vcpus: str, states: str, seconds: str) -> Row:
    domain = DomainName(name.strip())
    numbers = int(number), int(memory), int(vcpus)
    return Row(domain, *numbers, states, float(seconds), leaving(domain).exists())


def differences(config: DomainConfig, told: Any) -> Iterator[tuple[str, object, object]]:
    """Words of which xl understood something else than was meant: word, what was meant, what xl has."""
    words = rendering.words(config)
    one, built = told.get("c_info", {}), told.get("b_info", {})
    sched = built.get("sched_params", {})
    understood = {
        "name": one.get("name"),
        "type": one.get("type"),
        "memory": built.get("target_memkb", 0) >> 10,
        "maxmem": built.get("max_memkb", 0) >> 10,
        "maxvcpus": built.get("max_vcpus"),
        "cap": sched.get("cap", -1),
        "cpu_weight": sched.get("weight", -1),
    }
    meant = {"maxvcpus": words.get("vcpus", 1), **words}
    for word, value in understood.items():
        if word in meant and meant[word] != value:
            yield word, meant[word], value
    for word, devices in (("disk", "disks"), ("vif", "nics")):
        wanted, found = len(config.devices(word)), len(told.get(devices, []))
        if wanted != found:
            yield word, f"{wanted} devices", found
