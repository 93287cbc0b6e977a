"""What users can make many of has an end, computers get nothing, addresses rest before they are others'."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg2
import psycopg2.errors
import psycopg2.extras
import pytest

from invirt.base import cli
from invirt.base.errors import Busy, InvirtError, NoRoom
from invirt.database.commands.admin import COMMAND
from invirt.database.refusals import SENTENCES, explain
from invirt.remote.operations import addresses
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database

MANY = "generate_series(1, 15000) n"  # a statement adds all or none
KEY = "'ssh-ed25519 AAAA' || n"
BOUNDS = [
    ("machine_access", 100, f"SELECT machine_id, 'p' || n || '@X' FROM machines, {MANY}"),
    ("members", 1000, f"SELECT owner_id, 'p' || n || '@X' FROM owners, {MANY}"),
    ("public_keys", 20, f"SELECT 'alice@X', {KEY} FROM {MANY}"),
    (
        "nics (machine_id, mac_addr)",
        8,
        "SELECT machine_id, ('02:00:00:00:00:' || n)::macaddr FROM machines, generate_series(10, 99) n",
    ),
    ("hostnames", 100, f"SELECT 'h' || n || '.x.org', nic_id FROM nics, {MANY}"),
]


@pytest.fixture
def filled(database: Database) -> Database:
    """One machine, with a NIC."""
    site(database)
    machine(database, "remus", mac="02:00:00:01:00:01", ip="10.5.0.10")
    return database


def refusal(
    database: Database, query: str, values: Sequence[object] = (), user: str = "invirt"
) -> InvirtError:
    """What the database says to one who may do no such thing."""
    with pytest.raises(psycopg2.Error) as raised:
        database.execute(query, values, user)
    said = explain(raised.value)
    assert isinstance(said, InvirtError)
    return said


@pytest.mark.parametrize(("table", "most", "rows"), BOUNDS, ids=lambda value: str(value).split()[0])
def test_no_set_grows_without_end(filled: Database, table: str, most: int, rows: str) -> None:
    """The last that is allowed goes in, one more doesn't, nor 15,000 at once."""
    said = refusal(filled, f"INSERT INTO {table} {rows}")
    assert isinstance(said, NoRoom) and f"at most {most} " in said.message and said.hint
    ((there,),) = filled.execute(f"SELECT count(*) FROM {table.split()[0]}")
    filled.execute(f"INSERT INTO {table} {rows} LIMIT {most} - %s", (there,))
    refusal(filled, f"INSERT INTO {table} {rows} OFFSET {most} LIMIT 1")


def test_two_at_once_are_not_both_the_last(filled: Database) -> None:
    """Each waits for the other's end before it counts."""
    filled.execute("INSERT INTO machine_access SELECT machine_id, 'p' || n || '@X' FROM machines,"
                   " generate_series(1, 99) n")  # fmt: skip

    def allow(number: int) -> bool:
        try:
            filled.execute(
                "INSERT INTO machine_access SELECT machine_id, %s FROM machines",
                (f"q{number}@X",),
                "invirt_remote",
            )
        except psycopg2.errors.RaiseException:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(allow, range(8))) == 1


def test_who_is_let_in_already_may_be_let_in_again(filled: Database) -> None:
    """At the bound, too: nothing is added."""
    filled.execute("INSERT INTO machine_access SELECT machine_id, 'p' || n || '@X' FROM machines,"
                   " generate_series(1, 100) n")  # fmt: skip
    filled.execute(
        "INSERT INTO machine_access SELECT machine_id, 'p7@X' FROM machines ON CONFLICT DO NOTHING"
    )


@pytest.mark.parametrize("text", ["arguments", "message", "command", "principal"])
def test_texts_have_an_end(database: Database, text: str) -> None:
    row = {"principal": "alice@X", "command": "x", "outcome": "ok", text: "x" * 100_000}
    query = f"INSERT INTO audit ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})"
    assert refusal(database, query, list(row.values()), "invirt_remote").message == SENTENCES["short_texts"]


@pytest.mark.parametrize(
    "principal",
    ["host/host1.invirt.test@X", "host/kiosk@X", "HTTP/web.invirt.test@X", "nfs/x.invirt.test@X", "HOST/x@X"],
)
@pytest.mark.parametrize("user", ["invirt", "invirt_remote"])
def test_computers_have_no_machines(filled: Database, principal: str, user: str) -> None:
    """Whoever says so."""
    for query in (
        "INSERT INTO machine_access SELECT machine_id, %s FROM machines",
        "INSERT INTO members SELECT owner_id, %s FROM owners",
        "INSERT INTO public_keys SELECT %s, 'ssh-ed25519 AAAAx'",
    ):
        if user == "invirt" or "public_keys" not in query:
            assert refusal(filled, query, (principal,), user).message == SENTENCES["person"]


def test_dollar_names_have_none_either(filled: Database) -> None:
    said = refusal(filled, "INSERT INTO members SELECT owner_id, 'KIOSK$@X' FROM owners")
    assert said.message == SENTENCES["principal"]


@pytest.mark.parametrize("principal", ["alice@X", "alice/admin@X", "root/admin@X", "a.b@X", "a.b/mail@X"])
def test_people_do(filled: Database, principal: str) -> None:
    filled.execute("INSERT INTO members SELECT owner_id, %s FROM owners", (principal,), "invirt_remote")


