"""From the packages of the version before, with a guest, a console and operations under way.

The lab comes up with those of tests/lab/before; then each server is upgraded by
apt, in the order that the administrator's guide says.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pexpect
import pytest

from invirt_lab import cluster, lifecycle, packages, roles
from invirt_lab.progress import step
from invirt_lab.site import HOSTS, SERVERS, SHARED
from tests.lab import terminals
from tests.lab.faults import UNREACHABLE, finished, held, places
from tests.lab.users import Lab, eventually

HERE, THERE = HOSTS
BROKEN = f"{SHARED}/volumes/d_broken_hda"
UID = 'stat -c %u "/proc/$(systemctl show --value -p MainPID "invirt-guest@d_$0.service")"'
STATES = "SELECT machine_name, kind, state FROM operations WHERE machine_name = '{}' ORDER BY operation_id"


@dataclass
class Witness:
    """A guest that runs all the while on HERE, on whose console alice is all the while."""

    name: str
    terminal: pexpect.spawn
    process: str


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab of the version before."""
    cluster.down()
    lifecycle.up(before=True)
    yield Lab()
    cluster.down()


def process_of(lab: Lab, name: str) -> str:
    """The process of a guest that runs on HERE, and how often it was started again."""
    unit = f"invirt-guest@d_{name}.service"
    return lab.on(HERE, "systemctl", "show", "--property=MainPID,NRestarts", unit).stdout


def make(lab: Lab, name: str) -> None:
    lab.remctl("alice", "machine", "create", name, "--memory", "128", "--disk", "1")


@contextlib.contextmanager
def only(lab: Lab, host: str) -> Iterator[None]:
    """What is booted boots on this host."""
    others = [other for other in HOSTS if other != host]
    for other in others:
        lab.admin("host", "set", other, "--disable")
    yield
    for other in others:
        lab.admin("host", "set", other, "--enable")


def boot(lab: Lab, name: str, host: str) -> None:
    make(lab, name)
    with only(lab, host):
        lab.remctl("alice", "control", name, "create")
    assert places(lab, name) == [host]


@contextlib.contextmanager
def amid_a_boot(lab: Lab, name: str, host: str) -> Iterator[None]:
    """In the block the boot of a new machine waits on its host; then its end has been told."""
    make(lab, name)
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor())
        stack.enter_context(only(lab, host))
        with held(name):
            call = pool.submit(lab.try_remctl, "alice", "control", name, "create")
            asked = ("pgrep", "--full", f"create {name} ")
            eventually(lambda: lab.on(host, *asked, check=False).stdout, f"{host} to be asked to boot {name}")
            yield
        assert call.result().returncode in (UNREACHABLE, 1, 255), call.result()


def leave_stuck(lab: Lab) -> None:
    """What is in the way of a new disk can't be moved off; pauses between attempts are cut short."""
    for host in HOSTS:
        lab.on(host, "sh", "-c", 'truncate -s 2G "$0"; mount --bind "$0" "$0"', BROKEN)
    assert lab.try_remctl("alice", "machine", "create", "broken", "--memory", "128", "--disk", "1").returncode

    def stuck() -> bool:
        lab.sql("UPDATE operations SET lease_until = now() WHERE state = 'undoing'")
        return "create|stuck" in lab.sql(STATES.format("broken"))

    eventually(stuck, "the creation to be stuck")


def leave_running(lab: Lab) -> None:
    """The requester dies amid a boot, and nobody goes on with it."""
    lab.on("remote", "systemctl", "stop", "invirt-operations")
    with amid_a_boot(lab, "running", HERE):
        lab.on("remote", "systemctl", "kill", "--signal=KILL", "invirt-remctld@*", check=False)


@pytest.fixture(scope="module")
def witness(lab: Lab) -> Iterator[Witness]:
    make(lab, "deleted")
    lab.remctl("alice", "machine", "delete", "deleted", "--yes")
    lab.admin("owner", "set", "alice", "--machines", "20", "--memory", "2048")
    boot(lab, "witness", HERE)
    with terminals.closing(terminals.ssh("alice", "witness")) as terminal:
        terminals.prompt(terminal)
        terminal.sendline("mind=keeps")
        terminals.prompt(terminal)
        yield Witness("witness", terminal, process_of(lab, "witness"))


@pytest.fixture(scope="module", autouse=True)
def upgraded(lab: Lab, witness: Witness) -> None:
    """The upgrade; what can be seen only while it is under way is asserted here."""
    with contextlib.ExitStack() as fault:
        with step("leaving operations in every state"):
            leave_stuck(lab)
            leave_running(lab)
            with amid_a_boot(lab, "undoing", THERE):
                fault.enter_context(cluster.cut_off(THERE))
        assert "boot|undoing" in lab.sql(STATES.format("undoing"))
        assert "boot|running" in lab.sql(STATES.format("running"))
        packages.publish()
        for names in roles.UPGRADES[:2]:
            roles.upgrade(names)
    with step("asking hosts one version behind"):
        hosts_behind_serve(lab, witness)
    for names in roles.UPGRADES[2:]:
        roles.upgrade(names)


