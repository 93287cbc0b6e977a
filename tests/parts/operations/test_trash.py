"""What lies in the trash: it counts, it is given back, it ends."""

from __future__ import annotations

from contextlib import closing

import pytest

from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, NoRoom, NotFound
from invirt.database.connection import transaction
from invirt.remote import expiry, reconcile, trash
from tests.parts.operations.conftest import ALICE, BOB, Site
from tests.parts.operations.fakehosts import failing, no_fault

WHOLE = """
SELECT m.machine_id, m.name::text, m.memory, m.cpus, m.description::text, m.created_at, n.mac_addr::text,
    host(n.ip), host(n.ip6), n.hostname::text,
    (SELECT array_agg(hostname::text) FROM hostnames h WHERE h.nic_id = n.nic_id),
    (SELECT array_agg(principal::text) FROM machine_access a WHERE a.machine_id = m.machine_id),
    (SELECT array_agg(d.name || d.size ORDER BY d.name) FROM disks d WHERE d.machine_id = m.machine_id)
FROM machines m JOIN nics n USING (machine_id)
"""


def back(site: Site, name: str = "remus", kind: str = "undelete", who: str = ALICE) -> None:
    """What went to the trash last."""
    site.submit(kind, name, who, trash=site.trashed())


def put(site: Site, disk: int = 1) -> None:
    """remus is in the trash."""
    site.create("remus", disk=disk)
    site.submit("delete", "remus")


def test_what_is_in_the_trash_counts(site: Site) -> None:
    """Six creates and deletes of 50 GiB are one, with a quota of 50."""
    put(site, disk=50)
    for _ in range(5):
        with pytest.raises(
            NoRoom, match="is 50 GiB of disk; this would make 100, with 50 in the trash"
        ) as why:
            site.create("remus", disk=50)
        assert "machine purge" in why.value.hint
    assert sum(site.hosts.trash.values()) == 50
    site.check()
    back(site, "remus", "purge")
    site.create("remus", disk=50)
    site.check()


def test_a_machine_is_given_back_as_it_was(site: Site) -> None:
    site.submit("create", "remus", memory=128, disk=1, cpus=2, description="dear to alice")
    site.submit("disk-create", "remus", disk="hdc", size=2)
    site.rows("INSERT INTO machine_access SELECT machine_id, %s FROM machines", BOB)
    site.rows("UPDATE nics SET ip6 = '2001:db8::7', hostname = 'mail.invirt.test'")
    site.rows("INSERT INTO hostnames SELECT 'web.invirt.test', nic_id FROM nics")
    before = site.rows(WHOLE)
    site.submit("delete", "remus")
    site.check()
    back(site)
    assert site.rows(WHOLE) == before
    assert site.rows("SELECT trash_id FROM trash") == []
    site.check()
    site.submit("boot", "remus")


def test_an_address_of_ipv6_alone_stays_alone(site: Site) -> None:
    site.create("remus")
    site.rows("UPDATE nics SET ip = NULL, ip6 = '2001:db8::7'")
    before = site.rows(WHOLE)
    site.submit("delete", "remus")
    back(site)
    assert site.rows(WHOLE) == before
    told = site.rows("SELECT detail ->> 'ip' FROM operation_steps WHERE name = 'enter machine again'")
    assert told == [("2001:db8::7",)]


def test_under_another_name_where_the_old_one_is_taken(site: Site) -> None:
    put(site)
    address = site.rows("SELECT machine -> 'nics' -> 0 ->> 'ip' FROM trash")
    site.create("remus", disk=2)
    assert site.rows("SELECT host(ip) FROM nics") == address
    with pytest.raises(BadInput, match="there is a machine called remus by now") as why:
        back(site)
    assert "--name" in why.value.hint
    back(site, "romulus")
    assert site.hosts.volumes == {("remus", "hda"): 2, ("romulus", "hda"): 1}
    assert site.rows("SELECT name::text FROM machines ORDER BY machine_id") == [("romulus",), ("remus",)]
    site.check()


def test_its_quota_is_asked_for_as_at_a_create(site: Site) -> None:
    put(site)
    site.rows("UPDATE owners SET memory = 127")
    with pytest.raises(NoRoom, match="127 MiB"):
        back(site)
    site.rows("UPDATE owners SET memory = 128, disk = 1")
    back(site)
    site.check()


def test_a_single_disk(site: Site) -> None:
    site.create("remus")
    site.submit("disk-create", "remus", disk="hdb", size=3)
    site.submit("disk-remove", "remus", disk="hdb")
    site.check()
    site.submit("rename", "remus", name="romulus")
    with pytest.raises(BadInput, match="is a single disk, of remus"):
        back(site)
    back(site, "romulus", "disk-undelete")
    assert site.hosts.volumes == {("romulus", "hda"): 1, ("romulus", "hdb"): 3}
    site.check()
    site.submit("disk-remove", "romulus", disk="hdb")
    site.submit("disk-create", "romulus", disk="hdb", size=1)
    with pytest.raises(BadInput, match="has a disk hdb already"):
        back(site, "romulus", "disk-undelete")
    back(site, "romulus", "purge")
    site.check()


