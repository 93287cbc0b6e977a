"""invirt-config: rendering, what is refused, what is written, what was edited by hand."""

from __future__ import annotations

import grp
import json
import os
import pwd
import sys
from pathlib import Path

import pytest

from invirt import config
from invirt.base import cli
from invirt.base.apply import Templates
from invirt.base.commands import config as command
from invirt.base.errors import BadConfig
from invirt.base.process import run

HEAD = "<% from invirt import config %>\\\n"


class Root:
    """A folder that stands for / with templates registered in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.templates = Templates(path)
        self.templates.folder.mkdir(parents=True)
        self.names: list[str] = []

    def register(self, name: str, text: str, **more: str) -> Path:
        """Add the template of /etc/NAME; returns its target."""
        owner = f"{pwd.getpwuid(os.geteuid()).pw_name}:{grp.getgrgid(os.getegid()).gr_name}"
        target = self.path / "etc" / name
        target.parent.mkdir(exist_ok=True)
        target.with_name(f"{name}.mako").write_text(text)
        entry = {"target": f"/etc/{name}", "owner": owner, **more}
        (self.templates.folder / f"{name}.yaml").write_text(json.dumps({"templates": [entry]}))
        return target

    def run(self, *argv: str) -> int:
        return cli.main(command.COMMAND, ["apply", "--root", str(self.path), *argv])


@pytest.fixture
def root(tmp_path: Path, invirt_yaml: Path) -> Root:
    return Root(tmp_path / "root")


def test_a_template_compiles_to_its_target(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    target = root.register("motd", HEAD + "ask ${config.site.contact}\n", mode="0640")
    assert root.run() == 0
    assert target.read_text() == "ask root\n"
    assert target.stat().st_mode & 0o7777 == 0o640
    assert capsys.readouterr().out == f"{target}: written\n"
    assert root.run() == 0
    assert capsys.readouterr().out == ""
    assert sorted(path.name for path in target.parent.iterdir()) == ["motd", "motd.mako"]


def test_check_and_diff_write_nothing(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    target = root.register("motd", "one\n")
    assert root.run("--check") == 1
    assert root.run("--diff") == 1
    assert "+one" in capsys.readouterr().out
    assert not target.exists()
    assert not root.templates.state_file.exists()
    assert root.run() == 0
    assert root.run("--check") == 0


def test_what_was_edited_by_hand_is_left_alone(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    target = root.register("motd", "one\n")
    other = root.register("issue", "one\n")
    root.run()
    target.write_text("mine\n")
    root.register("motd", "two\n")
    root.register("issue", "two\n")
    assert root.run() == command.LEFT_ALONE
    assert target.read_text() == "mine\n"
    assert other.read_text() == "two\n"
    assert f"{target}: edited by hand, left alone" in capsys.readouterr().err
    assert root.run("--force") == 0
    assert target.read_text() == "two\n"


def test_what_was_there_before_us_is_left_alone(root: Root) -> None:
    target = root.register("motd", "ours\n")
    target.write_text("the administrator's\n")
    root.run()
    assert target.read_text() == "the administrator's\n"


def test_an_edit_taken_back_is_ours_again(root: Root) -> None:
    target = root.register("motd", "one\n")
    root.run()
    target.write_text("mine\n")
    root.run()
    target.write_text("one\n")
    root.register("motd", "two\n")
    root.run()
    assert target.read_text() == "two\n"


def test_a_removed_target_is_made_again(root: Root) -> None:
    target = root.register("motd", "one\n")
    root.run()
    target.unlink()
    root.run()
    assert target.read_text() == "one\n"


def test_killed_after_renaming_it_still_knows_its_own(root: Root) -> None:
    """The state names old and new sums before the first rename, so neither looks like somebody's edit."""
    target = root.register("motd", "one\n")
    root.run()
    root.register("motd", "two\n", reload="motd.service")
    changes = root.templates.changes()
    target.unlink()
    target.mkdir()  # renaming a file over a folder fails: here it ends
    with pytest.raises(OSError, match="directory"):
        root.templates._write(changes)
    state = json.loads(root.templates.state_file.read_text())
    assert len(state["sums"]["/etc/motd"]) == 2
    assert state["reload"] == ["motd.service"]


