"""Hosts gone mad: whatever they answer, only words come of it, and other machines are not touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st

from invirt.base.errors import InvirtError, Unreachable
from invirt.remote import reconcile, states, wanted
from invirt.remote.hosts import NoAnswer, failure
from invirt.remote.lines import Answer
from invirt.remote.operations import KINDS, Actor, submit
from tests.examples import given, thorough
from tests.parts.operations.conftest import ALICE, HOST1, HOST2, Site
from tests.parts.operations.fakehosts import OneByOne
from tests.unit.hostile.test_said import ANSWERS, RAW

MAD = st.one_of(
    ANSWERS,
    st.builds(failure, st.integers(1, 255), RAW | st.text(max_size=60), st.just(HOST1)),
    st.builds(NoAnswer, st.just("no answer")),
    st.sampled_from(
        [
            *('{"name": "remus", "state": "off"}', '{"name": "remus", "state": "running"}', "[]", ""),
            '[{"name": "romulus", "state": "running"}, {"name": "remus", "state": "running"}]',
            '[{"name": "romulus", "disk": "hda", "size": 7}, {"name": "remus", "disk": "hda", "size": 1}]',
            '[{"name": "remus", "disk": "hda", "size": -1}]',
            '[{"name": "romulus", "disk": "hdx", "size": 1}]',
        ]
    ),
)


TRASH = """
INSERT INTO trash (trash_id, name, machine_id, owner_id, machine, ends_at) OVERRIDING SYSTEM VALUE
SELECT 1, 'numa', 999, owner_id, '{"memory": 64, "cpus": 1, "type": "linux", "description": "",
    "created_at": "2026-01-01", "autostart": true, "access": [], "nics": []}'::jsonb,
    'infinity'::timestamptz FROM owners
UNION SELECT 2, 'numa', 999, owner_id, NULL, 'infinity' FROM owners;
INSERT INTO trash_disks SELECT trash_id, 'hdb', 1, trash_id FROM trash
"""
PLACE = "UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE name = %s) WHERE name = %s"
OFF: Answer = '{"name": "remus", "state": "off"}'
SAID = st.builds(lambda sane, mad: [OFF] * sane + mad, st.integers(0, 2), st.lists(MAD, max_size=7))


@dataclass
class Mad(OneByOne):
    """A Hosts whose host1 says what it is told to; the others don't answer."""

    answers: Iterator[Answer]
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        self.calls.append((hostname, *words))
        if hostname != HOST1:
            raise Unreachable(f"{hostname} doesn't answer")
        answer = next(self.answers, "")
        if isinstance(answer, InvirtError):
            raise answer
        return answer

    def changes(self) -> list[tuple[str, ...]]:
        """The commands that change something."""
        return [words for words in self.calls if words[2] not in ("list", "status")]


@pytest.fixture
def twins(site: Site) -> Site:
    """remus and romulus, which runs on host2; host1 is the mad one, and statements are quick to give up."""
    for name in ("remus", "romulus"):
        site.create(name)
    site.submit("boot", "romulus")
    site.rows(PLACE, "host2", "romulus")
    site.rows("UPDATE owners SET machines = 100, memory = 100000, disk = 1000")
    return site


def begin_again(site: Site) -> None:
    """remus off, nothing under way, nothing else there."""
    site.rows("DELETE FROM operations")
    site.rows("DELETE FROM machines WHERE name NOT IN ('remus', 'romulus')")
    site.rows("UPDATE machines SET host_id = NULL, memory = 128, cpus = 1 WHERE name = 'remus'")
    remus = "(SELECT machine_id FROM machines WHERE name = 'remus')"
    site.rows(f"DELETE FROM disks WHERE machine_id = {remus}")
    site.rows("DELETE FROM trash")
    site.rows(TRASH)
    site.rows(f"INSERT INTO disks (machine_id, name, size) VALUES ({remus}, 'hda', 1)")