def test_nobody_else_sees_it_or_has_it(site: Site) -> None:
    put(site)
    site.create("other", who=BOB)
    number = site.trashed()
    for kind in ("undelete", "purge"):
        with pytest.raises(NotFound) as theirs:
            site.submit(kind, "x", BOB, trash=number)
        with pytest.raises(NotFound) as nothing:
            site.submit(kind, "x", BOB, trash=number + 1)
        assert str(theirs.value).replace(str(number), "") == str(nothing.value).replace(str(number + 1), "")
    with pytest.raises(NotFound):
        site.submit("disk-undelete", "other", BOB, trash=number)
    with closing(site.database.connect()), transaction(site.remote) as cursor:
        assert trash.mine(cursor, BOB) == []
        with pytest.raises(NotFound, match="nothing called remus in a trash of yours"):
            trash.find(cursor, BOB, "remus")
        found = trash.find(cursor, ALICE, "remus")
        assert found == trash.find(cursor, ALICE, str(number)) and found.size == 1
    site.check()


def test_it_ends_in_its_time(site: Site) -> None:
    put(site)
    assert list(expiry.end_old(site.remote, site.hosts)) == []
    site.rows("UPDATE trash SET ends_at = now() - interval '1 second'")
    assert [words.partition(" ")[0] for words in expiry.end_old(site.remote, site.hosts)] == ["remus"]
    assert site.hosts.trash == {} and site.rows("SELECT trash_id FROM trash") == []


def test_what_is_taken_is_taken_once(site: Site) -> None:
    put(site)

    def meanwhile(when: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[1] == "undelete" and when == "before":
            site.hosts.fault = no_fault
            with pytest.raises(Busy, match="undelete of remus is under way"):
                back(site, "remus", "purge")

    site.hosts.fault = meanwhile
    back(site)
    site.check()


def test_a_host_that_does_not_know_the_verb_changes_nothing(site: Site) -> None:
    """One that is a version behind says so itself."""
    put(site)
    for kind, verb in (("undelete", "undelete"), ("purge", "purge")):

        def behind(when: str, hostname: str, words: tuple[str, ...], verb: str = verb) -> None:
            if words[1] in (verb, "return"):
                raise BadInput(f"{hostname}: there is no '{words[1]}'")

        site.hosts.fault = behind
        with pytest.raises(BadInput, match=f"there is no '{verb}'"):
            back(site, "remus", kind)
        site.hosts.fault = no_fault
        site.recover()
        site.check()
    back(site)


def test_what_was_begun_to_end_has_ended_and_the_rest_stays(site: Site) -> None:
    site.create("remus")
    site.submit("disk-create", "remus", disk="hdb", size=2)
    site.submit("delete", "remus")
    ends = 0

    def second(when: str, hostname: str, words: tuple[str, ...]) -> None:
        nonlocal ends
        ends += (words[1], when) == ("purge", "before")
        if ends == 2:
            site.hosts.fault = no_fault
            site.hosts.hosts[hostname].up = False
            site.hosts.call(hostname, "volume", "list", timeout=1)

    site.hosts.fault = second
    with pytest.raises(InvirtError):
        back(site, "remus", "purge")
    for host in site.hosts.hosts.values():
        host.up = True
    site.recover()
    site.check()
    assert [name for _, name, *_ in site.hosts.trash] == ["hdb"]
    back(site)
    assert site.hosts.volumes == {("remus", "hdb"): 2}


def test_what_hosts_have_in_their_trash_unknown_gets_a_row(site: Site) -> None:
    """From before there were rows, or of a create that was undone."""
    put(site)
    site.rows("DELETE FROM trash; UPDATE operation_steps SET detail = detail - 'in_trash'")
    site.hosts.trash["nobody", "hda", 4000000] = 5
    site.hosts.fault = failing("create", "after")
    with pytest.raises(CommandFailed):
        site.create("romulus")
    site.hosts.fault = no_fault
    assert len(list(reconcile.tidy_trash(site.remote, site.hosts))) == 3
    assert list(reconcile.tidy_trash(site.remote, site.hosts)) == []
    assert site.rows("SELECT t.name::text, o.name, ends_at > now() + interval '6 days' FROM trash t"
                     " LEFT JOIN owners o USING (owner_id) ORDER BY 1") == [
        ("nobody", None, True), ("remus", "alice", True), ("romulus", None, True)
    ]  # fmt: skip
    assert len(reconcile.gather(site.remote, site.hosts).strays) == 0


def test_no_host_fills_a_quota_with_what_has_ended(site: Site) -> None:
    put(site)
    kept = dict(site.hosts.trash)
    back(site, "remus", "purge")
    site.hosts.trash.update(dict.fromkeys(kept, 1 << 20))
    assert len(list(reconcile.tidy_trash(site.remote, site.hosts))) == 1
    assert site.rows("SELECT owner_id FROM trash") == [(None,)]


def test_a_volume_of_nobody_is_the_administrators(site: Site) -> None:
    site.hosts.volumes["stray", "hdb"] = 7
    facts = reconcile.gather(site.remote, site.hosts)
    for difference in reconcile.compare(facts, site.remote, site.hosts):
        assert difference.fix
        difference.fix()
    assert site.rows("SELECT name::text, owner_id FROM trash") == [("stray", None)]
    site.check()
