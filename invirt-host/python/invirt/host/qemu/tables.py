"""What xm shows of QEMU's guests, in the columns of 2008: a domain's ID is its QEMU's process."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from invirt.base.errors import BadInput, InvirtError, NotFound
from invirt.base.names import DomainName
from invirt.host.protocols import Domain
from invirt.host.qemu import qmp
from invirt.host.qemu.guest import Guest

TICKS = os.sysconf("SC_CLK_TCK")  # a second, of the kernel's times
STATES = {"paused": "--p---", "shutdown": "---s--", "running": "r-----"}


@dataclass(frozen=True)
class Task:
    """A process or a thread: seconds that it had a CPU, and that it is old; the CPU that it was on last."""

    seconds: float
    age: float
    cpu: int


def task(folder: Path) -> Task:
    """What the kernel says of a folder of /proc that may have gone: then zeros (proc(5), stat)."""
    try:
        words = (folder / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return Task(0, 0, 0)
    ticks, born = int(words[11]) + int(words[12]), int(words[19]) / TICKS
    return Task(ticks / TICKS, max(0, time.clock_gettime(time.CLOCK_BOOTTIME) - born), int(words[36]))


def show(verb: str, names: Sequence[DomainName], domains: Sequence[Domain]) -> str:
    """The table of verb; NotFound for a name that none of domains has."""
    if verb == "info":
        return _info(domains)
    tables = {"list": _list, "uptime": _uptime, "vcpu-list": _vcpu_list}
    if verb not in tables:
        raise BadInput(f"xm {verb} is Xen's own: guests of QEMU have no such table")
    known = {domain.name: domain for domain in domains}
    for name in names:
        if name not in known:
            raise NotFound(f"{name} is off")
    return tables[verb]([known[name] for name in names or known])


def _process(domain: Domain) -> tuple[int, Task]:
    pid = qmp.pid(Guest(domain.name).qmp) or 0
    return pid, task(Path(f"/proc/{pid}"))


def _ask(domain: Domain, command: str) -> list[dict[str, object]]:
    """QEMU's answer; none if it can't say."""
    try:
        with qmp.Qmp(Guest(domain.name).qmp, timeout=1) as asked:
            answer = asked(command)
    except InvirtError:
        return []
    return [one for one in (answer if isinstance(answer, list) else [answer]) if isinstance(one, dict)]


def _state(domain: Domain) -> str:
    return STATES.get(str([*_ask(domain, "query-status"), {}][0].get("status")), "------")


def _list(domains: Sequence[Domain]) -> str:
    text = f"{'Name':<40} {'ID':>7} {'Mem':>6} {'VCPUs':>5}  {'State':<6} {'Time(s)':>9}\n"
    for domain in domains:
        pid, process = _process(domain)
        text += f"{domain.name:<40} {pid:>7} {domain.memory:>6} {domain.vcpus:>5}"
        text += f"  {_state(domain):<6} {process.seconds:>9.1f}\n"
    return text


def _uptime(domains: Sequence[Domain]) -> str:
    text = f"{'Name':<40} {'ID':>7} Uptime\n"
    for domain in domains:
        pid, process = _process(domain)
        text += f"{domain.name:<40} {pid:>7} {timedelta(seconds=int(process.age))}\n"
    return text


def _vcpu_list(domains: Sequence[Domain]) -> str:
    text = f"{'Name':<40} {'ID':>7} {'VCPU':>4} {'CPU':>4}  {'State':<5} {'Time(s)':>9} Affinity\n"
    for domain in domains:
        pid, state = qmp.pid(Guest(domain.name).qmp) or 0, _state(domain)[:3]
        for vcpu in _ask(domain, "query-cpus-fast"):
            thread = task(Path(f"/proc/{pid}/task/{vcpu.get('thread-id')}"))
            text += f"{domain.name:<40} {pid:>7} {vcpu.get('cpu-index'):>4} {thread.cpu:>4}"
            text += f"  {state:<5} {thread.seconds:>9.1f} any\n"
    return text


def _info(domains: Sequence[Domain]) -> str:
    pages = {
        word: os.sysconf(word) * os.sysconf("SC_PAGE_SIZE") >> 20
        for word in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES")
    }
    said = {
        "host": platform.node(),
        "release": platform.release(),
        "machine": platform.machine(),
        "nr_cpus": os.cpu_count(),
        "total_memory": pages["SC_PHYS_PAGES"],
        "free_memory": pages["SC_AVPHYS_PAGES"],
        "domains": len(domains),
        "hypervisor": "qemu",
    }
    return "".join(f"{word:<23}: {value}\n" for word, value in said.items())