def romulus(site: Site) -> list[tuple[object, ...]]:
    return site.rows(
        "SELECT m.*, d.name, d.size, n.ip, n.mac_addr FROM machines m JOIN disks d USING (machine_id)"
        " JOIN nics n USING (machine_id) WHERE m.name = 'romulus'"
    )


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("create", "tullus", {"memory": 64, "disk": 1}),
    ("boot", "remus", {}),
    ("resize", "remus", {"disks": {"hda": 2}}),
    ("resize", "remus", {"memory": 256, "disks": {"hda": 3}}),
    ("rename", "remus", {"name": "numa"}),
    ("delete", "remus", {}),
    ("disk-create", "remus", {"disk": "hdb", "size": 1}),
    ("disk-remove", "remus", {"disk": "hda"}),
    ("disk-resize", "remus", {"disk": "hda", "size": 2}),
    ("disk-rename", "remus", {"disk": "hda", "name": "hdc"}),
    ("undelete", "numa", {"trash": 1}),
    ("disk-undelete", "remus", {"trash": 2}),
    ("purge", "numa", {"trash": 1}),
    ("shutdown", "remus", {}),
    ("reboot", "remus", {}),
    ("destroy", "remus", {}),
    ("install", "remus", {"autoinstall": "debian-12"}),
    ("rescue", "remus", {}),
    ("eject", "remus", {}),
]


@given(st.sampled_from(REQUESTS), SAID, st.booleans())
@thorough(4)
def test_operations(
    twins: Site, request_: tuple[str, str, dict[str, Any]], said: list[Answer], at_home: bool
) -> None:
    kind, name, wants = request_
    if not twins.rows("SELECT 1 FROM machines WHERE name = 'remus'"):
        twins.create("remus")
    begin_again(twins)
    if at_home:
        twins.rows(PLACE, "host1", "remus")
    before, hosts = romulus(twins), Mad(iter(said))
    try:
        submit(kind, Actor(ALICE), name, wants, hosts=hosts, connection=twins.remote)
    except InvirtError as error:
        assert all(line.isprintable() for line in f"{error}".splitlines())
        assert "internal error" not in error.message, error
    assert romulus(twins) == before
    assert not any("romulus" in words for words in hosts.calls)
    for state, told in twins.rows("SELECT state, error FROM operations"):
        assert state in ("done", "undone", "undoing", "stuck"), state
        assert told is None or str(told).isprintable()
    sizes = twins.rows("SELECT size FROM disks UNION SELECT memory FROM machines")
    assert all(isinstance(size, int) and 0 < size <= 1 << 20 for (size,) in sizes)


@given(st.lists(MAD, max_size=4))
@thorough(4)
def test_reconcile(twins: Site, said: list[Answer]) -> None:
    """The mad host's own guests may be taken for off, nobody else's; no disk of a machine goes away."""
    if twins.rows("SELECT count(*) FROM operations WHERE kind = 'volume-trash'") != [(0,)]:
        begin_again(twins)
    before, hosts = romulus(twins), Mad(iter(said))
    disks = twins.rows("SELECT m.name, d.name, d.size FROM machines m JOIN disks d USING (machine_id)")
    facts = reconcile.gather(twins.remote, hosts)
    for difference in list(reconcile.compare(facts, twins.remote, hosts)):
        assert f"{difference.words}{difference.remedy}".isprintable()
    wanted.to_boot(twins.remote, facts)
    reconcile.release_off(twins.remote, facts)
    assert romulus(twins) == before
    assert (
        twins.rows("SELECT m.name, d.name, d.size FROM machines m JOIN disks d USING (machine_id)") == disks
    )
    assert hosts.changes() == []


@given(st.lists(MAD, min_size=1, max_size=1))
@thorough()
def test_lists_for_users(twins: Site, said: list[Answer]) -> None:
    """What users are shown of states, when hosts are asked, is running, off or unknown."""
    machines = [
        {"name": "remus", "host": "host1", "hostname": HOST1, "state": "off", "last_seen": None},
        {"name": "romulus", "host": "host2", "hostname": HOST2, "state": "off", "last_seen": None},
    ]
    silent = states.add_states(machines, Mad(iter(said)), ask=True)
    assert machines[0]["state"] in ("running", "off", "unknown")
    assert machines[1]["state"] == "unknown"
    assert "host2" in silent
    json.dumps(machines)


def test_all_operations_are_among_them() -> None:
    """But those that no user asks for."""
    assert {kind for kind, _, _ in REQUESTS} == set(KINDS) - {"volume-trash", "migrate", "cold-migrate"}
