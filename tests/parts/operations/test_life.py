"""Every kind of operation, done and refused."""

from __future__ import annotations

import os
import signal
from contextlib import closing

import pytest

from invirt import config
from invirt.base.errors import BadInput, Busy, Denied, InvirtError, NoRoom, NotFound, Unreachable
from invirt.database.connection import connect, transaction
from invirt.remote import survey
from invirt.remote.operations import KINDS, submit
from invirt.remote.operations.model import Actor, Changed, Request
from tests.parts.operations.conftest import ALICE, BOB, HOST1, HOST2, OWN_POOL, Site
from tests.parts.operations.fakedisks import FakePool
from tests.parts.operations.fakehosts import failing, no_fault


def test_create_makes_row_address_and_disk(site: Site) -> None:
    done = site.create("remus")
    assert (done.state, done.error) == ("done", None)
    assert [step.state for step in done.steps] == ["done", "done"]
    assert site.hosts.volumes == {("remus", "hda"): 1}
    assert site.rows("SELECT host(ip) FROM nics") == [("10.7.0.10",)]
    assert site.rows("SELECT o.name, principal FROM machines JOIN owners o USING (owner_id) JOIN members"
                     " USING (owner_id)") == [("alice", ALICE)]  # fmt: skip
    site.check()


def test_boot_takes_the_host_with_the_least_memory_in_use(site: Site) -> None:
    for name in ("a", "b", "c"):
        site.create(name)
        site.submit("boot", name)
    assert site.homes() == {"a": HOST1, "b": HOST2, "c": HOST1}
    site.check()


def test_second_boot_is_refused(site: Site) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    with pytest.raises(Busy, match="already running on host1"):
        site.submit("boot", "remus")
    site.check()


def test_guest_that_powered_itself_off_boots_again(site: Site) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    site.hosts.hosts[HOST1].running.clear()
    site.submit("boot", "remus")
    site.check()


def test_boot_while_its_host_is_silent_is_refused(site: Site) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    site.hosts.hosts[HOST1].up = False
    with pytest.raises(Unreachable, match="host1"):
        site.submit("boot", "remus")
    assert site.homes() == {"remus": HOST1}


def test_guest_where_it_is_not_expected_is_left_alone(site: Site) -> None:
    site.create("remus")
    site.hosts.hosts[HOST2].running.add("remus")
    with pytest.raises(Busy, match="running on host2, where it is not expected"):
        site.submit("boot", "remus")
    assert site.hosts.running() == [(HOST2, "remus")]


def test_no_room_says_what_each_host_lacks(site: Site) -> None:
    site.rows("UPDATE hosts SET enabled = false WHERE name = 'host1'")
    site.create("big", memory=513)
    with pytest.raises(NoRoom) as caught:
        site.submit("boot", "big")
    assert caught.value.hint == (
        "host1: is disabled\nhost2: 512 of 512 MiB are free, 513 are wanted\nTry again later, or ask root."
    )
    site.hosts.hosts[HOST2].up = False
    with pytest.raises(NoRoom, match=r"host2: host2\.invirt\.test doesn't answer"):
        site.submit("boot", "big")


@pytest.mark.parametrize("kind", ["shutdown", "destroy"])
def test_off_gives_the_memory_back(site: Site, kind: str) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    site.submit(kind, "remus")
    assert site.homes() == {"remus": None}
    with pytest.raises(Busy, match="remus is off"):
        site.submit(kind, "remus")
    site.check()


def test_shutdown_of_a_deaf_guest_keeps_its_memory(site: Site) -> None:
    with site.database.config.open("a") as file:
        file.write("  shutdown_timeout: 1\n")
    config.reload()
    site.create("remus")
    site.submit("boot", "remus")
    site.hosts.hosts[HOST1].deaf.add("remus")
    with pytest.raises(InvirtError, match="still running after 1 seconds"):
        site.submit("shutdown", "remus")
    assert site.homes() == {"remus": HOST1}
    site.submit("destroy", "remus")
    site.check()


