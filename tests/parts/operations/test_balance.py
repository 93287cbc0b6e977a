"""What `admin host balance` proposes of the rows as they stand."""

from __future__ import annotations

from invirt.base.names import MachineName
from invirt.database.connection import transaction
from invirt.remote import balance
from invirt.remote.actor import Actor
from invirt.remote.operations import submit
from tests.parts.operations.conftest import ALICE, HOST1, HOST2, Site


def test_it_parts_what_is_kept_apart(site: Site) -> None:
    """One that is being worked on stays where it is."""
    for name in ("m1", "m2"):
        site.create(name, memory=64)
    site.rows("UPDATE hosts SET enabled = (name = 'host1')")
    for name in ("m1", "m2"):
        site.submit("boot", MachineName(name))
    site.rows("UPDATE hosts SET enabled = true")
    site.rows("INSERT INTO apart SELECT min(machine_id), max(machine_id), min(owner_id) FROM machines")
    with transaction(site.remote) as cursor:
        [move] = balance.rows(balance.propose(balance.site(cursor)))
    assert (move["machine"], move["from"], move["to"]) == ("m1", "host1", "host2")
    assert move["why"] == "it is kept apart from one that runs there, too"
    site.rows(
        "UPDATE operations SET state = 'stuck', error = 'x' WHERE machine_name = 'm1' AND kind = 'boot'"
    )
    with transaction(site.remote) as cursor:
        assert [move.machine for move in balance.propose(balance.site(cursor))] == ["m2"]


def test_what_is_proposed_is_done(site: Site) -> None:
    """By moves as administrators make them; one that fails keeps no other from going."""
    for name in ("m1", "m2", "m3"):
        site.create(name, memory=64)
    site.rows("UPDATE hosts SET enabled = (name = 'host1')")
    for name in ("m1", "m2", "m3"):
        site.submit("boot", name)
    site.rows("UPDATE hosts SET enabled = true")
    moves = [balance.Move("nobody", "host1", "host2"), balance.Move("m1", "host1", "host2")]
    actor = Actor(ALICE, administrator=True)

    def move(one: balance.Move) -> object:
        name = MachineName(one.machine)
        return submit("migrate", actor, name, {"host": one.target}, hosts=site.hosts, connection=site.remote)

    done, well = balance.carry_out(moves, move)
    assert [row["outcome"] for row in done] == [
        "there is no machine called nobody",
        "it has moved",
    ] and not well
    assert site.homes() == {"m1": HOST2, "m2": HOST1, "m3": HOST1}
    site.check()
