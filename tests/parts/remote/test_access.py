"""Who gets in is what the database says at that moment, and nobody learns more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.parts.owned import machine
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
        answers = list(pool.map(call, range(48)))

    assert answers == ["remus is off\n", ""] * 24
    assert remote.read("acl/remus").count("helper") == 12
