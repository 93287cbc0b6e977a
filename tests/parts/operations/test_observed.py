"""What hosts told of their guests: lists show it, and who decides asks only the hosts that matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from invirt.base.errors import NoRoom
from invirt.database.connection import transaction
from invirt.remote import access, asking, states
from invirt.remote.lines import Answer
from tests.parts.operations.conftest import ALICE, HOST1, HOST2, Site
from tests.parts.operations.fakedisks import FakePool
from tests.parts.operations.fakeguests import FakeHost
from tests.parts.operations.fakehosts import FakeHosts

SIGN = """
ALTER TABLE host_signs DISABLE TRIGGER now;
INSERT INTO host_signs (host_id, seen_at)
    SELECT host_id, clock_timestamp() - make_interval(secs => %s) FROM hosts WHERE hostname = %s
ON CONFLICT (host_id) DO UPDATE SET seen_at = excluded.seen_at;
ALTER TABLE host_signs ENABLE TRIGGER now;
"""
TELL = """
INSERT INTO guest_states (machine_id, host_id, state, since)
    SELECT machine_id, h.host_id, %s, now() FROM machines m, hosts h WHERE m.name = 'remus' AND hostname = %s
ON CONFLICT (machine_id, host_id) DO UPDATE SET state = excluded.state
"""


class Asked:
    """The site's hosts, and whom a survey asked."""

    def __init__(self, hosts: FakeHosts) -> None:
        self.hosts = hosts
        self.names: set[str] = set()

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        return self.hosts.call(hostname, *words, timeout=timeout)

    def ask(self, hostnames: Sequence[str], *words: str, timeout: float) -> dict[str, Answer]:
        self.names |= set(hostnames)
        return self.hosts.ask(hostnames, *words, timeout=timeout)


def shown(site: Site) -> str:
    """What alice sees of her machine; no host may be asked."""
    with transaction(site.remote) as cursor:
        machines = states.describe(cursor, access.mine(cursor, ALICE))
    asked = Asked(site.hosts)
    states.add_states(machines, asked)
    assert asked.names == set()
    [machine] = machines
    return states.in_words(machine)


def home(site: Site) -> str:
    """The host name of remus' home."""
    ((name,),) = site.rows("SELECT hostname FROM hosts JOIN machines USING (host_id)")
    return str(name)


def test_lists_show_what_hosts_told(site: Site) -> None:
    for hostname in (HOST1, HOST2):
        site.rows(SIGN, 3, hostname)
    site.create("remus")
    assert shown(site) == "off"
    site.submit("boot", "remus")
    assert shown(site) == "running"  # its host will say so at its next look
    site.rows(SIGN, 0, home(site))
    assert shown(site) == "off"  # it has looked, and saw nothing
    site.rows(TELL, "paused", home(site))
    assert shown(site) == "paused"
    site.rows(SIGN, 40, home(site))
    assert shown(site) == "running"  # remote has heard of it later than the database
    site.rows("UPDATE operations SET finished_at = finished_at - interval '1 minute'")
    assert shown(site) == "unknown, last seen paused 40 s ago"
    site.submit("destroy", "remus")
    assert shown(site) == "off"


def test_a_host_that_never_told_anything_is_asked(site: Site) -> None:
    """It is of the version before."""
    site.create("remus")
    site.submit("boot", "remus")
    with transaction(site.remote) as cursor:
        machines = states.describe(cursor, access.mine(cursor, ALICE))
    asked = Asked(site.hosts)
    assert states.add_states(machines, asked) == {}
    assert asked.names == {home(site)} and machines[0]["state"] == "running"


def asked_for(site: Site, work: Callable[[], object]) -> set[str]:
    """Whom the site asks for that."""
    asked = Asked(site.hosts)
    site.hosts, before = asked, site.hosts  # type: ignore[assignment]
    try:
        work()
    finally:
        site.hosts = before
    return asked.names


def booted(site: Site) -> set[str]:
    """Whom the boot of remus asks."""
    return asked_for(site, lambda: site.submit("boot", "remus"))


def test_a_silent_host_without_a_reservation_is_not_asked(site: Site) -> None:
    site.create("remus")
    site.rows(SIGN, 40, HOST2)
    assert booted(site) == {HOST1}
    assert home(site) == HOST1


def test_a_silent_host_where_it_was_seen_to_run_is_asked(site: Site) -> None:
    """It may run there still."""
    site.create("remus")
    site.rows(SIGN, 40, HOST2)
    site.rows(TELL, "running", HOST2)
    assert booted(site) == {HOST1, HOST2}


def test_silent_hosts_are_asked_where_none_else_is_left(site: Site) -> None:
    """They may be alive, and unable to tell it."""
    site.create("remus")
    for hostname in (HOST1, HOST2):
        site.rows(SIGN, 40, hostname)
    assert booted(site) == {HOST1, HOST2}


