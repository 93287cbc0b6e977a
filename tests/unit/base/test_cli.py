"""One table of verbs: what they find is printed in one place; completion; what is not read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from invirt.base import cli
from invirt.base.cli import completion
from invirt.base.errors import NoRoom

ROWS = [{"name": "remus", "memory": 64, "tags": ["a"]}, {"name": "b\x1b", "memory": None, "tags": []}]


def full() -> None:
    raise NoRoom("full", "Less.")


def told() -> str:
    cli.say("half of it")
    return "all of it"


VERBS = (
    cli.Verb("rows", "x", lambda: ROWS, shown=cli.Table()),
    cli.Verb("none", "x", list, shown=cli.Table(empty="There is none.")),
    cli.Verb("some", "x", lambda: {"in": ROWS, "silent": {}}, shown=cli.Table({"N": "name"}, inside="in")),
    cli.Verb("one", "x", lambda: ROWS[0], shown=cli.Facts({"name": "name", "MiB": lambda r: r["memory"]})),
    cli.Verb("note", "x", lambda: cli.Found({"a": 1}, notes=["b is silent"], code=5), shown=str),
    cli.Verb("nothing", "x", lambda: None),
    cli.Verb("told", "x", told),
    cli.Verb("full", "x", full),
    cli.Verb("forever", "x", lambda: 7, shown=None),
    cli.Verb("rest", "x", lambda **found: found, (cli.Argument("who"), cli.Argument(
        "words", type=cli.rest_of_line, several=True, required=False)), shown=str),
    cli.Verb("text", "x", lambda text, force: [text, force], (cli.Option("text"), cli.Flag("force")),
             shown=str),
)  # fmt: skip
COMMAND = cli.Command("tool", 8, "x.", "x", "tool rows", verbs=VERBS)


@pytest.mark.parametrize(
    ("verb", "code", "out", "err", "data"),
    [
        ("rows", 0, "name   memory  tags\nremus  64      ['a']\nb\\x1b  -       []\n", "", ROWS),
        ("none", 0, "There is none.\n", "", []),
        ("some", 0, "N\nremus\nb\\x1b\n", "", {"in": ROWS, "silent": {}}),
        ("one", 0, "name: remus\nMiB:  64\n", "", ROWS[0]),
        ("note", 5, "{'a': 1}", "b is silent\n", {"a": 1}),
        ("nothing", 0, "", "", None),
        ("told", 0, "half of it\nall of it\n", "", {"done": "all of it"}),
        ("full", 6, "", "tool: full\n  Less.\n", {"error": "full", "hint": "Less.", "code": 6}),
        ("ful", 2, "", "tool: there is no 'ful'; did you mean full?\n", None),
    ],
)
def test_for_people_and_as_json(
    verb: str, code: int, out: str, err: str, data: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same code and the same words on stderr; on stdout one document, of errors, too."""
    assert cli.main(COMMAND, [verb]) == code
    said = capsys.readouterr()
    assert (said.out, said.err[: len(err) or None]) == (out, err)
    assert cli.main(COMMAND, [verb, "--json"]) == code
    found = capsys.readouterr()
    assert found.err == ("half of it\n" if verb == "told" else said.err)
    document = json.loads(found.out)
    assert document == data if code != 2 else set(document) == {"error", "hint", "code"}


def test_what_never_ends_has_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(COMMAND, ["forever"]) == 7
    assert cli.main(COMMAND, ["forever", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"].startswith("unknown: --json")


def test_the_rest_of_a_line_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["ls", "-l", "--", "--json", "-h"], [], ["--x"]):
        assert cli.main(COMMAND, ["rest", "host1", *words]) == 0
        assert capsys.readouterr().out == str({"who": "host1", "words": tuple(words)})


def test_nothing_is_read_from_the_environment_or_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "words"
    file.write_text("--force")
    monkeypatch.chdir(tmp_path)
    for name in ("TEXT", "FORCE", "TOOL_TEXT_FORCE", "TOOL_FORCE", "COMMAND_FORCE"):
        monkeypatch.setenv(name, "1")
    for given in ("@words", "*", "~", "$HOME", "%APPDATA%"):
        assert cli.main(COMMAND, ["text", "--text", given]) == 0
        assert capsys.readouterr().out == str([given, False])
    assert cli.main(COMMAND, ["text"]) == 0
    assert capsys.readouterr().out == str([None, False])


def completed(words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What could follow words."""
    monkeypatch.setenv("_TOOL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    assert completion.answered(COMMAND)
    return capsys.readouterr().out.split()


def test_completion(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed("tool no", capsys, monkeypatch) == ["plain,none", "plain,note", "plain,nothing"]
    assert completed("tool text --", capsys, monkeypatch) == [
        *("plain,--text", "plain,--force", "plain,--json", "plain,--help")
    ]
    monkeypatch.delenv("_TOOL_COMPLETE")
    assert not completion.answered(COMMAND)


def test_a_verb_may_be_meant_where_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = (
        cli.Verb("one", "one", lambda loud: f"one {loud}", (cli.Flag("loud", "so"),)),
        cli.Verb("two", "two", lambda: "two"),
    )
    command = cli.Command("x", 8, "s", "d", "x", verbs=verbs, bare="one")
    for argv, said in (([], "one False"), (["--loud"], "one True"), (["two"], "two"), (["one"], "one False")):
        assert cli.main(command, argv) == 0 and capsys.readouterr().out == f"{said}\n"
    assert cli.main(command, ["--help"]) == 0 and "VERB" in capsys.readouterr().out
