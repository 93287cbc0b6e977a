"""What the tests of lost hosts share: a host that dies, and is declared lost."""

from __future__ import annotations

import pytest

from invirt.remote import lost
from invirt.remote.operations import Actor, silence
from tests.parts.operations.conftest import HOST1, HOST2, Site
from tests.parts.operations.fakeguests import FakeHost
from tests.parts.operations.fakehosts import Killed

ADMIN = Actor("root/admin@INVIRT.TEST", administrator=True)
NAMES = ["m1", "m2", "m3"]
SHORT = {HOST1: "host1", HOST2: "host2"}
SIGN = """
ALTER TABLE host_signs DISABLE TRIGGER now;
INSERT INTO host_signs (host_id, seen_at)
    SELECT host_id, clock_timestamp() - make_interval(secs => %s) FROM hosts WHERE hostname = %s
ON CONFLICT (host_id) DO UPDATE SET seen_at = excluded.seen_at;
ALTER TABLE host_signs ENABLE TRIGGER now;
"""


@pytest.fixture
def up(site: Site) -> Site:
    """Three machines that run on host1."""
    site.rows("UPDATE hosts SET enabled = false WHERE name = 'host2'")
    for name in NAMES:
        site.create(name)
        site.submit("boot", name)
    site.rows("UPDATE hosts SET enabled = true")
    return site


def die(site: Site, hostname: str = HOST1) -> FakeHost:
    """It has no power any more."""
    host = site.hosts.hosts[hostname]
    host.crash()
    host.up = False
    return host


def lose(site: Site, confirm: str | None = "power-off", hostname: str = HOST1) -> list[str]:
    """Returns where each machine boots, as far as it does."""
    found = lost.lose(site.remote, site.hosts, SHORT[hostname], confirm, ADMIN, silence)
    return [f"{one['machine']} {one['host']}".strip() for one in found]


def is_lost(site: Site) -> bool:
    """Whether any host is."""
    return site.rows("SELECT name FROM hosts WHERE lost_at IS NOT NULL") != []


def cut_off(site: Site, kind: str, name: str, *verbs: str, dies: str = HOST1, when: str = "before") -> None:
    """A host dies when one is asked for any of these, or has done it; and who asked dies, too."""

    def fault(at: str, hostname: str, words: tuple[str, ...]) -> None:
        if at == when and words[1] in verbs:
            die(site, dies)
            raise Killed

    site.hosts.fault = fault
    with pytest.raises(Killed):
        site.submit(kind, name)
    site.hosts.fault = lambda *_: None
    site.expire()
