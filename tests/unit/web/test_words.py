"""Words that `invirt --web` says: which verb they are of, and what a made token's may be."""

from __future__ import annotations

from typing import Any

import pytest

from invirt.base.cli.describe import described
from invirt.base.errors import BadInput, Denied, NotFound
from invirt.remote.commands import web
from invirt.web import forms
from invirt.web.api import bearer, words
from invirt.web.api.bearer import Bearer

ROWS = [row for row in described(web.COMMAND) if "{user}" in row["words"]]
FORMS = [forms._form(row) for row in described(web.COMMAND)]
SAID = {
    row["name"]: tuple("x" if word.startswith("{") else word for word in row["words"] if word != "{user}")
    for row in ROWS
}


@pytest.fixture
def let(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The machines that were looked for; nobody administers, and all are in the scope."""
    asked: list[str] = []

    def require(_: Bearer, __: forms.Form, name: str) -> None:
        asked.append(name)

    monkeypatch.setattr(words, "require", require)
    monkeypatch.setattr(words, "administers", lambda _: False)
    return asked


@pytest.mark.parametrize("name", SAID)
def test_each_verb_is_known_by_its_words(name: str) -> None:
    found = words.asked(FORMS, (*SAID[name], "--json"))
    assert found.form.name == name and found.options[-1] == "--json"
    assert all(value == "x" for value in found.placed.values())


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("machines", [None, (1,)])
def test_scopes(name: str, machines: tuple[int, ...] | None, let: list[str]) -> None:
    """What is in no list is for a door's token; what is of a machine is looked for."""
    found = words.asked(FORMS, SAID[name])
    token = Bearer("alice@X", "t", True, machines)
    of_machines, of_all = words.OF_MACHINES | bearer.OF_MACHINES, words.OF_ALL | bearer.OF_ALL
    if name in of_machines:
        words._check(token, found)
        assert let == ["x"]
    elif name in of_all and machines is None:
        words._check(token, found)
        assert not let
    else:
        with pytest.raises(Denied):
            words._check(token, found)


def test_lists_are_of_the_table() -> None:
    reading: set[Any] = {row["name"] for row in ROWS if not row["changes"]}
    assert reading >= words.OF_MACHINES | words.OF_ALL


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (("show", "--json", "remus"), BadInput), (("show", "remus", "romulus"), BadInput),
        (("resize", "remus", "--memory", "1G"), BadInput), (("resize", "remus", "--user=bob"), BadInput),
        (("resize", "remus", "-m=1"), BadInput), (("operations", "--follow=1"), Denied),
        (("operations", "remus", "--follow=1"), Denied), (("operations",), Denied), (("list",), Denied),
        (("show",), None),
    ],
)  # fmt: skip
def test_what_a_token_for_a_machine_may_not(
    said: tuple[str, ...], error: type[Exception] | None, let: list[str]
) -> None:
    """Each word is one that is known: no option is hidden in a place, no place among options."""
    token = Bearer("alice@X", "t", True, (1,))
    with pytest.raises(error or Denied):
        words._check(token, words.asked(FORMS, said))
    assert not let


@pytest.mark.parametrize("said", [("verbs",), ("nothing",), ("--json", "list"), ("token",), ()])
def test_what_is_no_verb(said: tuple[str, ...]) -> None:
    with pytest.raises(NotFound):
        words.asked(FORMS, said)


def test_a_body_is_words_alone() -> None:
    assert words.words({"words": ["machine", "list"]}) == ("list",)
    assert words.words({"words": ["control", "remus", "status"]}) == ("control", "remus", "status")