@pytest.mark.parametrize(
    ("text", "line", "said", "shown"),
    [
        (HEAD + "a\n${config.site.domian}\n", 3, "no attribute 'domian'", "${config.site.domian}"),
        (HEAD + "a ${nonsense}\n", 2, "'nonsense' is not defined", "a ${nonsense}"),
        ("a\n% if True:\nb\n", 2, "", "% if True:"),
        ("a\n\n${'x' \n", 3, "", "${'x'"),
        ("a\n${1 / 0}\n", 2, "division by zero", "${1 / 0}"),
        ("a\n${open('/nonexistent')}\n", 2, "No such file", "${open('/nonexistent')}"),
    ],
)
def test_a_bad_template_is_named_and_all_stays(
    root: Root, text: str, line: int, said: str, shown: str
) -> None:
    good = root.register("a-good-one", "old\n")
    root.run()
    root.register("a-good-one", "new\n")
    bad = root.register("bad", text)
    with pytest.raises(BadConfig) as caught:
        root.templates.apply()
    assert caught.value.message.startswith(f"{bad}.mako:{line}: ")
    assert said in caught.value.message
    assert caught.value.hint.startswith(shown)
    assert good.read_text() == "old\n"
    assert not bad.exists()


def test_a_bad_invirt_yaml_leaves_all(
    root: Root, invirt_yaml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from invirt import config

    target = root.register("motd", HEAD + "${config.site.domain}\n")
    root.run()
    invirt_yaml.write_text(invirt_yaml.read_text().replace("invirt.test", "other.test") + "web: {host: x}\n")
    config.reload()
    assert root.run() == BadConfig.exit_code
    assert target.read_text() == "invirt.test\n"
    assert f"{invirt_yaml}:4: web.host: unknown key" in capsys.readouterr().err


def test_what_was_applied_last_is_what_counts(
    root: Root, invirt_yaml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from invirt import config

    target = root.register("motd", HEAD + "${config.site.domain}\n")
    good = invirt_yaml.read_text()
    root.run()
    logged: list[str] = []
    for text in (good.replace("invirt.test", "other.test"), "bogus: 1\n", ": :\n"):
        invirt_yaml.write_text(text)
        config.reload()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(config.log, "write", lambda text, *_: logged.append(text))
            assert config.site.domain == "invirt.test"
    assert len(logged) == 3
    assert "is not what was applied" in logged[0]
    target.unlink()
    capsys.readouterr()
    assert root.run("--last") == 0  # as at boot, and when a package is installed
    assert target.read_text() == "invirt.test\n"
    assert "is not what was applied" in capsys.readouterr().err
    assert config.applied().read_text() == good
    assert root.run() == BadConfig.exit_code
    invirt_yaml.write_text(good.replace("invirt.test", "other.test"))
    assert root.run() == 0
    config.reload()
    assert config.site.domain == "other.test"
    config.applied().write_text("bogus: 1\n")  # of another version
    assert root.run("--last") == 0
    assert config.applied().read_text() == invirt_yaml.read_text()


@pytest.mark.children
def test_what_was_read_is_kept(root: Root, invirt_yaml: Path) -> None:
    """Programs then read no YAML, as long as it is of the file that counts, and of this schema."""
    code = "import sys; from invirt import config; print(config.site.domain, 'yaml' in sys.modules)"

    def asked() -> str:
        return run([sys.executable, "-c", code]).stdout.strip()

    assert asked() == "invirt.test True"
    root.run()
    assert asked() == "invirt.test False"
    text = config.kept().read_text()
    for damaged in (text[:50], "[]", '{"text": 1}', text.replace('"schema": ', '"schema": 1'), "\0\xff"):
        config.kept().write_text(damaged, encoding="latin-1")
        assert asked() == "invirt.test True", damaged
    assert root.run("--last") == 0  # as at an upgrade
    assert config.kept().read_text() == text
    other = config.applied().read_text().replace("invirt.test", "other.test")
    config.applied().write_text(other)
    assert asked() == "other.test True"


def test_a_file_is_checked_before_it_counts(
    root: Root, invirt_yaml: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = root.register("motd", HEAD + "${config.site.domain}\n")
    new = invirt_yaml.with_name("new.yaml")

    def check(text: str) -> tuple[int, str]:
        new.write_text(text)
        status = cli.main(command.COMMAND, ["check", "--root", str(root.path), str(new)])
        return status, "".join(capsys.readouterr())

    good = invirt_yaml.read_text()
    assert check(good) == (0, f"{new} is right\n")
    status, said = check(good + "web: {host: x}\n")
    assert (status, f"{new}:4: web.host: unknown key" in said) == (BadConfig.exit_code, True)
    assert not target.exists()


def test_daemons_are_told_of_the_sections_that_they_read(root: Root, invirt_yaml: Path) -> None:
    daemons = [{"unit": "relay.service", "reads": ["dhcp"]}, {"unit": "list.service", "reads": ["database"]}]
    (root.templates.folder / "daemons.yaml").write_text(json.dumps({"daemons": daemons}))
    root.run()
    invirt_yaml.write_text(invirt_yaml.read_text() + "dhcp: {servers: [dhcp.invirt.test]}\n")
    root.templates._write(root.templates.changes())
    assert json.loads(root.templates.state_file.read_text())["reload"] == ["relay.service"]


def test_what_dpkg_has_yet_to_configure_is_left_to_its_package(root: Root) -> None:
    """Two roles in one run of apt: both are unpacked when the first is configured."""
    mine = root.register("motd", "one\n")
    other = root.register("issue", "one\n")
    template = other.with_name("issue.mako")
    template.rename(other.with_name("issue.mako.dpkg-new"))
    assert root.run() == 0
    assert (mine.exists(), other.exists()) == (True, False)
    other.with_name("issue.mako.dpkg-new").rename(template)
    assert root.run() == 0
    assert other.exists()


def test_a_missing_template_is_named(root: Root) -> None:
    target = root.register("motd", "one\n")
    target.with_name("motd.mako").unlink()
    with pytest.raises(BadConfig, match=r"motd\.mako: No such file"):
        root.templates.apply()


@pytest.mark.parametrize(
    "entry",
    [
        {"target": "etc/motd"},
        {"target": "/etc/../motd"},
        {"target": "/etc/motd", "mode": "rw"},
        {"target": "/etc/motd", "owner": "root"},
        {"target": "/etc/motd", "reload": "rm -rf"},
        {"targt": "/etc/motd"},
    ],
)
def test_a_bad_registration_is_refused(root: Root, entry: dict[str, str]) -> None:
    file = root.templates.folder / "x.yaml"
    file.write_text(json.dumps({"templates": [entry]}))
    with pytest.raises(BadConfig, match=f"{file}:1: "):
        root.templates.apply()


def test_two_packages_can_not_register_one_target(root: Root) -> None:
    root.register("motd", "one\n")
    registered = (root.templates.folder / "motd.yaml").read_text()
    (root.templates.folder / "other.yaml").write_text(registered)
    with pytest.raises(BadConfig, match="registered twice"):
        root.templates.apply()


def test_a_damaged_state_is_named(root: Root) -> None:
    root.register("motd", "one\n")
    root.run()
    root.templates.state_file.write_text("{")
    with pytest.raises(BadConfig, match="damaged"):
        root.templates.apply()


def test_nothing_registered_is_no_error(root: Root) -> None:
    assert root.run() == 0
