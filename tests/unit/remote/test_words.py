"""Whatever words remctld hands over: they are understood as whitelisted values, or refused."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from invirt.base import remctl, validate
from invirt.base.cli import Command, parsed, whole
from invirt.base.errors import InvirtError
from invirt.remote.commands import control, machine, web
from invirt.remote.machines import DISKS, MACHINE

COMMANDS = {"machine": machine.COMMAND, "control": control.COMMAND, "web": web.COMMAND}
KNOWN = [
    *(verb.name for verb in (*MACHINE, *DISKS)), *("control", "status", "remus", "bob", "bob@A.B", "hda"),
    *("--memory", "--disk=2", "--cpus", "--yes", "--json", "--key", "--", "-", "-h", "--owner=x", "hdb=3"),
]  # fmt: skip
WORDS = st.lists(st.sampled_from(KNOWN) | st.text(max_size=70), max_size=6)
WHITELISTS = {
    "name": validate.machine_name,
    "user": validate.principal,
    "principal": validate.principal,
    "owner": validate.owner_name,
    "disk": validate.disk_name,
}


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(words=WORDS)
def test_any_words(name: str, command: Command, words: list[str], invirt_yaml: Path) -> None:
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            call = parsed(command, words, name)
        except InvirtError:
            return
    for key, whitelist in WHITELISTS.items():
        value = call.values.get(key) if call else None
        if isinstance(value, str):
            assert whitelist(value) == value


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_nobody_runs_it_without_being_signed_on(name: str, command: Command) -> None:
    logged: list[object] = []
    environ = {"REMCTL_COMMAND": name}
    assert remctl.main(command, ["list"], environ=environ, write=lambda *line, **_: logged.append(line)) == 4
    assert logged == []


def test_web_speaks_for_the_verbs_of_machine_and_more() -> None:
    verbs = {place.row.name for place in whole(web.COMMAND).below()}
    assert verbs >= {place.row.name for place in whole(machine.COMMAND).below()}
    assert verbs >= {"lvcreate", "lvrename", "lvresize", "lvremove", "listvms", "control"}


def test_only_the_web_server_speaks_for_others(invirt_yaml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    invirt_yaml.write_text(invirt_yaml.read_text() + "web: {hostname: web.invirt.test}\n")
    environ = {"REMCTL_COMMAND": "web", "REMOTE_USER": "alice@INVIRT.TEST"}
    code = remctl.main(web.COMMAND, ["list", "bob"], environ=environ, write=lambda *line, **_: None)
    assert code == 4
    assert "alice@INVIRT.TEST may not speak for others" in capsys.readouterr().err
