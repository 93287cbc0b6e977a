"""Further servers of the database in the lab: they get copies, and any is made the one that has it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from invirt.base.process import run
from invirt_lab import cluster, host, roles
from invirt_lab.site import CLIENT, CLUSTER, LATER, SERVERS, USUAL
from tests.lab.users import Lab, eventually

FIRST, SECOND, THIRD = "db", "db2", "db3"
STANDBY = "invirt-database-standby"
ALL = [server.name for server in CLUSTER.values() if server.role not in ("", CLIENT) and not server.spare]
# Who writes there, as long as anybody is let in: what is acknowledged is printed.
WRITE = """
import time, psycopg2
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    try:
        made = psycopg2.connect(host="/run/postgresql", dbname="invirt", user="invirt")
        made.autocommit = True
        made.cursor().execute("INSERT INTO audit (principal, command, outcome) VALUES ('x', 'late', 'x')")
        print("written", flush=True)
    except psycopg2.Error as error:
        if "No such file" in str(error) or "refused" in str(error):
            break
    time.sleep(0.05)
"""


def config(first: str, copies: Sequence[str]) -> str:
    """invirt.yaml of all, where these servers may have the database."""
    names = ", ".join(SERVERS[name].fqdn for name in copies)
    hostname = f"hostname: {SERVERS[first].fqdn}\n"
    text = roles.config(USUAL).replace(f"hostname: {SERVERS[FIRST].fqdn}\n", hostname)
    addresses = ", ".join(server.address for server in LATER.values())
    text = text.replace("  servers: [10.", f"  servers: [{addresses}, 10.")
    return text.replace(hostname, f"{hostname}  copies: [{names}]\n  synchronous: true\n", 1)


def apply(text: str, names: Sequence[str]) -> None:
    """invirt.yaml on these servers, side by side."""

    def one(name: str) -> None:
        roles.write_config(SERVERS[name], text)
        cluster.on(name, "invirt-config", "apply")

    with ThreadPoolExecutor() as pool:
        list(pool.map(one, names))


def restart(name: str) -> None:
    """PostgreSQL there, whose environment has its keytab from then on."""
    cluster.on(name, "systemctl", "restart", "postgresql")


def make(*options: str, on: str = SECOND) -> str:
    """A copy there."""
    return cluster.on(on, STANDBY, "make", *options).stdout


def promote(lab: Lab, name: str, *options: str) -> None:
    """The copy there has the database from then on."""
    cluster.on(name, STANDBY, "promote", *options)
    lab.database = name


@contextmanager
def pair(lab: Lab) -> Iterator[None]:
    """FIRST has the database and SECOND a copy, for the length of the block; then all is as it was."""
    _add(SECOND, config(FIRST, [SECOND]))
    try:
        apply(config(FIRST, [SECOND]), [*ALL, SECOND])
        restart(FIRST)
        make()
        yield
    finally:
        hand_back(lab)
        apply(roles.config(USUAL), ALL)
        cluster.on(FIRST, STANDBY, "alone")
        restart(FIRST)
        cluster.kill(SECOND)


@contextmanager
def third(lab: Lab) -> Iterator[None]:
    """THIRD has a copy, too, beside a pair(), for the length of the block."""
    text = config(FIRST, [SECOND, THIRD])
    _add(THIRD, text)
    try:
        apply(text, [*ALL, SECOND, THIRD])
        make(on=THIRD)
        yield
    finally:
        hand_back(lab)
        apply(config(FIRST, [SECOND]), [*ALL, SECOND])
        cluster.kill(THIRD)


def _add(name: str, text: str) -> None:
    """Boot a server, and give it its role; text: its invirt.yaml."""
    roles.add_server(name)
    roles.write_config(SERVERS[name], text)
    roles.install_role(SERVERS[name])


def hand_back(lab: Lab) -> None:
    """FIRST has the database again, and SECOND a copy, whatever came before."""
    freeze(FIRST, stop=False)
    if not host.processes(FIRST):
        cluster.boot(FIRST)
        cluster.wait_booted(FIRST)
    if lab.database != FIRST:
        make("--yes", on=FIRST)
        promote(lab, FIRST)
    make("--yes")
    follows(FIRST, SECOND)


def follows(first: str, second: str) -> None:
    """Until status tells of first that it has the database, and of second that it follows."""

    def so() -> bool:
        said = cluster.on(first, STANDBY, "status", check=False).stdout.splitlines()
        lines = {line.split()[0].partition(".")[0]: line for line in said if line.strip()}
        waits, has = lines.get(first, ""), lines.get(second, "")
        return "synchronous" in waits and "not " not in waits and "follows" in has

    eventually(so, f"{second} to follow {first}")


def freeze(name: str, stop: bool) -> None:
    """Stop each process of a server, as a hypervisor that is out of breath would, or let it go on."""
    told: set[int] = set()
    while new := host.processes(name) - told:  # some may have been made meanwhile
        for pid in new:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if stop else signal.SIGCONT)
        told |= new


def refused(name: str) -> str:
    """What who writes on that server itself is told to be done, until PostgreSQL there lets nobody in."""
    return run(cluster.command_on(name, ["python3", "-c", WRITE]), timeout=90, check=False).stdout
