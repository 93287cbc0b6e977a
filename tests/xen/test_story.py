"""A site of which two hosts run Xen: users do there what they do anywhere, through every other server."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from invirt_lab import cluster, console, pages, xen_site
from invirt_lab.xen_host import Xen
from invirt_lab.xen_site import TYPE
from tests.lab.users import Lab, eventually
from tests.web.server.consoles import watching
from tests.web.server.screens import Screen
from tests.xen import locks
from tests.xen.on_site import LONG, SLOW, Make, debian, hosts, lab, machine, remus, san, tidy

__all__ = ["debian", "hosts", "lab", "machine", "remus", "san", "tidy"]  # fixtures
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(6 * SLOW)]
CRASH = "touch /before; (sleep 10; echo c >/proc/sysrq-trigger) & true"
ALL_AGREE = 0
STRANGER = 'name = "d_stranger"\ntype = "pvh"\nmemory = 96\nkernel = "{0}/vmlinuz"\nramdisk = "{0}/initrd"\n'
KERNEL = "/var/lib/invirt/kernel"


def volumes(host: str) -> list[str]:
    """Of the host's own group."""
    return cluster.on(host, "lvs", "--noheadings", "-o", "lv_name", "invirt").stdout.split()


def cap(host: str, name: str) -> int:
    """To which the machine's guest is held there, in percent of a CPU."""
    return int(cluster.on(host, "xl", "sched-credit2", "-d", f"d_{name}").stdout.split()[-1])


def held(host: str, name: str) -> str:
    """What its guest may take of what its disks lie on; and what runs there of the kernel's, for them."""
    group = f"/sys/fs/cgroup/system.slice/*/invirt-domain@d_{name}.service"
    kernels = f"grep -hE '^[0-9]+[.][a-z]+-[0-9]+$' $(sed 's,.*,/proc/&/comm,' {group}/cgroup.procs)"
    return cluster.on(host, "sh", "-c", f"cat {group}/io.max; {kernels}", check=False).stdout


def test_a_machine_lives_there(remus: str, lab: Lab) -> None:
    """Its console by ssh, its address by DHCP, its name; it comes back from a reboot, and goes down."""
    assert "is running on xen1" in lab.remctl("alice", "control", remus, "status")
    talk = ("xm", "create", "invirt-database", f"machine_name={remus}")
    cluster.on("xen1", *talk)  # it runs already
    refused = cluster.on("xen2", *talk, check=False)
    assert refused.returncode and "a pool that this host sees" in refused.stderr
    said = console.ask_over_ssh("alice", remus, "ip -4 address show dev eth0", SLOW)
    address = lab.sql(f"SELECT ip FROM nics JOIN machines USING (machine_id) WHERE name = '{remus}'").strip()
    assert f"inet {address}/" in said
    ping = ("ping", "-c", "3", "-W", "10", f"{remus}.invirt.test")
    eventually(lambda: "3 received" in cluster.as_user("alice", *ping, check=False).stdout, "pongs", SLOW)

    lab.remctl("alice", "machine", "limit", remus, "--cap", "40", "--disk", "5")
    eventually(lambda: cap("xen1", remus) == 40, "a cap", SLOW)
    eventually(lambda: "wbps=5242880" in held("xen1", remus), "its disk's bound", SLOW)
    thread = re.compile(r"^\d+\.hda-0$", re.MULTILINE)
    eventually(lambda: thread.search(held("xen1", remus)), "its disk's thread there", SLOW)

    console.ask_over_ssh("alice", remus, "touch /before", SLOW)
    lab.remctl("alice", "control", remus, "reboot", timeout=SLOW)
    said = console.ask_over_ssh("alice", remus, "ls /before || echo go''ne", SLOW)
    assert "gone" in said

    lab.remctl("alice", "control", remus, "shutdown", timeout=SLOW)
    eventually(lambda: "off" in lab.remctl("alice", "control", remus, "status"), f"{remus} to be off", SLOW)
    assert f"d_{remus}" not in cluster.on("xen1", "xl", "list").stdout
    assert volumes("xen1") == [f"d_{remus}_hda"]


def test_one_that_crashes_is_booted_again(remus: str, lab: Lab) -> None:
    console.ask_over_ssh("alice", remus, CRASH, SLOW)
    booted = (
        f"SELECT count(*) FROM operations WHERE machine_name = '{remus}' AND kind = 'boot' AND state = 'done'"
    )
    eventually(lambda: lab.sql(booted).strip() == "2", f"{remus} to be booted again", SLOW)
    assert "gone" in console.ask_over_ssh("alice", remus, "ls /before || echo go''ne", SLOW)


def test_it_moves_with_its_disk_to_the_other_one(remus: str, lab: Lab) -> None:
    """While it is off: each host has a volume group of its own."""
    console.ask_over_ssh("alice", remus, "echo kept | dd of=/dev/xvda conv=fsync", SLOW)
    done = lab.try_remctl("bob", "admin", "machine", "migrate", remus, "xen2")
    assert done.returncode and "--off" in done.stderr
    lab.remctl("bob", "admin", "machine", "migrate", remus, "xen2", "--off", timeout=LONG)
    assert console.host_of(remus) == "xen2"
    assert "kept" in console.ask_over_ssh("alice", remus, "head -c 4 /dev/xvda; echo", SLOW)
    [left] = (name for name in volumes("xen1") if name.endswith(f"d_{remus}_hda"))
    assert left.startswith("trash."), "what was copied is kept, but not as a disk"