def test_reboot(site: Site) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    site.submit("reboot", "remus")
    site.check()


def _in_rescue(site: Site) -> list[bool]:
    return [rescue for (rescue,) in site.rows("SELECT rescue FROM reservations")]


def test_a_reboot_ends_a_rescue(site: Site) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    with pytest.raises(Busy, match="remus is running on host1"):
        site.submit("rescue", "remus")
    site.submit("destroy", "remus")
    site.submit("rescue", "remus")
    assert _in_rescue(site) == [True] and site.rows("SELECT wanted_on FROM machines") == [(False,)]
    site.submit("reboot", "remus")
    assert _in_rescue(site) == [False] and site.rows("SELECT wanted_on FROM machines") == [(True,)]
    domain = [words[1] for _, *words in site.hosts.calls if words[:1] == ["job"]]
    assert domain.count("begin") == 5  # boot, destroy, boot, destroy, boot: not the guest is asked
    site.submit("destroy", "remus")
    site.submit("boot", "remus")
    assert _in_rescue(site) == [False]
    site.check()


def test_a_rescue_system_that_moves_is_one_there(site: Site) -> None:
    site.create("remus")
    site.submit("rescue", "remus")
    site.submit("migrate", "remus")
    assert (site.homes(), _in_rescue(site)) == ({"remus": HOST2}, [True])
    site.check()


def test_whoever_is_let_in_rescues_nothing(site: Site) -> None:
    """Its console would be root's shell."""
    site.create("remus")
    site.rows("INSERT INTO machine_access SELECT machine_id, %s FROM machines", BOB)
    with pytest.raises(Denied, match="only its owner"):
        site.submit("rescue", "remus", BOB)
    site.rows("UPDATE hosts SET enabled = false")
    with pytest.raises(NoRoom):
        site.submit("rescue", "remus")
    assert _in_rescue(site) == []


def test_a_cd_is_taken_out(site: Site) -> None:
    """Out of the drive of a guest that runs, too; and with one a host is wanted that has drives."""
    site.create("remus")
    site.rows("INSERT INTO cdroms (name, path) VALUES ('disc', '/srv/disc.iso')")
    put = "UPDATE machines SET cdrom_id = (SELECT cdrom_id FROM cdroms)"
    for running in (False, True):
        site.rows(put)
        if running:
            site.hosts.hosts[HOST2].can.add("cdrom")
            site.submit("boot", "remus")
            assert site.homes() == {"remus": HOST2}
        site.submit("eject", "remus")
        assert site.rows("SELECT cdrom_id FROM machines") == [(None,)]
        assert any("eject" in words for _, *words in site.hosts.calls) == running
    site.check()


def test_delete_puts_disks_into_the_trash(site: Site) -> None:
    site.create("remus")
    done = site.submit("delete", "remus")
    assert (done.state, done.machine_id) == ("done", None)
    assert site.hosts.trash == {("remus", "hda", done.operation_id): 1}
    assert site.homes() == {}
    site.create("remus")
    site.check()


@pytest.mark.parametrize("kind", ["delete", "rename", "resize"])
def test_running_machines_are_not_changed(site: Site, kind: str) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    with pytest.raises(Busy, match="remus is running on host1"):
        site.submit(kind, "remus", name="romulus")
    site.check()


def test_rename(site: Site) -> None:
    site.create("remus")
    site.submit("rename", "remus", name="romulus")
    assert site.homes() == {"romulus": None}
    for taken in ("romulus", "host1", "root"):
        site.create("numa") if "numa" not in site.homes() else None
        with pytest.raises(BadInput, match=f"the name {taken} is taken"):
            site.submit("rename", "numa", name=taken)
    site.check()


