"""Who may do what stands in the table of verbs: for each verb it is so; with --json each answers in JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import closing

import pytest

from invirt import config
from invirt.base.cli import Place, Who, whole
from invirt.remote import session
from invirt.remote.commands import admin, control, machine, web
from tests.parts.hostile.test_users import WEB, call
from tests.parts.operations.conftest import ALICE, BOB, Site

PROGRAMS = {
    "machine": machine.COMMAND,
    "control": control.COMMAND,
    "web": web.COMMAND,
    "admin": admin.COMMAND,
}
EVE, CAROL = "eve@INVIRT.TEST", "carol@INVIRT.TEST"
NOT_FOUND, DENIED = 3, 4
PLACES = [
    pytest.param(program, place, id=place.path)
    for program, command in PROGRAMS.items()
    for place in whole(command, program).all()
    if place.verb
]


@pytest.fixture
def rome(site: Site) -> Iterator[Site]:
    """remus and romulus are alice's, bob may control remus, carol administers the site; no host works."""
    site.create("remus")
    site.submit("delete", "remus")
    site.create("remus")
    site.submit("disk-create", "remus", disk="hdb", size=1)
    site.create("romulus")
    site.rows("INSERT INTO machine_access SELECT machine_id, %s FROM machines", BOB)
    site.rows("INSERT INTO administrators VALUES (%s)", CAROL)
    site.rows("INSERT INTO owners (name, memory, disk, machines) VALUES ('group:robotics', 1, 1, 1)")
    for keeper in (EVE, BOB, ALICE):
        site.rows(
            "INSERT INTO members (owner_id, principal, keeper) SELECT owner_id, %s, true FROM owners"
            " WHERE name = 'group:robotics'",
            keeper,
        )
    site.rows(
        "INSERT INTO machine_offers SELECT machine_id, o.name, o.owner_id, %s FROM machines, owners o"
        " WHERE o.name = 'group:robotics'",
        ALICE,
    )
    site.rows("UPDATE hosts SET enabled = false")
    with site.database.config.open("a") as file:
        file.write("web:\n  hostname: web.invirt.test\n")
    config.reload()
    with closing(session.connected()):
        yield site


def asked(program: str, place: Place, who: str) -> tuple[int, object]:
    """The exit code, and the document, when the verb's example is asked for by who."""
    words = shlex.split(place.example)[1:]
    if program == "web" and "alice" in words:
        words[words.index("alice")] = who.partition("@")[0]  # who acts comes first
    code, out, errors = call(program, [*words, "--json"], WEB if program == "web" else who)
    assert errors or not code  # what was done may want a word, too
    return code, json.loads(out)


@pytest.mark.parametrize(("program", "place"), PLACES)
def test_who_may(rome: Site, program: str, place: Place) -> None:
    assert place.verb
    answers = {who: asked(program, place, who) for who in (EVE, BOB, CAROL, ALICE)}
    # Of whose things there are, administrators make no secret.
    refusals = (DENIED,) if "admin" in place.path.split() else (NOT_FOUND, DENIED)
    refused = {who for who, (code, _) in answers.items() if code in refusals}
    names_one = {EVE} if "--machine" in place.example else set()
    words = place.path.split()
    if "group" in words:  # after the first, who may, it is gone, or bob is
        names_one = {"delete": {BOB, CAROL, ALICE}, "remove": {BOB}}.get(words[-1], set())
    if words[-1] == "decline":  # there is no offer any more
        names_one = {BOB, CAROL, ALICE}
    expected = {Who.ANYONE: names_one, Who.USER: {EVE}, Who.OWNER: {EVE, BOB}, Who.WEB: set()}
    expected[Who.SITE] = {ALICE, BOB, EVE}
    assert refused == expected[place.verb.who], answers
    for code, document in answers.values():
        if code:
            assert isinstance(document, dict) and document["code"] == code and document["error"]
