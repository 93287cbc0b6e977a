"""What keeps a guest from moving is known before anything is reserved, and told alike everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from invirt.base.errors import BadInput, NoRoom
from invirt.base.names import MachineName
from invirt.remote import drain, explain, session
from invirt.remote.actor import Actor
from tests.parts.operations.conftest import ALICE, HOST1, HOST2, OWN_POOL, Site

ADMIN = Actor("root/admin@INVIRT.TEST", administrator=True)
REMUS = MachineName("remus")


@pytest.fixture
def up(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """remus runs on the first host."""
    monkeypatch.setattr(explain, "RemctlHosts", lambda: site.hosts)
    site.create(REMUS)
    site.rows("UPDATE hosts SET enabled = (name = 'host1')")
    site.submit("boot", REMUS)
    site.rows("UPDATE hosts SET enabled = true")
    with closing(session.connected()):
        yield site
    assert site.homes() == {"remus": HOST1}
    assert site.rows("SELECT FROM operations WHERE kind = 'migrate'") == []
    site.check()


def says(host: str) -> str:
    found = {one["host"]: one["says"] for one in explain.explain(Actor(ALICE), REMUS)["hosts"]}
    return str(found[host])


def left(site: Site) -> str:
    """What a drain tells of it."""
    [row] = drain.drain(site.remote, site.hosts, "host1", ADMIN, lambda _: None)
    assert row["host"] == ""
    site.rows("UPDATE hosts SET enabled = true")
    return str(row["what"])


def stays(site: Site, why: str) -> None:
    """It can go nowhere, for that reason."""
    with pytest.raises(BadInput) as caught:
        site.submit("migrate", REMUS)
    assert caught.value.message == f"remus can't move while it runs: {why}"
    assert says("host2") == f"it can't move while it runs: {why}"
    assert says("host1").startswith("it is here since ")
    assert left(site).startswith(caught.value.message)


def test_one_with_a_cd_stays(up: Site) -> None:
    up.hosts.hosts[HOST1].traits["remus"] = {"cd": True}
    stays(up, "there is a CD in its drive")


def test_one_whose_host_moves_none_stays(up: Site) -> None:
    up.hosts.hosts[HOST1].can = set()
    stays(up, "host1 can't move a guest to another host while it runs")


def test_one_whose_disk_no_other_host_sees_stays(up: Site) -> None:
    up.rows(OWN_POOL.replace("host2", "host1"))
    up.rows("UPDATE disks SET pool_id = (SELECT pool_id FROM pools WHERE name = 'own')")
    try:
        stays(up, "no other host than host1 sees the pool own")
    finally:
        up.rows("UPDATE disks SET pool_id = first_pool()")


@pytest.mark.parametrize("wanted", [{}, {"host": "host2"}], ids=["any", "named"])
def test_an_older_qemu_takes_in_nothing_of_a_newer_one(up: Site, wanted: dict[str, str]) -> None:
    up.hosts.hosts[HOST1].traits["remus"] = {"made_by": "10.0"}
    up.hosts.hosts[HOST2].version = "7.2"
    with pytest.raises(NoRoom) as caught:
        up.submit("migrate", REMUS, **wanted)
    why = "has QEMU 7.2, which takes in no guest that QEMU 10.0 made"
    assert f"host2: {why}\n" in caught.value.hint
    assert says("host2") == why
    assert why in left(up)


@pytest.mark.parametrize("made_by", ["7.2", "6.1", "7.10", None])
def test_a_newer_one_does(site: Site, made_by: str | None) -> None:
    site.create(REMUS)
    site.submit("boot", REMUS)
    site.hosts.hosts[HOST1].traits["remus"] = {"made_by": made_by}
    site.hosts.hosts[HOST2].version = "10.0"
    site.submit("migrate", REMUS)
    assert site.homes() == {"remus": HOST2}
    site.check()