def test_a_disabled_host_counts_for_nothing(site: Site) -> None:
    site.create("remus")
    site.rows(SIGN, 40, HOST1)
    site.rows("UPDATE hosts SET enabled = false WHERE hostname = %s", HOST2)
    assert booted(site) == {HOST1}


def test_what_is_free_stays_in_one_piece(site: Site) -> None:
    """Where less than a quarter would be left of any host, the fuller one is taken."""
    for name, memory in (("romulus", 300), ("tullus", 320), ("remus", 128)):
        site.create(name, memory=memory)
        site.submit("boot", name)
    assert site.homes() == {"romulus": HOST1, "tullus": HOST2, "remus": HOST2}


ENTER = """
INSERT INTO hosts (name, hostname, memory) SELECT 'host' || n, 'host' || n || '.invirt.test', 512
FROM generate_series(3, 20) n
"""
RUNS_MORE = """
UPDATE host_signs SET strangers = 1 FROM hosts WHERE hosts.host_id = host_signs.host_id AND hostname = %s
"""


@pytest.fixture
def large(site: Site) -> Site:
    """Twenty hosts, all of which have just told that nothing runs there."""
    site.rows(ENTER)
    names = [str(name) for (name,) in site.rows("SELECT hostname FROM hosts")]
    site.hosts.hosts |= {name: FakeHost() for name in names}
    for name in names:
        site.rows(SIGN, 0, name)
    return site


def test_of_many_hosts_few_are_asked(large: Site) -> None:
    """Those that are used least, that of the volumes, and that where it is at home."""
    most = asking.FEW + 1
    assert len(asked_for(large, lambda: large.create("remus"))) <= most
    asked = booted(large)
    assert home(large) in asked and len(asked) <= most
    asked = asked_for(large, lambda: large.submit("destroy", "remus"))
    assert len(asked) <= most
    large.submit("boot", "remus")
    at_home = home(large)
    large.hosts.hosts[at_home].crash()
    large.rows("UPDATE hosts SET enabled = false WHERE hostname = %s", at_home)
    asked = booted(large)
    assert at_home in asked and len(asked) <= most + 1 and home(large) != at_home


def test_a_host_that_runs_something_unreserved_is_asked(large: Site) -> None:
    """It may be what has this name."""
    large.create("remus")
    for number in (11, 12):
        large.rows(RUNS_MORE, f"host{number}.invirt.test")
    assert {"host11.invirt.test", "host12.invirt.test"} <= booted(large)


def test_all_are_asked_where_the_few_will_not_do(large: Site) -> None:
    """Those that seem to have room don't answer."""
    large.create("remus")
    few = booted(large)
    large.submit("destroy", "remus")
    for name in few:
        large.hosts.hosts[name].up = False
    assert len(booted(large)) == 20 and home(large) not in few


def test_a_refusal_tells_of_all(large: Site) -> None:
    large.create("remus")
    large.rows("UPDATE hosts SET memory = 64")
    with pytest.raises(NoRoom) as refused:
        booted(large)
    assert refused.value.hint.count("64 of 64 MiB are free, 128 are wanted") == 20


@pytest.mark.parametrize("few", [0, 20])
def test_volumes_are_handled_by_the_same_host_whoever_is_asked(
    large: Site, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """It alone knows which of its commands came too late."""
    monkeypatch.setattr(asking, "FEW", few)
    large.create("remus")
    large.submit("disk-create", "remus", disk="hdb", size=1)
    large.submit("disk-remove", "remus", disk="hdb")
    large.submit("disk-undelete", "remus", trash=large.trashed())
    assert {host for host, what, *_ in large.hosts.calls if what == "volume"} == {"host3.invirt.test"}


def test_the_trash_of_a_pool_is_handled_where_it_is_seen(large: Site) -> None:
    """Nobody knows in which pool it is before that is asked for."""
    large.rows(
        "INSERT INTO pools (name, driver, place, everywhere) VALUES ('own', 'file', '/srv/own', false);"
        "INSERT INTO pool_hosts SELECT pool_id, host_id FROM pools p, hosts h"
        " WHERE (p.name, h.name) = ('own', 'host7')"
    )
    large.hosts.pools["own"] = FakePool(seen_by=("host7.invirt.test",))
    asked = asked_for(large, lambda: large.create("remus", pool="own"))
    assert asked == {"host7.invirt.test"}, "no other could serve"
    large.submit("delete", "remus")
    large.submit("purge", "remus", trash=large.trashed())
    assert {host for host, what, *_ in large.hosts.calls if what == "volume"} == {"host7.invirt.test"}