def test_a_name_that_a_part_cant_have_is_refused_before_anything_is_done(site: Site) -> None:
    site.create("remus")
    with pytest.raises(BadInput, match="no machine can be called mlog: LVM"):
        site.submit("rename", "remus", name="mlog")
    with pytest.raises(BadInput, match="no machine can be called 20250731: digits"):
        site.create("20250731")
    assert site.hosts.volumes == {("remus", "hda"): 1}
    site.check()


def test_resize(site: Site) -> None:
    site.create("remus")
    site.submit("resize", "remus", memory=256, cpus=2, disks={"hda": 3})
    assert site.rows("SELECT memory, cpus FROM machines") == [(256, 2)]
    with pytest.raises(BadInput, match="can't shrink to 2"):
        site.submit("resize", "remus", disks={"hda": 2})
    site.check()


def test_disks(site: Site) -> None:
    site.create("remus")
    site.submit("disk-create", "remus", disk="hdb", size=2)
    site.submit("disk-resize", "remus", disk="hdb", size=4)
    site.submit("disk-rename", "remus", disk="hdb", name="hdc")
    assert site.hosts.volumes == {("remus", "hda"): 1, ("remus", "hdc"): 4}
    site.submit("disk-remove", "remus", disk="hda")
    assert site.hosts.volumes == {("remus", "hdc"): 4}
    site.check()


def test_quota_is_kept(site: Site) -> None:
    site.create("a", memory=2000)
    with pytest.raises(NoRoom, match="quota of alice is 2048 MiB of memory; this would make 2128"):
        site.create("b")
    with pytest.raises(NoRoom, match="50 GiB of disk; this would make 51"):
        site.submit("resize", "a", disks={"hda": 51})
    assert site.hosts.volumes == {("a", "hda"): 1}
    site.check()


def test_addresses_run_out(site: Site) -> None:
    site.rows("UPDATE address_ranges SET last = '10.7.0.11'")
    site.create("a")
    site.create("b")
    with pytest.raises(NoRoom, match="no address is free"):
        site.create("c")
    site.submit("delete", "a")
    site.create("c")
    assert site.rows("SELECT host(ip) FROM nics ORDER BY ip") == [("10.7.0.10",), ("10.7.0.11",)]
    site.check()


def test_strangers_see_nothing_and_do_nothing(site: Site) -> None:
    site.create("remus")
    for kind in KINDS:
        if kind not in ("create", "volume-trash", "undelete", "purge", "migrate", "cold-migrate"):
            with pytest.raises(NotFound, match="there is no machine remus that you may use"):
                site.submit(kind, "remus", who=BOB, name="x", disk="hda", size=9)
    site.rows("INSERT INTO machine_access SELECT machine_id, %s FROM machines", BOB)
    site.submit("boot", "remus", who=BOB)
    site.submit("destroy", "remus", who=BOB)
    with pytest.raises(Denied, match="only its owner"):
        site.submit("delete", "remus", who=BOB)


def test_only_administrators_move_machines(site: Site) -> None:
    site.create("remus")
    site.submit("boot", "remus")
    for who in (ALICE, BOB):
        with pytest.raises(Denied, match="only an administrator"):
            submit("migrate", Actor(who), "remus", {}, hosts=site.hosts, connection=site.remote)
    assert site.submit("migrate", "remus").state == "done"


def test_owner_of_others_is_refused(site: Site) -> None:
    site.create("remus")
    with pytest.raises(Denied, match="not a member of an owner called alice"):
        site.submit("create", "x", who=BOB, owner="alice")
    with pytest.raises(Denied, match="another realm"):
        site.submit("create", "x", who="eve@ELSEWHERE.TEST")


def test_a_failed_create_leaves_nothing(site: Site) -> None:
    site.hosts.fault = failing("create")
    with pytest.raises(InvirtError, match="failed as it was told") as caught:
        site.create("remus")
    assert "was undone" in caught.value.hint
    assert site.homes() == {}
    site.hosts.fault = lambda *_: None
    site.create("remus")
    site.check()


