"""The shell's decisions, with a home of plain files and a console that behaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from invirt.console import shell

ALICE = ("gssapi-with-mic alice@INVIRT.TEST",)


@pytest.fixture
def home(tmp_path: Path) -> shell.Home:
    for name, text in ((".k5login", "alice@INVIRT.TEST\n"), ("keys", "restrict,pty ssh-ed25519 AAAAB\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "host").write_text("host1.invirt.test\n")
    return shell.Home(tmp_path)


class Terminal:
    """Plays the relay, one function a connection, True when it is left; remembers hosts and what was said."""

    def __init__(self, home: shell.Home, *connections: Callable[[], bool]) -> None:
        self.home, self.connections = home, list(connections)
        self.hosts: list[str | None] = []
        self.said: list[str] = []

    def start(self, may_stay: Callable[[], bool]) -> bool:
        self.hosts.append(self.home.host())
        return self.connections.pop(0)()

    def session(self, proofs: tuple[str, ...] = ALICE) -> shell.Session:
        return shell.Session("remus", self.home, proofs, self.start, self.said.append, poll=0.001)

    def moves(self, to: str) -> Callable[[], bool]:
        def end() -> bool:
            (self.home.folder / "host").write_text(to)
            return False

        return end


def test_who_leaves_has_left(home: shell.Home) -> None:
    terminal = Terminal(home, lambda: True)
    terminal.session().go()
    assert terminal.hosts == ["host1.invirt.test"]


def test_a_machine_that_moves_is_followed(home: shell.Home) -> None:
    terminal = Terminal(home)
    terminal.connections = [terminal.moves("host2.invirt.test\n"), lambda: True]
    terminal.session().go()
    assert terminal.hosts == ["host1.invirt.test", "host2.invirt.test"]
    assert terminal.said == ["remus is on host2.invirt.test; connecting"]


def test_a_console_that_has_yet_to_begin_is_tried_again(home: shell.Home) -> None:
    terminal = Terminal(home, lambda: False, lambda: False, lambda: True)
    terminal.session().go()
    assert len(terminal.hosts) == 3
    assert terminal.said == ["remus is on host1.invirt.test; connecting"]


def test_a_lost_connection_is_not_the_users_leaving(
    home: shell.Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "SOON", 0)  # both had been sessions
    terminal = Terminal(home, lambda: False, lambda: False, lambda: True)
    terminal.session().go()
    assert terminal.said == ["remus is on host1.invirt.test; connecting"] * 2


@pytest.mark.parametrize(
    "proofs",
    [(), ("gssapi-with-mic bob@INVIRT.TEST",), ("publickey ssh-ed25519 AAAAC",), ("alice@INVIRT.TEST",)],
)
def test_others_are_told_nothing(home: shell.Home, proofs: tuple[str, ...]) -> None:
    terminal = Terminal(home)
    with pytest.raises(shell.Ended, match="may not use"):
        terminal.session(proofs).go()
    assert terminal.hosts == []


def test_a_key_of_the_list_is_a_proof(home: shell.Home) -> None:
    assert home.admits(("publickey ssh-ed25519 AAAAB",))


@pytest.mark.parametrize("text", ["-oProxy", "a b", "host1;id", "$(id)", "../x"])
def test_a_host_is_a_name(home: shell.Home, text: str) -> None:
    (home.folder / "host").write_text(f"{text}\n")
    with pytest.raises(shell.Ended):
        home.host()


def test_commands_and_pipes_are_refused() -> None:
    shell.refuse_commands({}, None, True)
    shell.refuse_commands({}, shell.PROGRAM, True)
    for environ, word, terminal in (
        ({"SSH_ORIGINAL_COMMAND": "id"}, shell.PROGRAM, True),
        ({}, "id", True),
        ({}, None, False),
    ):
        with pytest.raises(shell.Ended):
            shell.refuse_commands(environ, word, terminal)


def test_without_sshds_word_nobody_is_known(tmp_path: Path) -> None:
    with pytest.raises(shell.Ended):
        shell.proofs({})
    with pytest.raises(shell.Ended):
        shell.proofs({"SSH_USER_AUTH": str(tmp_path / "none")})
