"""What hosts told of their guests: lists show it, and who decides asks only the hosts that matter."""

from __future__ import annotations

from collections.abc import Sequence

from invirt.database.connection import transaction
from invirt.remote import access, states
from invirt.remote.hosts import Answer
from tests.parts.operations.conftest import ALICE, HOST1, HOST2, Site
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


def booted(site: Site) -> set[str]:
    """Whom the boot of remus asks."""
    asked = Asked(site.hosts)
    site.hosts, before = asked, site.hosts  # type: ignore[assignment]
    try:
        site.submit("boot", "remus")
    finally:
        site.hosts = before
    return asked.names


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
