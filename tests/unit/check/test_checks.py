"""The table of checks, how they are run, and what comes of them."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from invirt import config
from invirt.base import cli
from invirt.base.cli import manual
from invirt.base.errors import Unreachable
from invirt.check import checks, services
from invirt.check.checks import Check
from invirt.check.commands.check import COMMAND
from invirt.check.findings import Finding, Findings, Level, error, warning, worst
from invirt.check.server import ROLES, Server, roles
from invirt.config import digests

FOLDERS = {"dhcp": "invirt-dhcp", "dns": "invirt-dns", **{role: f"invirt-{role}" for role in ROLES}}


@pytest.fixture
def server(tmp_path: Path, invirt_yaml: Path) -> Server:
    """To which the database says nothing."""
    return Server(root=tmp_path, roles=("remote",), name="remote.invirt.test", _said={})


def run(server: Server, *looks: Check, deadline: float = 5.0) -> dict[str, list[Finding]]:
    return dict(checks.run(server, looks, deadline))


def test_one_that_hangs_is_a_finding_and_holds_up_nobody(server: Server) -> None:
    def hang(_: Server) -> Findings:
        time.sleep(60)
        yield error("x", "y", "z")

    began = time.monotonic()
    found = run(server, Check("slow", "", hang), Check("quick", "", lambda _: iter(())), deadline=0.3)
    assert time.monotonic() - began < 5
    assert [(one.where, one.what) for one in found["slow"]] == [("slow", "no end within 0.3 s")]
    assert found["quick"] == []


def test_what_a_check_raises_is_a_finding(server: Server) -> None:
    def silent(_: Server) -> Findings:
        raise Unreachable("it doesn't answer", hint="Wait.")

    def missing(_: Server) -> Findings:
        Path("/nonexistent/file").read_text()
        yield error("x", "y", "z")

    def broken(_: Server) -> Findings:
        raise KeyError("a bug")

    found = run(server, Check("a", "", silent), Check("b", "", missing), Check("c", "", broken))
    assert found["a"] == [error("a", "it doesn't answer", "Wait.")]
    assert (found["b"][0].where, found["b"][0].what) == ("/nonexistent/file", "No such file or directory")
    assert found["c"][0].what == "KeyError: a bug of this check"


def test_the_worst_is_the_exit_code() -> None:
    one, two = warning("a", "b", "c"), error("a", "b", "c")
    assert [worst([]), worst([one]), worst([one, two, one])] == [0, Level.WARNING, Level.ERROR] == [0, 1, 2]


def test_roles_are_those_that_packages_register(tmp_path: Path, checkout: Path) -> None:
    folder = tmp_path / "usr/share/invirt/templates.d"
    folder.mkdir(parents=True)
    assert roles(tmp_path) == ()
    for role in ("remote", "dns"):
        (folder / f"{role}.yaml").touch()
    assert roles(tmp_path) == ("remote", "dns")
    there = {path.stem for path in checkout.glob("invirt-*/files/usr/share/invirt/templates.d/*.yaml")}
    assert there == {*ROLES, "host-console", "setup"}


@pytest.mark.parametrize("role", ROLES)
def test_units_of_each_role_are_looked_at(
    role: str, checkout: Path, server: Server, invirt_yaml: Path
) -> None:
    """All that are enabled and stay active, and none that isn't there."""
    text = "console: {hostname: console.invirt.test}\ndhcp: {servers: [dhcp.invirt.test]}\n"
    invirt_yaml.write_text(invirt_yaml.read_text() + text)
    config.reload()
    units = {unit.name: unit.read_text() for unit in (checkout / FOLDERS[role] / "systemd").glob("*.*")
             if unit.is_file()}  # fmt: skip
    ends = {name for name, text in units.items() if "=oneshot" in text and "RemainAfterExit" not in text}
    enabled = {name for name, text in units.items() if "\nWantedBy=" in text} - ends
    listed = {name for unit in services.wanted((role,)) for name in unit.split("|")}
    listed -= set(services.EVERYWHERE)
    assert enabled <= listed
    shared = {unit.name for unit in (checkout / "invirt-database/systemd").glob("*@.service")}
    ours = {re.sub("@.*[.]", "@.", name) for name in listed if name.startswith("invirt-")}
    assert ours <= units.keys() | shared


def test_each_check_is_told_in_the_guide(checkout: Path) -> None:
    guide = (checkout / "docs/administrators-guide.md").read_text()
    assert [check.name for check in checks.CHECKS if f"| `{check.name}` |" not in guide] == []


def test_the_manual_has_its_exit_codes() -> None:
    page = manual.page(COMMAND)
    codes = re.search(r"\.SH EXIT STATUS\n(.*?)\n\.SH", page, re.DOTALL)
    assert codes and codes[1].count(".TP") == 4
    assert "There are warnings." in codes[1]


@pytest.mark.usefixtures("invirt_yaml")
def test_an_unknown_check_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(COMMAND, ["nonsense"]) == 2
    assert "there is no check 'nonsense'" in capsys.readouterr().err


def test_without_invirt_yaml_that_is_what_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    config.reload()
    assert cli.main(COMMAND, ["--json"]) == Level.ERROR
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert found["what"] == "/nonexistent/invirt.yaml doesn't exist"
    assert found["todo"]


def test_only_root_looks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert cli.main(COMMAND, []) == 4
    assert "only root" in capsys.readouterr().err


def test_digests_are_of_what_is_said(invirt_yaml: Path) -> None:
    """What is as it is when left out, and how it is written, are no difference."""
    before = digests.sections(config.load())
    invirt_yaml.write_text(invirt_yaml.read_text() + "web: {certificate: {port: 8443}}\ndns: {ttl: 30}\n")
    assert digests.sections(config.load()) == before
    invirt_yaml.write_text(invirt_yaml.read_text().replace("8443", "8444"))
    after = digests.sections(config.load())
    assert {name for name in after if after[name] != before[name]} == {"web"}