def test_remote_writes_keys_for_who_acts_alone(database: Database) -> None:
    """By functions, which write it down."""
    for query in ("INSERT INTO public_keys VALUES ('bob@X', 'ssh-ed25519 AAAAx')", "DELETE FROM public_keys"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            database.execute(query, user="invirt_remote")
    for principal in ("alice@X", "bob@X"):
        database.execute("SELECT add_public_key(%s, 'ssh-ed25519 AAAAx')", (principal,), "invirt_remote")
    remove = "SELECT remove_public_key('bob@X', 'ssh-ed25519 AAAAx')"
    assert [database.execute(remove, user="invirt_remote") for _ in range(2)] == [[(True,)], [(None,)]]
    assert database.execute("SELECT principal FROM public_keys") == [("alice@X",)]
    assert database.execute("SELECT principal, command FROM audit ORDER BY audit_id") == [
        ("alice@X", "add_public_key"),
        ("bob@X", "add_public_key"),
        ("bob@X", "remove_public_key"),
    ]
    for user in ("invirt_host", "invirt_console", "invirt_dns"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            database.execute("SELECT public.add_public_key('bob@X', 'ssh-ed25519 AAAAx')", user=user)


def given(database: Database, owner: str) -> str:
    """The address that remote gives to a new machine of owner's."""
    with closing(database.connect("invirt_remote")) as connected:
        connected.autocommit = False
        with connected, connected.cursor(cursor_factory=psycopg2.extras.NamedTupleCursor) as cursor:
            cursor.execute(
                "INSERT INTO machines (name, owner_id, type_id, memory) SELECT o.name || '-' || %s, owner_id,"
                " (SELECT type_id FROM types), 1 FROM owners o WHERE o.name = %s RETURNING machine_id",
                (secrets.token_hex(4), owner),
            )
            return addresses.add_nic(cursor, cursor.fetchone().machine_id)


@pytest.fixture
def two(filled: Database) -> Database:
    """A second owner, bob."""
    filled.execute("INSERT INTO owners (name, memory, disk, machines) VALUES ('bob', 9999, 9, 20)")
    return filled


def rest(database: Database, ip: str) -> None:
    database.execute("UPDATE held_addresses SET until = now() - interval '1 second' WHERE ip = %s", (ip,))


def test_an_address_rests_before_it_is_another_owner_s(two: Database) -> None:
    """Its own owner has it back at once, others when the time is over, the longest unused first."""
    two.execute("DELETE FROM machines", user="invirt_remote")
    assert given(two, "bob") == "10.5.0.11"
    assert given(two, "alice") == "10.5.0.10"
    two.execute("DELETE FROM machines WHERE name LIKE 'alice%'", user="invirt_remote")
    for last in range(12, 20):
        assert given(two, "bob") == f"10.5.0.{last}"
    with pytest.raises(NoRoom) as raised:
        given(two, "bob")
    assert "is held" in raised.value.hint
    rest(two, "10.5.0.10")
    assert given(two, "bob") == "10.5.0.10"
    assert two.execute("SELECT * FROM held_addresses") == []


def test_creating_and_deleting_holds_no_more_than_the_quota(two: Database) -> None:
    """Nobody uses the range up that way."""
    two.execute("DELETE FROM machines")
    for _ in range(30):
        given(two, "bob")
        two.execute("DELETE FROM machines", user="invirt_remote")
    assert two.execute("SELECT count(*) FROM held_addresses") == [(2,)]


@pytest.mark.parametrize(
    "change", ["UPDATE nics SET ip = NULL", "UPDATE nics SET ip = '10.5.0.19'", "DELETE FROM nics"]
)
def test_a_changed_nic_s_address_rests_too(two: Database, change: str) -> None:
    """For remote, however it is broken into; an administrator is told, and may."""
    two.execute(change, user="invirt_remote")
    ((until,),) = two.execute("SELECT until FROM held_addresses WHERE ip = '10.5.0.10'")
    assert isinstance(until, datetime) and until > datetime.now(UTC) + timedelta(minutes=50)
    two.execute("INSERT INTO machines (name, owner_id, type_id, memory) SELECT 'bobs', owner_id, type_id, 1"
                " FROM owners o, types WHERE o.name = 'bob'")  # fmt: skip
    take = ("INSERT INTO nics (machine_id, mac_addr, ip) SELECT machine_id, '02:00:00:00:00:07', '10.5.0.10'"
            " FROM machines WHERE name = 'bobs'")  # fmt: skip
    assert "is held until" in refusal(two, take, user="invirt_remote").message
    two.execute(take)


def test_an_administrator_is_told_of_a_held_address(
    two: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(two, "romulus", mac="02:00:00:00:00:09")
    to_bob = "UPDATE machines SET owner_id = (SELECT owner_id FROM owners WHERE name = 'bob')"
    two.execute(f"{to_bob} WHERE name = 'romulus'")
    two.execute("UPDATE nics SET ip = NULL WHERE ip IS NOT NULL")
    line = ["nic", "set", "02:00:00:00:00:09", "--ip", "10.5.0.10"]
    assert cli.main(COMMAND, line) == Busy.exit_code
    assert "is held until" in capsys.readouterr().err
    assert cli.main(COMMAND, [*line, "--held"]) == 0
