"""What people are told by mail: with what it is about, by a real mail server, at least once each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extras import NamedTupleCursor

from invirt.database.mail.sending import Sender
from tests.parts.mail.conftest import ROOT, MailServer
from tests.parts.owned import machine, owner
from tests.parts.postgres import Database
from tests.parts.realm import DEADLINE

ASK = """
INSERT INTO quota_requests (owner_id, principal, resource, amount, why)
SELECT owner_id, 'alice@INVIRT.TEST', %s, %s, %s FROM owners WHERE name = 'alice'
ON CONFLICT (owner_id, resource) WHERE state = 'open'
    DO UPDATE SET amount = excluded.amount, why = excluded.why
"""
DECIDE = """
UPDATE quota_requests SET state = %s, decided_by = 'carol@INVIRT.TEST', decided_at = now(), answer = %s
WHERE resource = %s
"""
OFFER = """
INSERT INTO machine_offers (machine_id, name, to_owner, principal) SELECT machine_id, %(to)s,
    (SELECT owner_id FROM owners WHERE name = %(to)s), 'alice@INVIRT.TEST' FROM machines WHERE name = %(name)s
"""
GIVE = """
UPDATE machines SET owner_id = (SELECT owner_id FROM owners WHERE name = %s) WHERE name = %s
"""
WAITING = "SELECT kind, recipient, amount FROM mails WHERE due_at IS NOT NULL ORDER BY 1, 2"


def remote(site: Database, query: str, values: object = None) -> None:
    """As remote servers write it."""
    site.execute(query, values, user="invirt_remote")  # type: ignore[arg-type]


def now(site: Database) -> None:
    """All that waits is due."""
    site.execute("UPDATE mails SET due_at = now() WHERE due_at IS NOT NULL")


@pytest.fixture
def turn(site: Database) -> Iterator[Callable[[], int]]:
    """The service's turn, by its own role."""
    with (
        closing(site.connect("invirt_mail")) as connected,
        connected.cursor(cursor_factory=NamedTupleCursor) as cursor,
    ):
        yield lambda: Sender().turn(cursor)


def test_a_quota_is_asked_for_and_answered(
    site: Database, server: MailServer, turn: Callable[[], int]
) -> None:
    """Administrators are told, then who asked; the newest word alone; an instance has no mail."""
    remote(site, ASK, ("memory", 100, ""))
    remote(site, ASK, ("memory", 16384, "a course of Übungen"))
    assert turn() == 2 and turn() == 0
    (asked,) = server.mails()
    assert asked["To"] == "carol@mail.test" and asked["From"] == "invirt@invirt.test"
    text = str(asked.get_payload(decode=True), "utf-8")
    assert "alice@INVIRT.TEST asks for 16384 MiB of memory for alice." in text
    assert "a course of Übungen" in text and "Questions: root" in text
    assert site.execute("SELECT recipient, error FROM mails WHERE sent_at IS NULL") == [
        ("root/admin@INVIRT.TEST", "root/admin@INVIRT.TEST has no address")
    ]
    remote(site, ASK, ("cpus", 7, ""))
    remote(site, DECIDE, ("granted", "", "memory"))
    remote(site, DECIDE, ("refused", "no room", "cpus"))
    assert turn() == 2  # what was asked is answered by now
    told = {str(mail["Subject"]): str(mail.get_payload(decode=True), "utf-8") for mail in server.mails()[1:]}
    assert "alice may use 16384 MiB of memory" in told["A larger quota of alice is granted"]
    assert "no room" in told["A larger quota of alice is refused"]


def test_a_machine_is_handed_over(site: Database, server: MailServer, turn: Callable[[], int]) -> None:
    """Whom it is offered to is told, whether they own something yet or not; then who offered it."""
    for name, to in (("remus", "bob"), ("romulus", "dora"), ("titus", "bob")):
        if name != "remus":
            machine(site, name)
        remote(site, OFFER, {"name": name, "to": to})
    remote(site, "DELETE FROM machine_offers USING machines m WHERE m.machine_id = machine_offers.machine_id"
                 " AND m.name = 'titus'")  # fmt: skip
    assert turn() == 2
    assert sorted(mail["To"] for mail in server.mails()) == ["bob@mail.test", "dora@mail.test"]
    owner(site, "dora")
    remote(site, GIVE, ("bob", "remus"))
    remote(site, GIVE, ("dora", "romulus"))
    assert turn() == 2
    told = sorted(str(mail["Subject"]) for mail in server.mails() if mail["To"] == "alice@mail.test")
    assert told == ["The machine remus is bob's now", "The machine romulus is dora's now"]


def test_who_offered_is_told_that_it_was_declined(
    site: Database, server: MailServer, turn: Callable[[], int]
) -> None:
    """And not of what they have withdrawn themselves."""
    remote(site, OFFER, {"name": "remus", "to": "bob"})
    remote(site, "SELECT decline_offer(machine_id, 'bob@INVIRT.TEST') FROM machine_offers")
    assert turn() == 1 and site.execute("SELECT FROM machine_offers") == []
    (told,) = server.mails()
    assert told["To"] == "alice@mail.test" and told["Subject"] == "The machine remus stays where it is"
    text = str(told.get_payload(decode=True), "utf-8")
    assert "bob@INVIRT.TEST declines remus, which you offered to bob." in text
    remote(site, "SELECT decline_offer(machine_id, 'bob@INVIRT.TEST') FROM machines")
    assert turn() == 0