def test_a_failed_boot_gives_the_memory_back(site: Site) -> None:
    site.create("remus")
    site.hosts.fault = failing("create", "after")
    with pytest.raises(InvirtError, match="failed as it was told"):
        site.submit("boot", "remus")
    site.hosts.fault = lambda *_: None
    site.check()
    assert site.homes() == {"remus": None}


def test_a_repeated_request_is_not_a_second_one(site: Site) -> None:
    first = site.submit("create", "remus", key="k", memory=128, disk=1)
    assert site.submit("create", "remus", key="k", memory=128, disk=1) == first
    with pytest.raises(BadInput, match="the key k was used for operation"):
        site.submit("create", "remus", key="k", memory=256, disk=1)
    site.hosts.fault = failing("create")
    for _ in range(2):
        with pytest.raises(InvirtError, match="failed as it was told to") as caught:
            site.submit("boot", "remus", key="b")
        assert caught.value.exit_code == 9
    assert site.rows("SELECT count(*) FROM operations") == [(2,)]


def test_kinds_plan_only_what_they_declare(site: Site) -> None:
    site.rows(OWN_POOL)
    site.hosts.pools["own"] = FakePool(seen_by=(HOST2,))
    site.create("remus", pool="own")
    for kind in ("boot", "cold-migrate", "destroy"):
        site.submit(kind, "remus")
    site.submit("disk-create", "remus", disk="hdb", size=2)
    site.submit("resize", "remus", memory=129, disks={"hda": 3})
    site.submit("disk-resize", "remus", disk="hdb", size=4)
    site.submit("disk-rename", "remus", disk="hdb", name="hdc")
    site.submit("disk-remove", "remus", disk="hdc")
    for kind in ("boot", "migrate", "eject", "reboot", "shutdown", "boot", "destroy"):
        site.submit(kind, "remus")
    site.submit("install", "remus", autoinstall="debian-12")
    for kind in ("destroy", "rescue", "reboot", "destroy"):
        site.submit(kind, "remus")
    site.submit("rename", "remus", name="romulus")
    site.submit("disk-undelete", "romulus", trash=site.trashed())
    site.submit("delete", "romulus")
    site.submit("undelete", "romulus", trash=site.trashed())
    site.submit("delete", "romulus")
    site.submit("purge", "romulus", trash=site.trashed())
    planned = site.rows(
        "SELECT DISTINCT kind, name FROM operations JOIN operation_steps USING (operation_id)"
    )
    declared = {(kind.name, step.name) for kind in KINDS.values() for step in kind.steps}
    assert set(planned) == {(kind, step) for kind, step in declared if kind != "volume-trash"}


def test_answers_from_amid_an_operation_are_not_believed(site: Site) -> None:
    """A boot that asked the hosts while another boot was under way must not go by what they said."""
    site.create("remus")
    taken = []

    def look(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[:2] == ("domain", "create") and when == "before":
            site.hosts.fault = no_fault
            taken.append(survey.take(second, site.hosts, "remus", ask=True))

    site.hosts.fault = look
    with closing(connect()) as second:
        site.submit("boot", "remus")
        request = Request("boot", Actor(ALICE), "remus")
        with pytest.raises(Changed), transaction(second) as cursor:
            KINDS["boot"].admit(cursor, request, taken[0])


def test_the_database_goes_amid_an_operation(site: Site) -> None:
    """Who asked is told why, and what becomes of it; and it does."""
    session = site.remote.info.backend_pid

    def shut_down(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[0] == "volume" and when == "after":
            os.kill(session, signal.SIGTERM)

    site.hosts.fault = shut_down
    with pytest.raises(Unreachable, match="terminating connection") as told:
        site.create("remus")
    assert "machine operations remus" in told.value.hint
    site.hosts.fault = no_fault
    with closing(connect()) as site.remote:
        site.recover()
        assert site.rows("SELECT state FROM operations") == [("done",)]
        site.check()
