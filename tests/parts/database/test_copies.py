"""A copy of the database, by Debian's own PostgreSQL: it is made, promoted, and the old one is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors
import pytest
from psycopg2.extensions import parse_dsn

from invirt import config
from invirt.base.errors import BadConfig, BadInput, Busy, Denied, InvirtError, NotFound, Unreachable
from invirt.database import fence, peers, promotion, server, standby
from invirt.database.commands import setup
from tests.parts.database.conftest import _free_port
from tests.parts.database.copies import Place, two
from tests.parts.realm import Realm
from tests.parts.waiting import until

ADD = "INSERT INTO owners (name, memory, disk, machines) VALUES ('{}', 1024, 10, 4)"
OFTEN = [pytest.param(one, marks=pytest.mark.nightly) for one in ("swap", "rename 1", "_sync", "_wait")]
NAMES = "SELECT name FROM owners ORDER BY 1"


@pytest.fixture(scope="module")
def servers(realm: Realm, checkout: Path) -> Iterator[tuple[Place, Place]]:
    """One that has the database, and one that is to have a copy."""
    with two(realm, checkout, _free_port()) as made:
        yield made


@pytest.fixture
def pair(servers: tuple[Place, Place]) -> tuple[Place, Place]:
    """Who has the database, and who follows it, whatever a test before left."""
    for one in servers:
        one.control("start")
    having = [one for one in servers if one.ask("SELECT count(*) FROM pg_database WHERE datname = 'invirt'"
              " AND NOT pg_is_in_recovery()", "postgres") == [(1,)]]  # fmt: skip
    first = max(having, key=lambda one: one.ask("SELECT pg_walfile_name(pg_current_wal_lsn())"))
    second = next(one for one in servers if one is not first)
    with second.here():
        standby.make(yes=True)
    with first.here():
        assert fence.turn() == ""
        first.ask("DELETE FROM owners")
    return first, second


def _as(realm: Realm, principal: str, where: Place, **how: Any) -> psycopg2.extensions.connection:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KRB5_CONFIG", str(realm.folder / "krb5.conf"))
        patch.setenv("KRB5_CLIENT_KTNAME", str(realm.keytab(principal)))
        patch.setenv("KRB5CCNAME", f"FILE:{realm.folder}/copies-{principal.replace('/', '-')}")
        psycopg2.extensions.set_wait_callback(None)
        settings = {"host": where.address, "port": where.port, "dbname": "invirt", "user": "invirt_standby"}
        return psycopg2.connect(**{**settings, "gssencmode": "require", "connect_timeout": 5, **how})


def test_servers_of_the_database_follow_and_ask_and_no_more(
    servers: tuple[Place, Place], realm: Realm
) -> None:
    first, second = servers
    copy = f"postgres/{second.address}"
    with closing(_as(realm, copy, first)) as asking, asking.cursor() as cursor:
        cursor.execute(peers.TOLD)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("SELECT * FROM public.owners")
    for principal in ("host/remote.invirt.test", "postgres/other", "alice", f"host/{second.address}"):
        with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
            _as(realm, principal, first)
    for how in ({"user": "invirt"}, {"user": "postgres"}, {"dbname": "postgres"}, {"gssencmode": "disable"}):
        with pytest.raises(psycopg2.OperationalError, match="pg_hba"):
            _as(realm, copy, first, **how)


def test_a_server_that_is_to_have_a_copy_gets_no_empty_database(servers: tuple[Place, Place]) -> None:
    _, second = servers
    with second.here():
        assert "invirt-database-standby make" in setup.COMMAND.run(migrate_only=False)
        assert not server.is_ours()
        with pytest.raises(NotFound, match="no copy"):
            promotion.promote(())


class Killed(BaseException):
    """As SIGKILL would, at a step."""


def _kill_at(patch: pytest.MonkeyPatch, step: str) -> None:
    renames, rename = [], Path.rename

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    def counted(path: Path, target: Path) -> Path:
        if path.name.startswith("data"):
            renames.append(path)
            if f"rename {len(renames)}" == step:
                raise Killed
        return rename(path, target)

    if step.startswith("rename"):
        patch.setattr(Path, "rename", counted)
    else:
        patch.setattr(standby, step, die)


@pytest.mark.parametrize("step", ["_write_signal", "rename 2", *OFTEN])
def test_a_copy_that_was_killed_amid_is_made_by_the_next_run(servers: tuple[Place, Place], step: str) -> None:
    _, second = servers
    with second.here() as cluster:
        if (cluster.data / standby.SIGNAL).exists():
            second.control("stop")
            (cluster.data / standby.SIGNAL).unlink()
        with pytest.MonkeyPatch.context() as patch:
            _kill_at(patch, step)
            with pytest.raises(Killed):
                standby.make(yes=True)
        standby.make(yes=True)
        assert second.ask("SELECT pg_is_in_recovery()") == [(True,)]
        assert not list(second.folder.glob("data.*"))
        assert "follows" in standby.make(yes=False), "again"


def test_a_copy_is_promoted_and_the_old_one_stops_first(
    pair: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, and the old one is made a copy again."""
    first, second = pair
    first.ask(ADD.format("eva"))
    with first.here():
        status = {row["server"]: (row["has"], row["word"]) for row in promotion.status()}
        assert status == {
            first.address: ("the database", "synchronous"),
            second.address: ("a copy", "follows"),
        }
        with pytest.raises(Unreachable, match="no other server says"):
            standby.make(yes=True)
    real = peers.connect

    def stepping_down(hostname: str, name: str = peers.ASKING) -> Any:
        made = real(hostname, name)
        if name == peers.STEP_DOWN:
            with first.here():
                assert "about to be promoted" in fence.turn()
                fence.stop()
        return made

    with second.here():
        monkeypatch.setattr(peers, "connect", stepping_down)
        promotion.promote(())
        assert second.ask(NAMES) == [("eva",)]
        second.ask(ADD.format("noor"))  # it waits for no copy that isn't there
        assert promotion.promote((first.address,)).data.endswith("has the database"), "again"
    with first.here():
        with pytest.raises(Denied, match=second.address):
            fence.may_start(f"{first.version}-main")
        standby.make(yes=True)
        until(lambda: first.ask(NAMES) == [("eva",), ("noor",)])
    with second.here():
        assert fence.turn() == ""
        until(lambda: second.ask("SHOW synchronous_standby_names") == [("ANY 1 (*)",)])


