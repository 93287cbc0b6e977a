"""A machine's life as users see it, with real guests on real hosts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from invirt_lab import console
from invirt_lab.demo import wait_off
from tests.lab.users import Lab, eventually

Make = Callable[..., str]
REFUSED = 255  # remctl's, for "Access denied"


def test_a_new_machine_has_a_row_an_address_a_mac_and_a_disk(lab: Lab, machine: Make) -> None:
    name = machine()
    row = lab.sql(
        "SELECT m.memory, m.host_id, d.name, d.size, n.ip, n.mac_addr FROM machines m"
        f" JOIN disks d USING (machine_id) JOIN nics n USING (machine_id) WHERE m.name = '{name}'"
    )
    memory, host, disk, size, ip, mac = row.strip().split("|")
    assert (memory, host, disk, size) == ("128", "", "hda", "1")
    assert re.fullmatch(r"10\.86\.0\.1\d\d", ip)
    assert re.fullmatch(r"[0-9a-f:]{17}", mac)
    assert [line for line in lab.volumes() if f"d_{name}_hda" in line and line.endswith(f" {1 << 30}")]
    shown = lab.remctl("alice", "machine", "show", name)
    assert ip in shown
    assert mac in shown


def test_a_guest_boots_to_its_prompt_and_obeys_shutdown(lab: Lab, machine: Make) -> None:
    name = machine()
    lab.remctl("alice", "control", name, "create")
    console.wait_for_prompt(name)
    assert "running" in lab.remctl("alice", "control", name, "status")
    assert "MemTotal" in console.ask(name, "grep MemTotal /proc/meminfo")
    assert "1073741824" in console.ask(name, "echo $(($(cat /sys/block/vda/size) * 512))")
    lab.remctl("alice", "control", name, "shutdown")
    wait_off(name)
    assert "off" in lab.remctl("alice", "control", name, "status")
    assert lab.sql(f"SELECT host_id FROM machines WHERE name = '{name}'").strip() == ""


def test_reboot_gives_a_new_guest(lab: Lab, machine: Make) -> None:
    name = machine()
    lab.remctl("alice", "control", name, "create")
    console.ask(name, "touch /before")
    lab.remctl("alice", "control", name, "reboot")
    gone = eventually(lambda: "gone" in console.ask(name, "[ -e /before ] || echo go''ne"), "a new boot")
    assert gone


def test_the_second_machine_goes_to_the_host_with_less_in_use(lab: Lab, machine: Make) -> None:
    in_use = (
        "SELECT h.name, coalesce(sum(m.memory), 0)"
        " FROM hosts h LEFT JOIN machines m USING (host_id) GROUP BY h.name"
    )
    for name in (machine(), machine()):
        memory = dict(line.split("|") for line in lab.sql(in_use).split())
        lab.remctl("alice", "control", name, "create")
        home = console.host_of(name)
        assert home
        assert int(memory[home]) == min(map(int, memory.values()))
        assert re.search(rf"{name}\b.*\b{home}\b", lab.remctl("alice", "machine", "list"))


def test_access_counts_at_the_next_call(lab: Lab, machine: Make) -> None:
    name = machine()
    assert lab.try_remctl("bob", "control", name, "status").returncode == REFUSED
    assert lab.try_remctl("bob", "machine", "show", name).returncode == 3
    lab.remctl("alice", "machine", "allow", name, "bob@INVIRT.TEST")
    assert "off" in lab.remctl("bob", "control", name, "status")
    assert name in lab.remctl("bob", "machine", "list")
    lab.remctl("alice", "machine", "disallow", name, "bob@INVIRT.TEST")
    assert lab.try_remctl("bob", "control", name, "status").returncode == REFUSED


def test_a_principal_called_anyuser_is_nobody_else(lab: Lab, machine: Make) -> None:
    name = machine()
    lab.remctl("alice", "machine", "allow", name, "ANYUSER")
    assert lab.try_remctl("bob", "control", name, "status").returncode == REFUSED


def test_a_stranger_learns_nothing_of_names(lab: Lab, machine: Make) -> None:
    name = machine()
    known = lab.try_remctl("bob", "control", name, "status")
    unknown = lab.try_remctl("bob", "control", "nosuch", "status")
    assert (known.returncode, known.stdout, known.stderr) == (
        unknown.returncode,
        unknown.stdout,
        unknown.stderr,
    )


@pytest.mark.usefixtures("tidy")
def test_resize_rename_delete(lab: Lab) -> None:
    before = lab.world()
    lab.remctl("alice", "machine", "create", "castor", "--memory", "128", "--disk", "1")
    lab.remctl("alice", "machine", "resize", "castor", "--memory", "192")
    lab.remctl("alice", "machine", "rename", "castor", "pollux")
    assert lab.try_remctl("alice", "machine", "show", "castor").returncode == 3
    assert "192" in lab.remctl("alice", "machine", "show", "pollux")
    assert [line for line in lab.volumes() if "d_pollux_hda" in line]
    assert lab.try_remctl("alice", "machine", "delete", "pollux").returncode == 2
    lab.remctl("alice", "machine", "delete", "pollux", "--yes")
    assert lab.world() == before


def test_quota_counts_what_is_there(lab: Lab, machine: Make) -> None:
    machines, memory, disk = used(lab)
    machine("--memory", "256")
    assert used(lab) == (machines + 1, memory + 256, disk + 1)


def used(lab: Lab) -> tuple[int, ...]:
    """What alice has: machines, MiB, GiB."""
    [quota] = json.loads(lab.remctl("alice", "machine", "quota", "--json"))
    return tuple(quota["used"][what] for what in ("machines", "memory", "disk"))


def test_help_and_summary(lab: Lab) -> None:
    done = lab.try_remctl("alice", "help")
    assert "machine create" in done.stdout
    assert "control NAME create" in done.stdout
    assert "--memory" in lab.remctl("alice", "machine", "help", "create")


def test_everything_is_audited(lab: Lab, machine: Make) -> None:
    name = machine()
    lab.try_remctl("bob", "machine", "delete", name, "--yes")
    rows = lab.sql(f"SELECT principal, outcome FROM audit WHERE machine_name = '{name}' ORDER BY audit_id")
    assert "alice@INVIRT.TEST" in rows
    assert "bob@INVIRT.TEST" in rows
