"""Errors, the command line, the log, Kerberos' environment, child processes."""

from __future__ import annotations

import os
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invirt.base import cli, errors, kerberos, log, tables
from invirt.base.cli import manual
from invirt.base.commands import config as config_command
from invirt.base.commands import getconf
from invirt.base.errors import CommandFailed, InvirtError
from invirt.base.process import run


def test_exit_codes_differ() -> None:
    family: list[type[InvirtError]] = [InvirtError, *InvirtError.__subclasses__()]
    codes = [error.exit_code for error in family]
    assert sorted(codes) == list(range(1, 10))
    assert all(error.__doc__ for error in family)


def command(work: object) -> cli.Command:
    def raising() -> None:
        if isinstance(work, BaseException):
            raise work

    return cli.Command("tool", 1, "Does it.", "At length.", "tool", raising)


@pytest.mark.parametrize(
    ("work", "code"),
    [(None, 0), (errors.NoRoom("full", "Less."), 6), (KeyboardInterrupt(), 130), (BrokenPipeError(), 1)],
)
def test_exit_codes_of_programs(work: object, code: int) -> None:
    assert cli.main(command(work), []) == code


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        cli.main(command(ZeroDivisionError()), [])


def test_errors_are_said_with_their_hint(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(command(errors.NoRoom("full", "Less.\nOr none.")), [])
    assert capsys.readouterr().err == "tool: full\n  Less.\n  Or none.\n"


@given(st.text())
def test_a_log_line_is_one_line(text: str) -> None:
    assert log.one_line(text).isprintable()


def test_log_lines_keep_what_is_printable() -> None:
    assert log.one_line("café\n\x1b[0m") == "café\\n\\x1b[0m"


def test_what_lasts_is_said_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a day, each second; then it is wrong in another way, and right and wrong again."""
    now, said = 0.0, []
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr(log, "write", lambda text, *_, **__: said.append((now, text)))
    trouble = log.Lasting("tool")
    for second in range(24 * 3600):
        now = float(second)
        trouble.write("gone")
    times = [time for time, _ in said]
    pauses = [after - before for before, after in pairwise(times)]
    assert times[0] == 0 and len(times) < 15
    assert pauses == sorted(pauses) and pauses[0] == log.AGAIN and pauses[-1] == log.SELDOM
    said.clear()
    trouble.write("refused")
    trouble.write("refused")
    trouble.over()
    trouble.write("refused")
    assert [text for _, text in said] == ["refused", "refused"]


def test_the_environment_of_kerberos_is_set_once() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KRB5CCNAME", "MEMORY:")
        patch.delenv("KRB5_CLIENT_KTNAME", raising=False)
        kerberos.use_host_keytab()
        assert os.environ["KRB5CCNAME"] == "MEMORY:"
        assert os.environ["KRB5_CLIENT_KTNAME"] == "/etc/krb5.keytab"
    os.environ.pop("KRB5_CLIENT_KTNAME", None)


@pytest.mark.children
def test_children_get_input_and_return_output() -> None:
    assert run(["cat"], input="hello").stdout == "hello"
    assert run(["cat"]).stdout == ""


@pytest.mark.children
def test_failed_children_can_be_pasted() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", "echo oh dear >&2; exit 3"])
    assert caught.value.message == "status 3 from: sh -c 'echo oh dear >&2; exit 3'"
    assert caught.value.hint == "oh dear"
    assert run(["false"], check=False).returncode == 1


@pytest.mark.children
def test_children_have_a_deadline() -> None:
    with pytest.raises(CommandFailed, match=r"no end within 0\.1 seconds: sleep 9"):
        run(["sleep", "9"], timeout=0.1)


@pytest.mark.children
def test_missing_programs_are_named() -> None:
    with pytest.raises(CommandFailed, match="no-such-program is not installed"):
        run(["no-such-program"])


@pytest.mark.usefixtures("invirt_yaml")
@pytest.mark.parametrize(
    ("argv", "code", "out"),
    [
        (["site.realm"], 0, "INVIRT.TEST\n"),
        (["database.port"], 0, "5432\n"),
        (["network.dns"], 0, ""),
        (["site"], 3, ""),
        (["site.domian"], 3, ""),
    ],
)
def test_getconf(argv: list[str], code: int, out: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(getconf.COMMAND, argv) == code
    assert capsys.readouterr().out == out


@pytest.mark.usefixtures("invirt_yaml")
def test_getconf_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(getconf.COMMAND, []) == 0
    assert "site.realm=INVIRT.TEST\n" in capsys.readouterr().out


def test_getconf_shows_lists_and_truths_for_the_shell() -> None:
    assert getconf.lines(("a", "b")) == ["a", "b"]
    assert getconf.lines(True) == ["true"]


def test_tables() -> None:
    assert tables.table(("A", "LONGER"), [("x", None), ("longest", 1)]) == (
        "A        LONGER\nx        -\nlongest  1\n"
    )
    assert tables.table(("A", "N"), [("x", 5), ("y", 10)]) == "A   N\nx   5\ny  10\n"
    assert tables.facts({"name": "remus", "CPUs": 1, "host": None, "description": ""}) == (
        "name:        remus\nCPUs:        1\n"
    )
    assert tables.as_json({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}\n'


def test_manual_pages_have_every_option() -> None:
    page = manual.page(config_command.COMMAND)
    for option in ("check", "diff", "force", "no\\-reload", "root"):
        assert f"\\-\\-{option}" in page


@pytest.mark.children
def test_a_program_loads_little() -> None:
    """Users wait for every import: what is heavy is loaded when it is used."""
    code = "import invirt.base.cli; from invirt import config; config.path()"
    modules = run([sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"]).stdout.split()
    heavy = {"yaml", "subprocess", "logging", "asyncio", "sqlalchemy", "mako", "socket", "argparse"}
    heavy |= {
        "invirt.config.schema",
        "invirt.base.cli.help",
        "click.shell_completion",
        "traceback",
        "difflib",
    }
    assert not heavy & set(modules)


def complaint(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a program with a verb says of argv; asserts that it ends with 2."""
    memory, yes = cli.Option("memory", choices=("64", "128")), cli.Flag("yes")
    verb = cli.Verb("create", "x", lambda **_: None, (cli.Argument("name"), memory, yes, cli.Flag("no")),
                    apart=("yes", "no"))  # fmt: skip
    command = cli.Command("machine", 8, "x.", "x", "x", verbs=(verb,))
    assert cli.main(command, argv) == 2
    said = capsys.readouterr()
    assert not said.out
    return said.err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "machine: VERB is missing\n  There is: create.\n"),
        (["creat", "x"], "machine: there is no 'creat'; did you mean create?\n  There is: create.\n"),
        (["create"], "machine: NAME is missing\n  usage: machine create "),
        (["create", "x", "--memry", "64"], "machine: unknown: --memry; did you mean --memory?\n"),
        (["create", "x", "--mem", "64"], "machine: unknown: --mem; did you mean --memory?\n"),
        (["create", "x", "--memory"], "machine: --memory needs a value\n"),
        (["create", "x", "--memory", "--yes"], "machine: --memory needs a value\n  --yes is an option.\n"),
        (["create", "x", "--yes=no"], "machine: --yes takes no value\n"),
        (["create", "x", "--yes", "--no"], "machine: --yes and --no don't go together\n"),
        (["create", "-1"], "machine: unknown: -1\n"),
        (
            ["create", "x", "--memory", "6"],
            "machine: --memory can't be '6'; did you mean 64?\n  There is: 64, 128.\n",
        ),
        (["create", "x", "\x1b[2J"], "machine: unknown: '\\x1b[2J'\n"),
        (["create", "\udcff"], "machine: '\\udcff' is not UTF-8\n"),
    ],
)
def test_complaints_about_arguments(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(argv, capsys).startswith(said)
