"""What a machine needs that not every host can: who asks for it is told before anything begins."""

from __future__ import annotations

import pytest

from invirt.base.errors import BadInput, NoRoom
from tests.parts.operations.conftest import HOST1, HOST2, Site


def need(site: Site, *words: str) -> None:
    """Machines of the type `special` need that."""
    site.rows("INSERT INTO types (name, virt, needs) VALUES ('special', 'hvm', %s)", list(words))


def become_xen(site: Site, host: str) -> None:
    """The host runs Xen, and the administrators have said so."""
    site.hosts.hosts[host].hypervisor = "xen"
    site.rows("UPDATE hosts SET hypervisor = 'xen' WHERE hostname = %s", host)


def test_a_machine_boots_where_what_it_needs_is_there(site: Site) -> None:
    need(site, "xen", "cdrom", "grow")
    become_xen(site, HOST2)
    site.hosts.hosts[HOST2].can = {"cdrom", "grow"}
    for name in ("a", "b"):
        site.create(name, type="special")
        site.submit("boot", name)
    site.create("c")
    site.submit("boot", "c")
    assert site.homes() == {"a": HOST2, "b": HOST2, "c": HOST1}
    site.check()


def test_what_no_host_can_is_refused_before_anything_begins(site: Site) -> None:
    need(site, "screen", "snapshot", "xen")
    site.hosts.hosts[HOST1].can = {"screen"}
    become_xen(site, HOST2)
    with pytest.raises(BadInput) as caught:
        site.create("remus", type="special")
    assert caught.value.message == (
        "no host can run a machine of type special, which needs screen and snapshot and xen"
        " and the pool default"
    )
    assert caught.value.hint.splitlines()[:2] == [
        "host1: runs qemu, not xen; its pool default (lvm) can't take a snapshot of a disk",
        "host2: its xen can't show a guest's screen; its pool default (lvm) can't take a snapshot of a disk",
    ]
    assert site.rows("SELECT FROM machines") == site.rows("SELECT FROM operations") == []


def test_a_machine_that_is_there_is_refused_at_its_boot(site: Site) -> None:
    site.create("remus")
    site.rows("UPDATE types SET needs = '{cap}'")
    with pytest.raises(NoRoom) as caught:
        site.submit("boot", "remus")
    assert "host1: its qemu can't change a guest's share of CPUs while it runs" in caught.value.hint
    site.check()


def test_a_host_of_the_version_before_boots_what_needs_nothing(site: Site) -> None:
    for host in site.hosts.hosts.values():
        host.behind = True
    site.create("remus")
    site.submit("boot", "remus")
    site.submit("destroy", "remus")
    site.rows("UPDATE types SET needs = '{cdrom}'")
    with pytest.raises(NoRoom) as caught:
        site.submit("boot", "remus")
    assert "host1: is of a version that doesn't say what it can" in caught.value.hint


def test_a_host_that_is_not_what_the_database_says_boots_nothing(site: Site) -> None:
    site.create("remus")
    site.rows("UPDATE hosts SET hypervisor = 'qemu'")
    for host in site.hosts.hosts.values():
        host.hypervisor = "xen"
    with pytest.raises(NoRoom, match="no host has room") as caught:
        site.submit("boot", "remus")
    assert "host1: runs xen, but the database has it as one of qemu\n" in caught.value.hint
    become_xen(site, HOST1)
    site.submit("boot", "remus")
    assert site.homes() == {"remus": HOST1}


def test_xen_is_needed_of_a_host_of_the_version_before(site: Site) -> None:
    """What it can it doesn't say; what it is the database knows."""
    need(site, "xen")
    become_xen(site, HOST2)
    for host in site.hosts.hosts.values():
        host.behind = True
    site.create("remus", type="special")
    site.submit("boot", "remus")
    assert site.homes() == {"remus": HOST2}


@pytest.mark.parametrize("words", ["{teleport}", "{NULL}"])
def test_the_database_knows_what_can_be_needed(site: Site, words: str) -> None:
    site.owner.autocommit = True
    with pytest.raises(Exception, match="type_needs"):
        site.rows("UPDATE types SET needs = %s", words)
