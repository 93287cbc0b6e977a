"""Who gets in is what the database says at that moment, and nobody learns more."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest

from tests.parts.owned import machine, owner
from tests.parts.remote.conftest import RemoteServer

DENIED = (255, "", "Access denied\n")


def test_bob_gets_in_at_the_next_call(remote: RemoteServer) -> None:
    machine(remote.database, "remus")

    refused = remote.call("bob", "control", "remus", "status")
    allowed = remote.call("alice", "machine", "allow", "remus", "bob")
    then = remote.call("bob", "control", "remus", "status")
    remote.call("alice", "machine", "disallow", "remus", "bob")
    after = remote.call("bob", "control", "remus", "status")

    assert (refused.status, refused.stdout, refused.stderr) == DENIED
    assert allowed.stdout == "bob@INVIRT.TEST may control remus\n", allowed
    assert (then.status, then.stdout) == (0, "remus is off\n"), then
    assert (after.status, after.stdout, after.stderr) == DENIED


def test_conf_and_acl_are_in_the_form_of_the_talk(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    remote.call("alice", "machine", "allow", "remus", "bob")

    assert remote.read("conf") == (
        "control remus /usr/sbin/invirt-remote-proxy-control /etc/remctl/remconffs/acl/remus\n"
    )
    assert remote.read("acl/remus") == ("alice@INVIRT.TEST\nbob@INVIRT.TEST\ninclude /etc/remctl/acl/web\n")
    assert remote.namespace.run("ls", "-R", "/etc/remctl/remconffs").stdout.split() == [
        "/etc/remctl/remconffs:", "acl", "conf", "/etc/remctl/remconffs/acl:", "ALL", "remus",
    ]  # fmt: skip
    assert "No such file" in remote.namespace.run("cat", "/etc/remctl/remconffs/acl/ghost").stderr


def test_strangers_cannot_tell_which_machines_there_are(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    answers = [
        remote.call("bob", "control", name, *verb)
        for name in ("remus", "ghost", "ALL", "", "re/mus", "../acl/remus", "web")
        for verb in ([], ["status"], ["create"])
    ]
    answers += [remote.call("bob", "help", "control", name) for name in ("remus", "ghost")]
    assert {(a.status, a.stdout, a.stderr) for a in answers} == {DENIED}


def test_machine_show_says_the_same_of_a_stranger_as_of_nothing(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    for verb in (["show"], ["delete", "--yes"], ["resize", "--memory", "100"], ["operations"]):
        said = [remote.call("bob", "machine", verb[0], name, *verb[1:]) for name in ("remus", "ghost")]
        assert said[0].stderr.replace("remus", "ghost") == said[1].stderr
        assert said[0].stdout == said[1].stdout
        assert said[0].status == said[1].status


def test_who_is_allowed_may_control_but_not_give_away(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    remote.call("alice", "machine", "allow", "remus", "bob")
    for verb in (["allow", "remus", "eve"], ["disallow", "remus", "bob"], ["delete", "remus", "--yes"]):
        answer = remote.call("bob", "machine", *verb)
        assert answer.status == 4 and "only its owner, alice" in answer.stderr, answer
    assert remote.database.execute("SELECT principal FROM machine_access") == [("bob@INVIRT.TEST",)]


def administrator(remote: RemoteServer, principal: str = "root/admin@INVIRT.TEST") -> None:
    remote.database.execute("INSERT INTO administrators (principal) VALUES (%s)", (principal,))


def test_an_administrator_may_do_what_an_owner_may_and_it_is_told(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    refused = remote.call("root/admin", "control", "remus", "status")
    administrator(remote)
    assert (refused.status, refused.stdout, refused.stderr) == DENIED
    assert "root/admin@INVIRT.TEST\n" in remote.read("acl/remus")
    assert remote.call("root/admin", "control", "remus", "status").stdout == "remus is off\n"
    assert remote.call("root/admin", "machine", "resize", "remus", "--memory", "100").status == 0
    assert remote.call("alice", "machine", "resize", "remus", "--memory", "90").status == 0

    told = remote.call("alice", "machine", "operations", "remus").stdout.splitlines()
    assert "root/admin@INVIRT.TEST, an administrator" in told[2] and "administrator" not in told[1]
    assert remote.database.execute(
        "SELECT DISTINCT principal, administrator FROM audit WHERE outcome <> 'failed' ORDER BY 1"
    ) == [("alice@INVIRT.TEST", False), ("root/admin@INVIRT.TEST", True)]

    remote.database.execute("DELETE FROM administrators")
    again = remote.call("root/admin", "control", "remus", "status")
    assert (again.status, again.stdout, again.stderr) == DENIED


def test_what_an_administrator_deletes_is_theirs_by_that_right_to_the_end(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    administrator(remote)
    assert remote.call("root/admin", "machine", "delete", "remus", "--yes").status == 0
    rows = remote.database.execute("SELECT outcome, administrator FROM audit ORDER BY audit_id")
    assert rows == [("begun", True), ("succeeded", True)]
    number = remote.database.execute("SELECT trash_id FROM trash")[0][0]
    given, refused = (remote.call(user, "machine", "undelete", str(number)) for user in ("root/admin", "bob"))
    assert (given.status, refused.status) == (7, 3), given  # there is no host to ask; and nothing of bob's


def test_an_administrator_s_own_are_like_anyone_s(remote: RemoteServer) -> None:
    """Others' don't fill the list, and what one owns oneself needs no such right."""
    machine(remote.database, "remus")
    administrator(remote, "alice@INVIRT.TEST")
    administrator(remote)
    assert "no machines" in remote.call("root/admin", "machine", "list").stdout
    assert "remus" in remote.call("alice", "machine", "list").stdout
    assert remote.call("alice", "machine", "resize", "remus", "--memory", "90").status == 0
    assert remote.database.execute("SELECT administrator FROM operations") == [(False,)]


def _may(remote: RemoteServer, user: str) -> str:
    """What a user may do to remus, by the doors: all, use or nothing."""
    if remote.call(user, "control", "remus", "status").status:
        return "nothing"
    return "all" if remote.call(user, "machine", "resize", "remus", "--memory", "90").status == 0 else "use"


def _rights(remote: RemoteServer) -> dict[str, str]:
    return {user: _may(remote, user) for user in ("alice", "bob", "eve", "root/admin")}


WRONG = {
    "no owners": ("JOIN members x USING (owner_id)", "JOIN members x ON false"),
    "others' owners": ("JOIN members x USING (owner_id)", "JOIN members x ON x.owner_id <> m.owner_id"),
    "no users": ("FROM machine_access a", "FROM machine_access a WHERE false"),
    "users as owners": ("'user'", "'owner'"),
    "users of every machine": (
        "a.machine_id, a.principal, 'user' FROM",
        "m.machine_id, a.principal, 'user' FROM machines m,",
    ),
    "no administrators": ("CROSS JOIN administrators a", "JOIN administrators a ON false"),
    "everyone as administrator": ("CROSS JOIN administrators a", "CROSS JOIN members a"),
}


DAILY = ("no owners", "users of every machine")


@pytest.mark.parametrize(
    "wrong", [pytest.param(one, marks=() if one in DAILY else pytest.mark.nightly) for one in WRONG]
)
def test_the_doors_show_what_is_wrong_in_the_view(remote: RemoteServer, wrong: str) -> None:
    """There is no second rule beside it, which would hide that."""
    right = {"alice": "all", "bob": "use", "eve": "nothing", "root/admin": "all"}
    owner(remote.database, "eve")
    for name in ("remus", "romulus"):
        machine(remote.database, name)
    remote.call("alice", "machine", "allow", "remus", "bob")
    remote.call("alice", "machine", "allow", "romulus", "eve")
    administrator(remote)
    assert _rights(remote) == right
    made = import_module("invirt.database.migrations.versions.0055_access").ACCESS.partition(";")[0]
    assert WRONG[wrong][0] in made
    remote.database.execute(made.replace("CREATE", "CREATE OR REPLACE").replace(*WRONG[wrong]))
    administrator(remote, "mallory/admin@INVIRT.TEST")  # a change, so that what is kept is read anew
    assert _rights(remote) != right


def test_the_web_server_controls_any_machine_and_is_written_down(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    answer = remote.call("host/web.invirt.test", "control", "remus", "status")
    assert answer.stdout == "remus is off\n", answer
    assert remote.call("host/web.invirt.test", "control", "ghost", "status").status == 3
    web = "host/web.invirt.test@INVIRT.TEST"
    assert remote.database.execute(
        "SELECT principal, via, machine_name, outcome FROM audit ORDER BY audit_id"
    ) == [(web, web, "remus", "succeeded"), (web, web, "ghost", "failed")]


def test_web_acts_as_the_user_it_names_and_takes_nobody_else(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    web = "host/web.invirt.test"
    shown = remote.call(web, "web", "show", "alice", "remus")
    stranger = remote.call(web, "web", "control", "bob", "remus", "status")
    user = remote.call("alice", "web", "show", "alice", "remus")
    assert shown.status == 0 and "owner:" in shown.stdout
    assert stranger.status == 3 and "no machine remus that you may use" in stranger.stderr
    assert (user.status, user.stdout, user.stderr) == DENIED
    assert remote.database.execute(
        "SELECT principal, via, command, outcome FROM audit ORDER BY audit_id"
    ) == [
        ("alice@INVIRT.TEST", f"{web}@INVIRT.TEST", "invirt-remote-web", "succeeded"),
        ("bob@INVIRT.TEST", f"{web}@INVIRT.TEST", "invirt-remote-web", "failed"),
    ]


def test_administrators_need_no_shell_for_their_day(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    remote.database.execute(
        "INSERT INTO hosts (name, hostname, memory) VALUES ('host1', 'host1.invirt.test', 1024)"
    )
    day = (
        ("host", "list"), ("host", "set", "host1", "--disable"), ("owner", "add", "cs101", "--memory", "2G"),
        ("member", "add", "cs101", "bob@INVIRT.TEST"), ("quota", "set", "cs101", "--disk", "1T"),
        ("owner", "list"), ("type", "list"), ("operations", "list", "--all"),
    )  # fmt: skip
    for words in day[:3]:
        refused = remote.call("alice", "admin", *words)
        assert refused.status == 4 and "no administrator" in refused.stderr, refused
    administrator(remote)
    answers = {words[:2]: remote.call("root/admin", "admin", *words) for words in day}
    assert {answer.status for answer in answers.values()} == {0}, answers
    assert "cs101" in answers["owner", "list"].stdout
    assert remote.database.execute("SELECT enabled FROM hosts") == [(False,)]
    assert remote.database.execute("SELECT memory, disk FROM owners WHERE name = 'cs101'") == [(2048, 1024)]
    assert remote.database.execute(
        "SELECT DISTINCT administrator FROM audit WHERE principal = 'root/admin@INVIRT.TEST'"
    ) == [(True,)]
    for words in (
        ("host", "add", "x"),
        ("host", "remove", "host1"),
        ("host", "set", "host1", "--hostname", "x"),
    ):
        assert remote.call("root/admin", "admin", *words).status == 2


def test_a_key_is_one_s_own(remote: RemoteServer, tmp_path: Path) -> None:
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")]
    subprocess.run(made, check=True, timeout=30)
    line = (tmp_path / "key.pub").read_text()
    added = remote.call("alice", "machine", "key", "add", line)
    assert added.status == 0, added
    fingerprint = added.stdout.split()[0]
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "key.pub"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert fingerprint == shown.stdout.split()[1]
    assert fingerprint in remote.call("alice", "machine", "key", "list").stdout
    assert "no keys" in remote.call("bob", "machine", "key", "list").stdout
    assert remote.call("bob", "machine", "key", "remove", fingerprint).status == 2
    assert (
        remote.call(
            "host/web.invirt.test", "machine", "key", "add", (tmp_path / "key.pub").read_text()
        ).status
        == 2
    )
    assert remote.call("alice", "machine", "key", "remove", fingerprint).status == 0
    assert remote.database.execute("SELECT count(*) FROM public_keys") == [(0,)]


@pytest.mark.nightly
def test_every_command_answers_help_and_summary(remote: RemoteServer) -> None:
    machine(remote.database, "remus")
    summary = remote.call("bob", "help")
    assert summary.status == 0
    for line in ("machine create: ", "machine operations: ", "control NAME shutdown: "):
        assert line in summary.stdout
    assert "web " not in summary.stdout and "remus" not in summary.stdout
    for command, said in (
        (["help", "machine"], "usage: machine "),
        (["help", "machine", "create"], "usage: machine create "),
        (["help", "control"], "usage: control "),
        (["control", "help"], "usage: control "),
        (["machine", "help", "quota"], "usage: machine quota "),
        (["machine", "create", "--help"], "usage: machine create "),
    ):
        answer = remote.call("bob", *command)
        assert answer.status == 0 and answer.stdout.startswith(said), (command, answer)
    assert remote.call("alice", "control", "remus", "help").stdout.startswith("usage: control ")
    assert "web lvcreate: " in remote.call("host/web.invirt.test", "help").stdout


def test_many_at_once_while_access_changes(remote: RemoteServer) -> None:
    machine(remote.database, "remus")

    def call(number: int) -> str:
        if number % 4 == 0:
            remote.call("alice", "machine", "allow", "remus", f"helper{number}")
        return remote.call("bob" if number % 2 else "alice", "control", "remus", "status").stdout

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(call, range(24)))

    assert answers == ["remus is off\n", ""] * 12
    assert remote.read("acl/remus").count("helper") == 6
