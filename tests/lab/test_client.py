"""invirt, on a user's own computer: from nothing to a prompt, and what it says when that can't be."""

from __future__ import annotations

import json

import pexpect

from invirt_lab import cluster
from tests.lab.test_console import LEAVE, prompt
from tests.lab.users import Lab

NAME = "new-client"


def typed(*words: str, user: str = "alice") -> pexpect.spawn:
    """invirt, typed by a user at a terminal of the client, which has colours whatever this one has."""
    argv = cluster.command_as(user, ["env", "TERM=xterm", "invirt", *words])
    return pexpect.spawn(argv[0], argv[1:], timeout=60, encoding="utf-8", codec_errors="replace")


def said(*words: str, user: str = "alice") -> tuple[int, str]:
    """Its exit code, and what it has printed, where it is no terminal."""
    done = cluster.as_user(user, "invirt", *words, check=False)
    return done.returncode, done.stdout + done.stderr


def test_from_nothing_to_a_prompt_in_one_line(lab: Lab, tidy: None) -> None:
    """The site is found in DNS; steps are told as they come."""
    terminal = typed("create", NAME, "--memory", "128M", "--disk", "1G", "--start", "--console")
    terminal.expect("creating disk hda")
    prompt(terminal)
    terminal.sendline("echo I am $(hostname)")
    terminal.expect(f"I am {NAME}")
    terminal.send(LEAVE)
    terminal.expect(pexpect.EOF)

    listed = typed("list")
    listed.expect(f"{NAME} .*\x1b\\[32mrunning\x1b\\[0m")
    (made,) = json.loads(said("list", "--json")[1])["machines"]
    assert said("status", NAME) == (0, f"{NAME} is running on {made['host']}\n")

    code, told = said("delete", NAME, "--yes")
    assert code == 5 and f"First: invirt stop {NAME}." in told


def test_names_are_completed(lab: Lab, tidy: None) -> None:
    assert said("create", NAME, "--memory", "128M", "--disk", "1G")[0] == 0
    script = "env _INVIRT_COMPLETE=bash_complete COMP_WORDS='invirt start new-' COMP_CWORD=2 invirt"
    assert cluster.as_user("alice", "sh", "-c", script).stdout.split() == [f"plain,{NAME}"]
    verbs = script.replace("start new-", "st").replace("CWORD=2", "CWORD=1")
    found = cluster.as_user("alice", "sh", "-c", verbs).stdout.split()
    assert found == ["plain,start", "plain,stop", "plain,status"]


def test_a_stranger_learns_nothing_and_who_has_no_ticket_what_to_type(lab: Lab) -> None:
    code, told = said("start", "remus-of-nobody", user="bob")
    assert code == 4 and "invirt list shows yours" in told
    script = "env KRB5CCNAME=/nonexistent invirt list"
    done = cluster.as_user("alice", "sh", "-c", script, check=False)
    assert done.returncode == 4 and "kinit alice@INVIRT.TEST" in done.stderr
