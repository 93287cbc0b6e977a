"""Whatever a host says: an answer of the promised form, or an InvirtError that is fit to be shown."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import strategies as st

from invirt.base import validate
from invirt.base.abilities import HYPERVISORS, STORAGES, Can
from invirt.base.errors import CommandFailed, Denied, InvirtError, Unreachable
from invirt.remote import answers
from invirt.remote.hosts import LONGEST, SHOWN, NoAnswer, failure, result
from invirt.remote.lines import Answer
from tests.examples import given

HOST = "host1.invirt.test"
NAMES = st.sampled_from(["remus", "romulus", "ALL", "help", "", "\0", "x\n", "../x", "d_remus"])
WORDS = st.text(max_size=12) | NAMES | st.sampled_from(["running", "off", "hda", "name", "state", "size"])
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 2**31, 2**63, 10**40, 1e308])
SCALARS = st.none() | st.booleans() | NUMBERS | WORDS
KEYS = st.sampled_from(["name", "state", "disk", "size", "trash", "memory", "x"]) | WORDS
ROWS = st.fixed_dictionaries(
    {"name": SCALARS},
    optional={"state": SCALARS, "disk": SCALARS, "size": SCALARS, "trash": SCALARS, "memory": SCALARS},
)
TREES = st.recursive(
    SCALARS | ROWS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
)
JSON = (TREES | st.lists(ROWS, max_size=4)).map(json.dumps)
BROKEN = st.tuples(JSON, st.integers(0, 60), st.text(max_size=3)).map(lambda t: t[0][: t[1]] + t[2])
RAW = st.binary(max_size=80).map(lambda said: said.decode(errors="replace"))
ERRORS = st.builds(Unreachable, st.sampled_from(["no route to host", "timed out"]))
ANSWERS: st.SearchStrategy[Answer] = st.one_of(JSON, BROKEN, RAW, st.text(max_size=40), ERRORS)


def fit_to_be_shown(error: InvirtError) -> None:
    """Short lines of printable text."""
    lines = error.message.splitlines() + error.hint.splitlines()
    assert len(error.message.splitlines()) == 1
    assert all(line.isprintable() and len(line) <= 2 * SHOWN for line in lines)


@given(ANSWERS, NAMES)
def test_state_of_a_guest(answer: Answer, name: str) -> None:
    try:
        state = answers.guest_state(HOST, name, answer)
    except Unreachable as error:
        assert isinstance(error, answers.Nonsense) or error is answer
    else:
        assert isinstance(answer, str)
        assert json.loads(answer)["name"] == name
        assert json.loads(answer)["state"] == state
        assert state in ("running", "off")


@given(ANSWERS)
def test_what_hosts_can(answer: Answer) -> None:
    try:
        told = answers.told(HOST, answer)
    except Unreachable:
        return
    assert told.can <= set(Can)
    assert told.hypervisor in (None, *HYPERVISORS)
    assert set(told.storage or ()) <= set(STORAGES)


@pytest.mark.parametrize("word", ["can", "storage", "hypervisor"])
@pytest.mark.parametrize(
    "value", [None, 7, "move", ["move", 7, None, []], {"file": 7}, {"file": ["move", {}]}]
)
def test_what_hosts_say_wrongly_of_themselves(word: str, value: object) -> None:
    said = {
        "name": "remus",
        "hypervisor": "qemu",
        "can": ["cdrom"],
        "storage": {"file": ["grow"]},
        word: value,
    }
    told = answers.told(HOST, json.dumps(said))
    assert told.can <= {Can.CDROM, Can.MOVE}
    assert all(can <= {Can.GROW, Can.MOVE} for can in (told.storage or {}).values())


@pytest.mark.parametrize(
    "said", [None, 7, 7.2, "", "7", "7.2.1", "7.2\n", "-1.0", "1e9.0", "٧.٢", "9999.9", ["7.2"]]
)
def test_versions_that_are_none(said: object) -> None:
    about = {"hypervisor": "qemu", "storage": {}, "version": said, "made_by": said, "cd": said}
    told = answers.told(HOST, json.dumps(about))
    assert (told.version, told.made_by, told.cd) == (None, None, False)


@given(ANSWERS)
def test_guests(answer: Answer) -> None:
    try:
        found = answers.guests(HOST, answer)
    except Unreachable:
        return
    assert all(validate.machine_name(name) == name for name in found)


@given(ANSWERS)
def test_volumes(answer: Answer) -> None:
    try:
        found = answers.volumes(HOST, answer)
    except Unreachable:
        return
    for (name, disk), size in found.items():
        assert validate.machine_name(name) == name
        assert validate.disk_name(disk) == disk
        assert type(size) is int
        assert 0 <= size <= answers.LARGEST


BREAKERS = ["[" * 200_000, "9" * 100_000, '{"a":' * 100_000, "NaN", "\ud800", "\0"]


@pytest.mark.parametrize("answer", BREAKERS, ids=range(len(BREAKERS)))
def test_what_breaks_parsers(answer: str) -> None:
    for ask in (answers.guests, answers.volumes):
        with pytest.raises(answers.Nonsense):
            ask(HOST, answer)
    with pytest.raises(answers.Nonsense):
        answers.guest_state(HOST, "remus", answer)


def test_an_answer_about_another_machine_is_none() -> None:
    with pytest.raises(answers.Nonsense):
        answers.guest_state(HOST, "remus", '{"name": "romulus", "state": "off"}')


@given(st.integers(-1, 300), st.text(max_size=200) | RAW)
def test_failures(code: int, said: str) -> None:
    error = failure(code, said, HOST)
    assert error.message.startswith(f"{HOST}: ")
    fit_to_be_shown(error)


@pytest.mark.parametrize("said", ["x" * 10**7, "x\n" * 10**6, "\n" * 10**6, "a: " * 10**6], ids=range(4))
def test_endless_failures(said: str) -> None:
    fit_to_be_shown(failure(9, said, HOST))


class Client:
    """remctl's side of a connection on which these pieces come, each after pause seconds."""

    def __init__(self, pieces: Sequence[tuple[Any, ...]], pause: float = 0) -> None:
        self.pieces = iter(pieces)
        self.pause = pause

    def output(self) -> tuple[Any, ...]:
        time.sleep(self.pause)
        return next(self.pieces, ("done", None, 0, 0, 0))


