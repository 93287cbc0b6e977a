"""What sources tell is who may, from the next question on; silence changes nothing for a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from invirt import config
from invirt.base import cli
from invirt.base.errors import CommandFailed, InvirtError
from invirt.database import watch
from invirt.database.commands.admin import COMMAND
from invirt.database.members import asking, keeping
from tests.parts.postgres import Database

ALICE, BOB, EVE = (f"{name}@INVIRT.TEST" for name in ("alice", "bob", "eve"))
MAY = "SELECT DISTINCT principal FROM owner_access WHERE role = 'owner' ORDER BY 1"


class Source:
    """A source as a test wants it: whom it tells, or what it raises."""

    def __init__(self, *members: str) -> None:
        self.members, self.asked = list(members), 0

    def __call__(self, kind: str, name: str) -> list[str]:
        self.asked += 1
        if not self.members:
            raise CommandFailed("it is down")
        return asking.sound(self.members)


def admin(line: str, code: int = 0) -> None:
    assert cli.main(COMMAND, line.split()) == code


@pytest.fixture
def turn(site: Database) -> Iterator[Callable[[Source], int]]:
    """The service's turn, by its own role."""
    with closing(site.connect("invirt_members")) as connected, connected.cursor() as cursor:
        yield lambda source: keeping.turn(cursor, source)


def may(database: Database) -> list[str]:
    """Who may use the machines, as the web server sees it."""
    return [str(one) for (one,) in database.execute(MAY, user="invirt_web")]


def age(database: Database, seconds: int) -> None:
    """As if all of it had been that long ago."""
    database.execute(
        "UPDATE sources SET due_at = due_at - %s * interval '1 s', asked_at = asked_at - %s * interval '1 s',"
        " answered_at = answered_at - %s * interval '1 s'",
        (seconds,) * 3,
    )


def counter(database: Database) -> object:
    return database.execute("SELECT value FROM counters WHERE name = 'access'")[0][0]


def close(database: Database) -> None:
    with closing(database.connect("postgres")) as connected, connected.cursor() as cursor:
        watch.close_sources(cursor)


def test_members_follow_their_source(site: Database, turn: Callable[[Source], int]) -> None:
    """Named, asked at once; who is told no more has no access, and every snapshot knows."""
    admin("owner add unix:robotics")
    source = Source(ALICE, BOB)
    assert turn(source) == 1 and may(site) == [ALICE, BOB]
    assert turn(source) == 0
    age(site, 61)
    before = counter(site)
    assert turn(source) == 1 and counter(site) == before  # nothing changed: nothing is looked at anew
    source.members = [BOB, EVE]
    age(site, 61)
    assert turn(source) == 1 and may(site) == [BOB, EVE] and counter(site) != before
    assert site.execute("SELECT DISTINCT source FROM members") == [("unix:robotics",)]


def test_a_source_that_is_down_changes_nothing_and_then_closes(
    site: Database, turn: Callable[[Source], int]
) -> None:
    """By the watch, should the service itself be gone; and opens again with the next answer."""
    admin(f"owner add cs101 --source unix:cs101 --member {EVE}")
    source = Source(ALICE)
    turn(source)
    source.members.clear()
    age(site, 250)
    assert turn(source) == 1 and may(site) == [ALICE, EVE]
    close(site)
    assert may(site) == [ALICE, EVE]
    assert site.execute("SELECT error FROM sources") == [("it is down",)]
    before = counter(site)
    age(site, 51)
    close(site)
    assert may(site) == [EVE] and counter(site) != before  # whom somebody named stays
    source.members = [ALICE]
    age(site, 61)
    turn(source)
    assert may(site) == [ALICE, EVE] and site.execute("SELECT error FROM sources") == [("",)]


def test_another_source_begins_with_nobody(site: Database, turn: Callable[[Source], int]) -> None:
    admin("owner add cs101 --source unix:cs101")
    turn(Source(ALICE))
    admin("owner set cs101 --source unix:cs102")
    assert may(site) == []
    turn(Source(BOB))
    assert may(site) == [BOB]
    admin("owner set cs101 --source none")
    assert may(site) == [] and site.execute("SELECT FROM sources") == []


