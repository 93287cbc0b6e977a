"""The consoles that this host's conserver serves: those of the machines that run here.

conserver's first process alone reads the list, see its unit; each console has
a process of its own that doesn't learn of changes.  So those whose machines
have gone are ended here: their users are told, and follow the machine.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from invirt.base import identity, validate
from invirt.base.names import PREFIX, MachineName, domain_of
from invirt.database.connection import Connection
from invirt.host import loading, paths
from invirt.host.console import conserver_list, logs

CHANNEL = "consoles"
EVERY = 2.0  # seconds between looks without word of a change: a conserver that starts has no list
MASTER = "127.0.0.1"  # this host, however its name resolves
STEP, STARTED = 0.05, 2.0  # seconds between looks, and in which one console more is started
REREAD = 0.2  # seconds in which conserver has read the list, unless it is starting consoles

HERE = """
SELECT m.name, m.machine_id FROM machines m JOIN hosts h USING (host_id)
WHERE %s IN (h.hostname, h.name) ORDER BY m.name
"""
# A guest that reboots, or has yet to boot, is waited for; of Xen's, without a Python for each try.
RELAY = "/usr/libexec/invirt/console"
QEMU = f"until cd {{guests}} && test -S {{domain}}/console && {RELAY} {{domain}}; do sleep 0.2; done"
SEEK = 1  # seconds between two questions whether a guest of Xen's has a console
XEN = f"until xl console {{domain}} 2>/dev/null; do sleep {SEEK}; done"
COMMAND = re.compile(rf"until .* # {PREFIX}([a-z0-9-]+) ([0-9]+)\0".encode())

Machine = tuple[MachineName, int]  # its name now, and its number


def console(name: MachineName, number: int, hypervisor: str) -> str:
    """The line of a machine's console.  Another machine of that name has another line, log and process."""
    domain = domain_of(validate.machine_name(name))
    program = (QEMU if hypervisor == "qemu" else XEN).format(guests=paths.run() / "guests", domain=domain)
    words = f'rw {name}.{number}; logfile {logs.path(number)}; exec "{program} # {domain} {number}";'
    return f"console {name} {{ master {MASTER}; {words} }}\n"


def update(connected: Connection, keeper: conserver_list.Keeper, host: str = "") -> None:
    """Bring the list up to date.  host: this one's name, by default as it knows it itself."""
    with connected.cursor() as cursor:
        cursor.execute(HERE, (host or identity.hostname(),))
        machines = [(MachineName(name), int(number)) for name, number in cursor.fetchall()]
    logs.forget(connected)
    pid = conserver_list.running(keeper.pidfile)
    if pid is None:
        return  # it begins with an empty list, see its unit, and is given its own when it runs
    driver = loading.driver()
    keeper.update(console(*machine, driver) for machine in machines)
    _await_started(pid, set(machines), keeper)
    if needless(serving(pid), machines):
        time.sleep(REREAD)  # one that conserver still wants would be started again
        for process in needless(serving(pid), machines):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)


def _await_started(pid: int, machines: set[Machine], keeper: conserver_list.Keeper) -> None:
    """Until each machine has its process, or nothing more happens."""
    limit = time.monotonic() + STARTED
    missing = machines - dict(serving(pid)).keys()
    while missing and time.monotonic() < limit:
        time.sleep(STEP)
        keeper.wake()
        now = machines - dict(serving(pid)).keys()
        limit = time.monotonic() + STARTED if now != missing else limit
        missing = now


def serving(conserver_pid: int) -> list[tuple[Machine, int]]:
    """Machines, with conserver's process for the console of each; the oldest first."""
    found = []
    for process in _children(conserver_pid):
        for program in _children(process):
            with suppress(OSError):
                if match := COMMAND.search(Path(f"/proc/{program}/cmdline").read_bytes()):
                    found.append(((MachineName(match[1].decode()), int(match[2])), process))
    return found


def needless(served: Iterable[tuple[Machine, int]], machines: Collection[Machine]) -> list[int]:
    """The processes for machines that aren't here, and all but the newest for one that is."""
    newest = dict(served)
    return [process for machine, process in served if machine not in machines or process != newest[machine]]


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