DATA = st.none() | st.binary(max_size=30)
PIECES = st.one_of(
    st.tuples(st.just("output"), DATA, st.integers(0, 5), st.just(0), st.just(0)),
    st.tuples(st.just("status"), st.none(), st.just(0), st.integers(-1, 255), st.just(0)),
    st.tuples(st.just("error"), DATA, st.just(0), st.just(0), st.integers(0, 20)),
    st.just(("done", None, 0, 0, 0)),
)


@given(st.lists(PIECES, max_size=6))
def test_pieces_of_an_answer(pieces: list[tuple[Any, ...]]) -> None:
    try:
        said = result(Client(pieces), HOST, ("domain", "list"), time.monotonic() + 10)
    except InvirtError as error:
        fit_to_be_shown(error)
        return
    printed = b"".join(piece[1] or b"" for piece in pieces if piece[:1] == ("output",) and piece[2] == 1)
    assert printed.decode(errors="replace").startswith(said)


def test_an_endless_answer_is_cut_off() -> None:
    piece = ("output", b"x" * (1 << 20), 1, 0, 0)
    with pytest.raises(NoAnswer, match="says more than"):
        result(Client([piece] * (2 * LONGEST >> 20)), HOST, ("domain", "list"), time.monotonic() + 10)


def test_an_answer_by_drops_is_given_up() -> None:
    piece = ("output", b"x", 1, 0, 0)
    with pytest.raises(NoAnswer, match="no end"):
        result(Client([piece] * 1000, pause=0.01), HOST, ("domain", "list"), time.monotonic() + 0.1)


def test_kinds_of_failures() -> None:
    with pytest.raises(Denied, match="refuses"):
        result(Client([("error", b"no\x1b[31m", 0, 0, 6)]), HOST, ("domain", "list"), time.monotonic() + 1)
    assert type(failure(77, "x", HOST)) is CommandFailed
    assert type(failure(7, "the database doesn't answer", HOST)) is NoAnswer  # it was sent
