"""Who gets in is what the database says at that moment, and nobody learns more."""

from __future__ import annotations

from tests.parts.remote.conftest import RemoteServer, machine

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
