"""What `admin host balance` proposes of the rows as they stand."""

from __future__ import annotations

from invirt.base.names import MachineName
from invirt.database.connection import transaction
from invirt.remote import balance
from tests.parts.operations.conftest import Site


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
