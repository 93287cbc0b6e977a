"""Two machines of one owner that are kept on different hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import psycopg2
import pytest

from invirt.base.errors import BadInput, Denied, NoRoom, NotFound
from invirt.base.names import MachineName
from invirt.remote import apart, reconcile, session, wanted
from invirt.remote.actor import Actor
from tests.parts.operations import servers
from tests.parts.operations.conftest import ALICE, BOB, HOST1, HOST2, Site
from tests.parts.operations.servers import submitted

M1, M2, M3 = (MachineName(name) for name in ("m1", "m2", "m3"))
PAIRS = "SELECT count(*) FROM apart"


@pytest.fixture
def two(site: Site) -> Iterator[Site]:
    """m1 and m2 are alice's and kept apart, m3 is bob's."""
    for name in (M1, M2):
        site.create(name, memory=64)
    site.create(M3, memory=64, who=BOB)
    with closing(session.connected()):
        apart.apart(Actor(ALICE), M2, M1)
        yield site


def test_they_get_different_hosts(two: Site) -> None:
    """host1 would be taken for both, since it is larger by far."""
    two.rows("UPDATE hosts SET memory = 8192 WHERE name = 'host1'")
    for name in (M1, M2):
        two.submit("boot", name)
    assert set(two.homes().values()) == {HOST1, HOST2, None}
    two.check()


def test_refused_where_nothing_else_is_left(two: Site) -> None:
    """Nor does it hold up others when it is wanted on."""
    two.rows("UPDATE hosts SET enabled = (name = 'host1')")
    two.submit("boot", M1)
    with pytest.raises(NoRoom) as refused:
        two.submit("boot", M2)
    assert "host1: runs a machine that it is kept apart from" in refused.value.hint
    two.rows("UPDATE machines SET wanted_on = true WHERE name IN ('m2', 'm3')")
    assert wanted.to_boot(two.remote, reconcile.gather(two.remote, two.hosts, volumes=False)) == [M3]
    apart.together(Actor(ALICE), M1, M2)
    two.submit("boot", M2)
    two.check()


@pytest.mark.parametrize("turn", range(3))
def test_both_at_once(two: Site, turn: int) -> None:
    """By two remote servers; each sees what the other has just reserved, or is refused."""
    two.rows("UPDATE hosts SET enabled = (name = 'host1')")
    tasks = [partial(submitted, "boot", name) for name in (M1, M2)]
    outcomes = servers.run(two.hosts, tasks, 2)
    assert sorted(type(outcome) for outcome in outcomes if outcome) == [NoRoom]
    two.check()


def test_the_database_holds_to_it(two: Site) -> None:
    """Whoever reserves: a move, too, has to go elsewhere."""
    two.submit("boot", M1)
    at = two.rows("SELECT host_id FROM reservations")[0]
    with pytest.raises(psycopg2.errors.RaiseException, match="runs a machine that m2 is kept apart from"):
        two.rows("INSERT INTO reservations SELECT machine_id, %s, 64 FROM machines WHERE name = 'm2'", *at)
    two.rows("ROLLBACK")


def test_whose_they_are(two: Site) -> None:
    with pytest.raises(NotFound):
        apart.apart(Actor(ALICE), M1, M3)
    two.rows("INSERT INTO members SELECT owner_id, %s FROM owners WHERE name = 'bob'", ALICE)
    with pytest.raises(BadInput, match="m1 is of alice, m3 of bob"):
        apart.apart(Actor(ALICE), M1, M3)
    two.rows("INSERT INTO machine_access SELECT machine_id, %s FROM machines WHERE owner_id ="
             " (SELECT owner_id FROM owners WHERE name = 'alice')", BOB)  # fmt: skip
    with pytest.raises(Denied):
        apart.together(Actor(BOB), M1, M2)
    with pytest.raises(BadInput, match="one machine"):
        apart.apart(Actor(ALICE), M1, M1)
    with pytest.raises(psycopg2.errors.ForeignKeyViolation):
        two.rows("INSERT INTO apart SELECT a.machine_id, b.machine_id, a.owner_id FROM machines a, machines b"
                 " WHERE (a.name, b.name) = ('m1', 'm3')")  # fmt: skip
    two.rows("ROLLBACK")


def test_it_goes_by_the_machine_not_by_its_name(two: Site) -> None:
    """It stays at a rename, and ends when one is deleted, or gets another owner."""
    two.submit("rename", M2, name="m9")
    with session.transaction() as cursor:
        cursor.execute("SELECT machine_id FROM machines WHERE name = 'm1'")
        assert apart.names(cursor, cursor.fetchone().machine_id) == ["m9"]
    two.submit("delete", "m9")
    assert two.rows(PAIRS) == [(0,)]
    two.create(M2, memory=64)
    apart.apart(Actor(ALICE), M1, M2)
    apart.apart(Actor(ALICE), M1, M2)
    assert two.rows(PAIRS) == [(1,)]
    two.rows("UPDATE machines SET owner_id = (SELECT owner_id FROM owners WHERE name = 'bob')"
             " WHERE name = 'm2'")  # fmt: skip
    assert two.rows(PAIRS) == [(0,)]
    with pytest.raises(BadInput, match="is not kept apart"):
        two.rows("INSERT INTO members SELECT owner_id, %s FROM owners WHERE name = 'bob'", ALICE)
        apart.together(Actor(ALICE), M1, M2)