def hosts_behind_serve(lab: Lab, witness: Witness) -> None:
    """The remote server is new, the hosts are not: what is asked of them is done."""
    eventually(lambda: "boot|undone" in lab.sql(STATES.format("undoing")), "the boot to be undone")
    eventually(lambda: "boot|done" in lab.sql(STATES.format("running")), "the boot to be finished")
    assert "running" in lab.remctl("alice", "control", witness.name, "status")
    boot(lab, "between", THERE)
    lab.remctl("alice", "machine", "create", "passing", "--memory", "128", "--disk", "1")
    lab.remctl("alice", "machine", "delete", "passing", "--yes")


def test_the_guest_runs_on_and_the_console_stays_open(lab: Lab, witness: Witness) -> None:
    assert process_of(lab, witness.name) == witness.process
    terminals.prompt(witness.terminal)
    witness.terminal.sendline("echo $mind-$((6*7))")
    witness.terminal.expect("keeps-42")


def test_the_next_login_gets_in(witness: Witness) -> None:
    """And sees what was on the screen; but bob doesn't."""
    witness.terminal.send(terminals.LEAVE)
    witness.terminal.expect(pexpect.EOF)
    with terminals.closing(terminals.ssh("alice", witness.name)) as terminal:
        terminal.expect("keeps-42")
        terminals.prompt(terminal)
    with terminals.closing(terminals.ssh("bob", witness.name)) as terminal:
        terminal.expect("Permission denied")


def test_every_server_is_the_new_version_and_well(lab: Lab) -> None:
    new = packages.version()
    for name in itertools.chain(*roles.UPGRADES):
        shown = lab.on(name, "dpkg-query", "--show", "--showformat=${Version}", SERVERS[name].role)
        assert shown.stdout == new
        failed = lab.on(name, "systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout
        assert not failed, f"{name}: {failed}{lab.on(name, 'journalctl', '-q', '-p', '4', '-n', '30').stdout}"
        assert lab.on(name, "systemctl", "is-system-running").stdout == "running\n"
        assert lab.on(name, "systemctl", "is-active", "invirt-firewall").stdout == "active\n"


def test_machines_are_as_they_were(lab: Lab, witness: Witness) -> None:
    states = {"witness": "running", "running": "running", "between": "running", "undoing": "off"}
    for name, state in states.items():
        assert f"{name} is {state}" in lab.remctl("alice", "control", name, "status")
    assert lab.settled() == {HERE: ["running", "witness"], THERE: ["between"]}


def test_what_is_stuck_is_undone_once_nothing_is_in_the_way(lab: Lab) -> None:
    for host in HOSTS:
        lab.on(host, "umount", BROKEN)
    number = lab.sql("SELECT operation_id FROM operations WHERE state = 'stuck'").strip()
    lab.on("remote", "invirt-operations", "retry", number)
    finished(lab)
    assert "create|undone" in lab.sql(STATES.format("broken"))
    make(lab, "broken")


def test_new_machines_boot_on_each_host(lab: Lab) -> None:
    for host in HOSTS:
        boot(lab, f"new-{host}", host)
    for host in HOSTS:
        with terminals.closing(terminals.ssh("alice", f"new-{host}")) as terminal:
            terminals.prompt(terminal)


def test_logs_by_name_are_gone(lab: Lab) -> None:
    """Whose they are, nobody can say."""
    for said in lab.on_hosts("find", "/var/log/conserver", "-type", "f").values():
        assert said == ""


def test_what_was_deleted_is_in_its_owners_trash(lab: Lab) -> None:
    lab.on("remote", "invirt-reconcile", "--trash")
    assert "deleted" in lab.remctl("alice", "machine", "trash")
    lab.remctl("alice", "machine", "purge", "deleted", "--yes")
    assert "deleted" not in lab.remctl("alice", "machine", "trash")


def test_a_pool_of_one_hosts_own(lab: Lab) -> None:
    """Machines of before lie in the first pool; one of the new pool boots where that is seen."""
    lab.admin("pool", "add", "own", "--driver", "file", "--place", "/srv/own", "--host", THERE)
    lab.remctl("alice", "machine", "create", "pooled", "--memory", "128", "--disk", "1", "--pool", "own")
    lab.remctl("alice", "control", "pooled", "create")
    assert places(lab, "pooled") == [THERE]
    assert lab.on(THERE, "ls", "/srv/own").stdout == "d_pooled_hda\n"
    assert "hda 1 GiB in own" in lab.remctl("alice", "machine", "show", "pooled")
    assert "hda 1 GiB in default" in lab.remctl("alice", "machine", "show", "witness")
    lab.remctl("alice", "control", "pooled", "destroy")


def test_old_machines_boot_again(lab: Lab, witness: Witness) -> None:
    for name in ("running", "between"):
        lab.remctl("alice", "control", name, "destroy")
    lab.remctl("alice", "control", "undoing", "create")
    with only(lab, HERE):
        lab.remctl("alice", "control", witness.name, "destroy")
        lab.remctl("alice", "control", witness.name, "create")
    assert int(lab.on(HERE, "sh", "-c", UID, witness.name).stdout) >= 1900000000  # its own, at last
    lab.remctl("alice", "machine", "delete", "running", "--yes")
    assert lab.on("remote", "invirt-reconcile").stdout == "no difference\n"