def test_debian_is_installed_in_one(debian: tuple[str, str], lab: Lab) -> None:
    """By a user's word; pvgrub boots it to a login."""
    name, password = debian
    assert "cloud-amd64" in console.log_in("alice", name, password, "uname -r", LONG)
    assert json.loads(lab.remctl("alice", "machine", "show", name, "--json"))["host_keys"]


def test_the_page_shows_the_screen_of_a_pc(hosts: tuple[Xen, Xen], lab: Lab, machine: Make) -> None:
    """Of one that boots from its disk, on which nothing is."""
    lab.admin("type", "add", "xen-pc", "--virt", "hvm", "--needs", "xen")
    name = machine("--type", "xen-pc", "--pool", "xen2")
    lab.remctl("alice", "control", name, "create", timeout=SLOW)

    async def seen() -> None:
        async with watching(pages.browser("alice"), name, kind="screens") as viewer:
            viewer.shows = False
            await Screen(viewer).lit(500)

    asyncio.run(asyncio.wait_for(seen(), SLOW))
    lab.remctl("alice", "control", name, "destroy", timeout=SLOW)


def test_a_guest_that_nobody_knows_is_told_of(hosts: tuple[Xen, Xen], lab: Lab) -> None:
    """It is left running: somebody began it by hand."""
    cluster.on(
        "xen2", "sh", "-c", "cat >/root/stranger; xl create /root/stranger", input=STRANGER.format(KERNEL)
    )
    done = lab.on("remote", "invirt-reconcile", check=False)
    assert done.returncode != ALL_AGREE
    assert "guest stranger runs on xen2, but there is no such machine" in done.stdout
    cluster.on("xen2", "xl", "destroy", "d_stranger")
    assert lab.on("remote", "invirt-reconcile").returncode == ALL_AGREE


def test_one_whose_host_is_lost_boots_on_the_other(
    san: str, hosts: tuple[Xen, Xen], lab: Lab, machine: Make
) -> None:
    """It had come from there while it ran.  What was the host's own waits for that."""
    own, name = (machine("--type", TYPE, "--memory", "96", "--pool", pool) for pool in ("xen1", san))
    lab.remctl("alice", "control", own, "create", timeout=SLOW)
    lab.remctl("alice", "control", name, "create", timeout=SLOW)
    lab.remctl("alice", "machine", "limit", name, "--cap", "80", "--operations", "900")
    for host in ("xen2", "xen1"):
        if console.host_of(name) != host:
            console.ask_over_ssh("alice", name, "cd /tmp; touch still-there", SLOW)
            move = ("admin", "machine", "migrate", name, host, "--within", f"{LONG:.0f}")
            lab.remctl("bob", *move, timeout=LONG)
            assert console.host_of(name) == host
            assert "still-there" in console.ask_over_ssh("alice", name, "ls", SLOW)
            eventually(lambda: cap(host, name) == 80, "a cap", SLOW)  # noqa: B023  it ends in here
            eventually(lambda: "riops=900" in held(host, name), "its disk's bound", SLOW)  # noqa: B023
    console.ask_over_ssh("alice", name, "echo kept | dd of=/dev/xvda conv=fsync", SLOW)

    lost = ("admin", "host", "lost", "xen1", "--confirm", "power-off")
    refused = lab.try_remctl("bob", *lost, timeout=SLOW)
    assert refused.returncode and "answers: it is not lost" in refused.stderr
    hosts[0].cut_power()
    cluster.on("xen2", "sh", "-c", locks.DOWN)
    cluster.on("xen2", "dlm_tool", "fence_ack", "1")
    done = eventually(lambda: _lost(lab, lost), "xen1 to be silent for long enough", SLOW)
    assert f"{name}: boots on xen2" in done and f"{own}: stays off" in done
    assert "kept" in console.ask_over_ssh("alice", name, "head -c 4 /dev/xvda; echo", SLOW)

    with xen_site.booted_again("xen1", hosts[0]):
        assert "d_" not in cluster.on("xen1", "xl", "list").stdout, "it starts nothing"
        rejoin = ("admin", "host", "rejoin", "xen1")
        eventually(
            lambda: lab.try_remctl("bob", *rejoin, timeout=SLOW).returncode == 0, "xen1 to rejoin", SLOW
        )
        eventually(lambda: console.host_of(own) == "xen1", f"{own} to boot", SLOW)
        assert console.host_of(name) == "xen2"
        agree = lambda: lab.on("remote", "invirt-reconcile", check=False).returncode == ALL_AGREE  # noqa: E731
        eventually(agree, "all to agree", SLOW)
        for one in (own, name):  # without this host the other one's lock manager would stand still
            lab.remove(one, "alice")


def _lost(lab: Lab, words: tuple[str, ...]) -> str:
    """What that says once it does it."""
    done = lab.try_remctl("bob", *words, timeout=SLOW)
    return done.stdout if "is lost" in done.stdout else ""