def test_what_is_given_at_once_nobody_is_told(site: Database) -> None:
    site.execute("INSERT INTO members SELECT owner_id, 'alice@INVIRT.TEST' FROM owners WHERE name = 'bob'")
    with closing(site.connect("invirt_remote")) as connected:
        connected.autocommit = False
        with connected, connected.cursor() as cursor:
            cursor.execute(OFFER, {"name": "remus", "to": "bob"})
            cursor.execute(GIVE, ("bob", "remus"))
    assert site.execute(WAITING) == []


def test_what_is_not_committed_is_not_told(site: Database) -> None:
    with closing(site.connect("invirt_remote")) as connected, connected.cursor() as cursor:
        connected.autocommit = False
        cursor.execute(ASK, ("memory", 100, ""))
        connected.rollback()
    assert site.execute(WAITING) == []


def test_a_mail_server_that_is_down_holds_up_nobody(
    site: Database, server: MailServer, turn: Callable[[], int]
) -> None:
    """What is asked for is asked for; its mail waits, and is sent once there is somebody to take it."""
    server.stop()
    remote(site, ASK, ("memory", 100, ""))
    assert turn() == 0 and turn() == 0
    assert "refused" in str(site.execute("SELECT error FROM mails LIMIT 1")[0][0])
    remote(site, ASK, ("memory", 200, ""))
    server.start()
    now(site)
    assert turn() == 2
    (asked,) = server.mails()
    assert "200 MiB" in str(asked.get_payload(decode=True))


def test_whom_the_server_refuses_holds_up_nobody(
    site: Database, server: MailServer, turn: Callable[[], int]
) -> None:
    site.execute("DELETE FROM administrators")
    site.execute("INSERT INTO administrators VALUES ('aaron@INVIRT.TEST'), ('carol@INVIRT.TEST')")
    (server.folder / "refuse").write_text("aaron@mail.test")
    remote(site, ASK, ("memory", 100, ""))
    assert turn() == 2
    assert [mail["To"] for mail in server.mails()] == ["carol@mail.test"]
    ((waits, why),) = site.execute("SELECT due_at > now(), error FROM mails WHERE sent_at IS NULL")
    assert waits and "nobody of that name" in str(why)
    (server.folder / "refuse").unlink()
    now(site)
    assert turn() == 1 and len(server.mails()) == 2


def test_nobody_has_others_mailed_without_end(site: Database) -> None:
    """A hundred in a day; who grants or accepts is not counted."""
    query = "INSERT INTO mails (kind, recipient, acting, owner, thing, due_at)"
    site.execute(f"{query} SELECT 'offered', n, 'alice@INVIRT.TEST', n, 'x', NULL"
                 " FROM (SELECT generate_series(1, 99)::text AS n) s")  # fmt: skip
    remote(site, OFFER, {"name": "remus", "to": "bob"})
    machine(site, "romulus")
    remote(site, OFFER, {"name": "romulus", "to": "bob"})
    assert len(site.execute(WAITING)) == 1
    remote(site, GIVE, ("bob", "romulus"))
    assert len(site.execute(WAITING)) == 2


def test_who_sends_may_do_nothing_else(site: Database) -> None:
    """Nor does a remote server write mails of its own, or read them."""
    for user, query in (
        ("invirt_mail", "INSERT INTO mails (kind, recipient, acting, owner, thing)"
                        " VALUES ('asked', 'x', 'x@Y', 'x', 'x')"),
        ("invirt_mail", "UPDATE mails SET recipient = 'x'"),
        ("invirt_mail", "SELECT * FROM members"),
        ("invirt_remote", "SELECT * FROM mails"),
        ("invirt_remote", "SELECT write_mail('asked', 'x', 'x@Y', 'x', 'x', 1, '')"),
    ):  # fmt: skip
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            site.execute(query, user=user)


def test_who_dies_between_sending_and_marking_sends_again(site: Database, server: MailServer) -> None:
    """The real service, killed when the mail server has the mail, and has not said so yet."""
    remote(site, ASK, ("memory", 100, ""))
    (server.folder / "hold").touch()

    def service() -> subprocess.Popen[bytes]:
        path = ":".join(str(one) for one in ROOT.glob("invirt-*/python"))
        argv = [sys.executable, "-c", "from invirt.database.mail.sending import run; run()"]
        return subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": path})

    def until(there: Callable[[], bool]) -> None:
        limit = time.monotonic() + DEADLINE
        while not there():
            assert time.monotonic() < limit, (server.mails(), site.execute("SELECT * FROM mails"))
            time.sleep(0.05)

    marked = "SELECT 1 FROM mails WHERE recipient = 'carol@INVIRT.TEST' AND sent_at IS NOT NULL"
    first = service()
    try:
        until(lambda: len(server.mails()) == 1)
        first.send_signal(signal.SIGKILL)
        first.wait(DEADLINE)
        assert site.execute(marked) == []
        (server.folder / "hold").unlink()
        second = service()
        try:
            until(lambda: bool(site.execute(marked)))
            assert len({mail["Message-ID"] for mail in server.mails()}) == 1 and len(server.mails()) == 2
        finally:
            second.kill()
            second.wait(DEADLINE)
    finally:
        first.kill()
        first.wait(DEADLINE)


def test_the_program_says_where_somebody_gets_mail(
    server: MailServer, capsys: pytest.CaptureFixture[str]
) -> None:
    from invirt.base import cli
    from invirt.database.commands.mail import COMMAND

    assert cli.main(COMMAND, ["address", "alice@INVIRT.TEST"]) == 0
    assert capsys.readouterr().out == "alice@mail.test\n"
    assert cli.main(COMMAND, ["address", "alice@OTHER.TEST"]) == 3