def test_a_dead_one_must_be_named_and_is_refused_when_it_wakes(pair: tuple[Place, Place]) -> None:
    first, second = pair
    first.ask(ADD.format("eva"))  # acknowledged: so the copy has it
    first.control("stop", "immediate")
    with second.here():
        with pytest.raises(Unreachable, match=first.address) as raised:
            promotion.promote(())
        assert f"--lost {first.address}" in raised.value.hint
        promotion.promote((first.address,))
        assert second.ask(NAMES) == [("eva",)]
    with first.here():
        with pytest.raises(Denied, match=second.address):
            fence.may_start(f"{first.version}-main")
        second.control("stop")
        with pytest.raises(Unreachable, match="alone"):
            fence.may_start(f"{first.version}-main")
        first.control("start")  # as one that was frozen, and wakes
        second.control("start")
        assert fence.turn() == f"{second.address} has the database now"
        with pytest.raises(BadInput, match="of its own"):
            standby.make(yes=False)
    with second.here():
        assert fence.turn() == "", "the newer one goes on"


def test_one_whose_name_is_another_asks_nobody(pair: tuple[Place, Place]) -> None:
    """It would take itself for another, and stop."""
    first, _ = pair
    with first.here():
        file = first.folder / "invirt.yaml"
        text = file.read_text()
        try:
            file.write_text(text.replace(first.address, "alias.invirt.test"))
            config.reload()
            with pytest.raises(BadConfig, match=first.address):
                fence.turn()
        finally:
            file.write_text(text)


def test_a_copy_that_lacks_something_is_not_promoted(pair: tuple[Place, Place]) -> None:
    first, second = pair
    with second.here():
        second.ask("ALTER SYSTEM SET primary_conninfo = ''")
        second.ask("SELECT pg_reload_conf()")
        until(lambda: first.ask("SELECT count(*) FROM pg_stat_replication") == [(0,)])
        with pytest.raises(Busy, match="doesn't follow"):
            promotion.promote(())
        with pytest.raises(InvirtError, match="no other server"):
            promotion.promote(("elsewhere.invirt.test",))


def test_a_copy_follows_nobody_while_another_is_promoted(
    pair: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would acknowledge what one that is lost writes when it wakes; later it asks first who has all."""
    first, second = pair
    with second.here(), ExitStack() as held:
        told = peers.ask(second.address)
        assert told.receives
        monkeypatch.setattr(promotion, "LETS_GO", 0.0)
        with pytest.raises(Busy, match="still follows"):
            promotion._let_go(told, held)
        with pytest.raises(Busy, match="another copy"):
            promotion._refuse_another()
        monkeypatch.undo()
    with second.here():
        with closing(peers.connect(second.address, peers.LET_GO)), ExitStack() as held:
            assert fence.turn() == ""
            assert not promotion._let_go(told, held).receives
        until(lambda: fence.turn() == "" and peers.ask(second.address).receives)
        ((followed,),) = second.ask("SHOW primary_conninfo")
        assert parse_dsn(str(followed))["host"].startswith(first.address)


def test_what_the_file_system_refuses_is_told(pair: tuple[Place, Place]) -> None:
    """What ran before runs again, and the next run goes on."""
    _, second = pair
    with second.here() as cluster:
        second.control("stop")
        (cluster.data / standby.SIGNAL).unlink()
        subprocess.run(["mount", "--bind", cluster.data, cluster.data], check=True)
        try:
            with pytest.raises(Busy, match="busy") as raised:
                standby.make(yes=True)
            assert "again" in raised.value.hint
            assert second.ask("SELECT 1") == [(1,)]
        finally:
            second.control("stop")
            subprocess.run(["umount", cluster.data], check=True)
        standby.make(yes=True)


def test_without_postgresql_a_person_is_told_what_to_do(pair: tuple[Place, Place]) -> None:
    _, second = pair
    second.control("stop")
    with second.here(), pytest.raises(Unreachable, match="PostgreSQL doesn't run") as raised:
        promotion.promote(())
    assert "systemctl start postgresql" in raised.value.hint
