"""Shells themselves, with the files that the packages have, complete a program's words."""

from __future__ import annotations

import os
from pathlib import Path

import pexpect
import pytest

from invirt.base.cli import completion
from invirt.base.commands.config import COMMAND
from invirt.base.process import run
from tests.parts.realm import DEADLINE

TYPED = "invirt-config apply --f"


@pytest.fixture
def share(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As /usr/share of a server with invirt-base."""
    for shell, place in completion.PLACES.items():
        file = tmp_path / place.format(COMMAND.name)
        file.parent.mkdir(parents=True)
        file.write_text(completion.script(COMMAND, shell))
    monkeypatch.setenv("PATH", f"{checkout / 'invirt-base/sbin'}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("shell", "prepared"),
    [
        ("bash", "PS1='$ '; . {share}/bash-completion/completions/invirt-config"),
        ("zsh", "PS1='$ '; fpath=({share}/zsh/vendor-completions $fpath); autoload compinit; compinit -u -D"),
    ],
)
def test_at_the_first_press_of_the_key(share: Path, shell: str, prepared: str) -> None:
    argv = ["--norc"] if shell == "bash" else ["-f"]
    typist = pexpect.spawn(shell, [*argv, "-i"], timeout=DEADLINE, encoding="utf-8")
    typist.sendline(f"{prepared.format(share=share)}; echo rea''dy")
    typist.expect("ready")
    typist.send(f"{TYPED}\t")
    typist.expect("--force")
    typist.close(force=True)


def test_fish(share: Path) -> None:
    place = share / "fish/vendor_completions.d/invirt-config.fish"
    done = run(["fish", "--no-config", "-c", f"source {place}; complete -C '{TYPED}'"], timeout=DEADLINE)
    assert done.stdout.split()[0] == "--force", done.stderr
