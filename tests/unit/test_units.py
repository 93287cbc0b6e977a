"""Units: what a worker may do is what the program of its caller may."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from invirt.base import ports

# What is the door's alone, and what bounds one connection where the workers' bounds all of them.
DOORS = ("ExecStart", "Standard", "Environment", "RuntimeMaxSec", "MemoryMax", "TasksMax")
WORKERS = (
    *("ExecStart", "Environment", "MemoryMax", "TasksMax"),
    *("Type", "Restart", "RuntimeDirectory", "KillMode", "OOMPolicy"),
)
# What takes a mount namespace, which a door that is made anew for each call has no time for.
MOUNTS = ("ProtectSystem", "ProtectHome", "ProtectControlGroups", "ProtectKernel", "ReadWritePaths")


def service(unit: Path, but: tuple[str, ...]) -> list[str]:
    """The lines of [Service], without those that begin so."""
    lines = unit.read_text().partition("[Service]\n")[2].partition("\n[")[0].splitlines()
    return sorted(line for line in lines if line and not line.startswith(("#", *but)))


@pytest.mark.parametrize(
    ("door", "workers"),
    [
        ("invirt-remote/systemd/invirt-remctld@.service", "invirt-remote/systemd/invirt-remote-warm.service"),
        ("invirt-host/systemd/invirt-host-remctld@.service", "invirt-host/systemd/invirt-host-warm.service"),
        ("invirt-host/systemd/invirt-host-job@.service", "invirt-host/systemd/invirt-host-warm.service"),
    ],
)
def test_a_worker_is_confined_as_the_program_is(checkout: Path, door: str, workers: str) -> None:
    more = () if "job" in door else MOUNTS
    wanted = service(checkout / door, (*DOORS, "Type"))
    assert len(wanted) > 12
    assert service(checkout / workers, (*WORKERS, *more)) == wanted


def test_each_unit_is_in_a_package(checkout: Path) -> None:
    """By its name, or with its folder."""
    lines = [line for file in checkout.glob("debian/*.install") for line in file.read_text().splitlines()]
    installed = {path for line in lines for path in checkout.glob(line.split()[0])}
    units = set(checkout.glob("invirt-*/systemd/*"))
    assert units and units <= installed


def test_what_a_unit_has_said_is_not_truncated_at_its_end(checkout: Path) -> None:
    """systemd opens the output once more for each program of a unit, ExecStopPost= too."""
    for unit in checkout.glob("invirt-*/systemd/*.service"):
        text = unit.read_text()
        assert "truncate:" not in text or len(re.findall(r"(?m)^Exec\w+=", text)) == 1, unit.name


def test_programs_and_units_agree_where_workers_listen(checkout: Path) -> None:
    """Root's alone."""
    assert b"d /run/invirt/warm 0700 root root -\n" in (checkout / "debian/invirt-base.tmpfiles").read_bytes()
    client = (checkout / "invirt-base/libexec/warm").read_text()
    assert 'b"/run/invirt")' in client and 'b"/warm/" + role' in client
    for role in ("remote", "host"):
        unit = (checkout / f"invirt-{role}/systemd/invirt-{role}-warm.socket").read_text()
        assert f"\nListenStream=/run/invirt/warm/{role}\nSocketMode=0600\nDirectoryMode=0700\n" in unit


def test_an_answer_in_two_pieces_waits_for_no_word_of_the_first(checkout: Path) -> None:
    """remctld sends output and exit code apart; parts' remctld does as the first unit says."""
    for unit in ("invirt-remote/systemd/invirt-remctld", "invirt-host/systemd/invirt-host-remctld"):
        assert "\nNoDelay=yes\n" in (checkout / f"{unit}.socket").read_text()


@pytest.mark.parametrize("role", ports.ROLES)
def test_a_role_looks_at_its_ports_before_it_starts(checkout: Path, role: str) -> None:
    server, plain = (checkout / f"debian/invirt-{role}{kind}.postinst" for kind in ("-server", ""))
    script = server if server.exists() else plain
    assert f"invirt-config ports {role} " in script.read_text().partition("#DEBHELPER#")[0]


@pytest.mark.parametrize("role", ports.ROLES)
def test_each_door_is_a_port_that_is_looked_at(checkout: Path, role: str) -> None:
    (rules,) = (checkout / "tests/golden/base/expected").glob(f"*/etc/invirt/nftables/{role}.nft")
    doors = {
        (name.upper(), int(port)) for name, port in re.findall(r"(tcp|udp) dport (\d+)", rules.read_text())
    }
    assert doors
    certificates = ("TCP", 8443)  # a port only where there is an invirt.yaml that says so
    assert doors - {certificates} <= {(ports.NAMES[need.kind], need.port) for need in ports.needs(role)}


@pytest.mark.parametrize(
    "unit",
    [
        "systemd/invirt-host-observer.service",
        "systemd/invirt-host-limits.service",
        "files/usr/lib/systemd/system/conserver-server.service.d/invirt-host.conf",
    ],
)
def test_who_runs_xl_may_open_what_it_opens(checkout: Path, unit: str) -> None:
    """Of devices, where others are closed to it; libxl 4.17 ends where it misses one."""
    lines = (checkout / "invirt-host" / unit).read_text().splitlines()
    assert "DevicePolicy=closed" in lines
    for device in ("privcmd", "hypercall", "xenbus", "evtchn", "gntdev"):
        assert f"DeviceAllow=/dev/xen/{device} rw" in lines
