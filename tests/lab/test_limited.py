"""Busy guests are held to their part of the CPUs while they run; what was done is found in the journals."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from invirt_lab import cluster, console
from invirt_lab import host as this_machine
from invirt_lab.site import HOSTS, REALM
from tests.lab.users import Lab, eventually

pytestmark = pytest.mark.nightly
NAMES = ("busy", "busier")
SECONDS = 5.0  # that a guest is looked at
USED = "systemctl show -P MainPID invirt-guest@d_$0 | xargs -I% sed 's/.*) //' /proc/%/stat"
# A container may read cgroups of version 1, and write its own once told so; systemd looks as it starts.
CPUS = "/sys/fs/cgroup/cpu"
LENT = f"for one in {CPUS} {CPUS}acct; do mount -o remount,bind,rw $one; done; systemctl daemon-reexec"
PINNED = "systemctl show -P MainPID invirt-guest@d_$0 | xargs taskset -apc 0"


@pytest.fixture(scope="module")
def bounded(lab: Lab) -> Iterator[str]:
    """A host whose systemd bounds CPUs."""
    if not this_machine.cpu_cgroups():
        pytest.skip("this machine has no cgroups of CPUs of version 1, which alone a container is lent here")
    here = HOSTS[0]

    def boot(bounded: bool) -> None:
        cluster.kill(here)
        cluster.boot(here, bounded=bounded)
        cluster.wait_booted(here)

    boot(True)
    try:
        lab.on(here, "sh", "-ec", LENT)
        yield here
    finally:
        boot(False)


@pytest.fixture(scope="module")
def host(lab: Lab, bounded: str) -> Iterator[str]:
    """Where alice's guests run, which do nothing but count."""
    other = HOSTS[1]
    try:
        lab.admin("host", "set", other, "--disable")
        for name in NAMES:
            lab.remctl("alice", "machine", "create", name, "--memory", "128M", "--disk", "1G")
            eventually(partial(started, lab, name), f"{name} to boot")
            console.wait_for_prompt(name)
            console.ask(name, "{ while :; do :; done & }")
        yield bounded
    finally:
        lab.admin("host", "set", other, "--enable")
        for name in NAMES:
            lab.remove(name, "alice")


def started(lab: Lab, name: str) -> bool:
    """A host that was booted just now may not answer yet."""
    return lab.try_remctl("alice", "control", name, "create").returncode == 0


def shares(lab: Lab, host: str) -> list[float]:
    """Of a CPU, that each guest's QEMU has."""

    def ticks() -> list[int]:
        words = [lab.on(host, "sh", "-c", USED, name).stdout.split() for name in NAMES]
        return [int(one[11]) + int(one[12]) for one in words]

    begun, before = time.monotonic(), ticks()
    time.sleep(SECONDS)
    after, lasted = ticks(), time.monotonic() - begun
    found = [(new - old) / 100 / lasted for new, old in zip(after, before, strict=True)]
    print(f"of a CPU each has {found}")
    return found


def test_a_cap_holds_and_goes(lab: Lab, host: str) -> None:
    """However little the rest of this machine leaves: a guest that wants more gets no more than that."""
    least = min(shares(lab, host))
    cap = max(1, int(least * 100 / 3))
    lab.remctl("alice", "machine", "limit", NAMES[0], "--cap", str(cap), "--download", "50", "--upload", "50")

    def held() -> bool:
        capped, other = shares(lab, host)
        return capped < 1.3 * cap / 100 and other > 2 * cap / 100

    eventually(held, f"a cap of {cap}% to hold")
    assert "invirt_limit_inv" in lab.on(host, "nft", "list", "tables").stdout
    assert "tbf" in lab.on(host, "tc", "qdisc", "show").stdout
    lab.remctl("alice", "machine", "limit", NAMES[0], "--cap", "0", "--download", "0", "--upload", "0")
    eventually(lambda: shares(lab, host)[0] > 2 * cap / 100, "the cap to go")
    assert "tbf" not in lab.on(host, "tc", "qdisc", "show").stdout


def test_a_weight_shares_what_both_want(lab: Lab, host: str) -> None:
    """They are given one of this machine's CPUs to quarrel about."""
    for name in NAMES:
        lab.on(host, "sh", "-ec", PINNED, name)
    more, less = shares(lab, host)
    assert more < 2 * less
    lab.remctl("alice", "machine", "limit", NAMES[0], "--weight", "400")

    def shared() -> bool:
        more, less = shares(lab, host)
        return more > 2.5 * less

    eventually(shared, "the weight to count")


@pytest.mark.parametrize("field", [f"INVIRT_MACHINE={NAMES[0]}", f"INVIRT_PRINCIPAL=alice@{REALM}"])
def test_its_lines_are_found(lab: Lab, host: str, field: str) -> None:
    """By the machine and by who did it, in the journal of who did it for them."""
    said = lab.on("remote", "journalctl", "--no-pager", "-o", "cat", field).stdout
    assert f"machine limit {NAMES[0]}" in said