def test_an_answer_to_an_old_question_counts_for_nothing(site: Database) -> None:
    """The owner has another source by the time it comes."""
    admin("owner add cs101 --source unix:cs101")
    (owner,) = site.execute("SELECT owner_id FROM owners")[0]
    told = "SELECT source_answered(%s, %s, %s, 60)"
    assert site.execute(told, (owner, "unix:other", [EVE]), "invirt_members") == [(False,)]
    assert may(site) == []


def test_a_kind_that_invirt_yaml_names_no_more_closes_at_once(
    site: Database, turn: Callable[[Source], int]
) -> None:
    admin("owner add unix:robotics")
    turn(Source(ALICE))
    site.config.write_text(site.config.read_text().replace("[unix, ldap, hr]", "[ldap, hr]"))
    config.reload()
    close(site)
    assert may(site) == []


def test_refresh_asks_at_once_but_not_again_and_again(site: Database, turn: Callable[[Source], int]) -> None:
    admin("owner add unix:robotics")
    source = Source(ALICE)
    turn(source)
    admin("owner refresh unix:robotics")
    assert turn(source) == 0
    age(site, 6)
    site.execute("SELECT ask_source('unix:robotics')", user="invirt_remote")
    assert turn(source) == 1


@pytest.mark.parametrize(
    "wrong",
    [["alice"], ["a b@X"], ["host/web.invirt.test@INVIRT.TEST"], [7], [None], [["alice@X"]], ["x@X\n"],
     [f"u{n}@X" for n in range(1001)]],
)  # fmt: skip
def test_nonsense_is_no_answer(wrong: list[object]) -> None:
    with pytest.raises(InvirtError):
        asking.sound(wrong)


PLUGINS = {
    "hangs": ("import time; time.sleep(60)", "no end within"),
    "crashes": ("raise RuntimeError('oh')", "the plug-in hr failed: RuntimeError: oh"),
    "dies": ("import os; os._exit(0)", "no answer"),
    "half": ("import os; print('[\"alice@X\"', flush=True); os._exit(0)", "no answer"),
    "nothing": ("return None", "the plug-in hr failed"),
    "well": ("return [f'{name}@X']", ""),
}


@pytest.mark.parametrize("how", PLUGINS)
def test_a_site_s_own_plug_in(
    site: Database, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by its entry point, as a package brings it; whatever it does is an answer or none."""
    body, said = PLUGINS[how]
    (tmp_path / "site_hr.py").write_text(f"def members(name):\n    {body}\n")
    about = tmp_path / "site_hr-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: site-hr\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[invirt.members]\nhr = site_hr:members\n")
    site.config.write_text(site.config.read_text().replace("deadline: 20", "deadline: 3"))
    config.reload()
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(sys.path)}")
    program = str(Path(__file__).parents[3] / "invirt-database/sbin/invirt-database-members")
    begun = time.monotonic()
    if said:
        with pytest.raises(CommandFailed, match=said):
            asking.ask_apart("hr", "physics", ("/usr/bin/python3", program))
    else:
        assert asking.ask_apart("hr", "physics", ("/usr/bin/python3", program)) == ["physics@X"]
    assert time.monotonic() - begun < 30


def test_no_owner_has_a_source_that_nobody_asks(site: Database) -> None:
    """Nor a group of users' own one."""
    admin("owner add afs:staff", 2)
    admin("owner add group:robotics", 2)
    admin("owner add cs101 --source unix:a;b", 2)
    assert site.execute("SELECT FROM owners") == []


@pytest.mark.parametrize(
    "query",
    [
        "SELECT FROM machines", "SELECT FROM owners", "SELECT FROM members", "DELETE FROM members",
        "INSERT INTO sources (owner_id, kind, name) VALUES (1, 'unix', 'x')", "SELECT ask_source('x')",
        "SELECT close_sources(0, '{}')", "UPDATE sources SET due_at = now()", "SELECT remove_group(1)",
    ],
)  # fmt: skip
def test_who_asks_may_do_nothing_else(site: Database, query: str) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        site.execute(query, user="invirt_members")
