"""The throw-away realm itself: who calls is who remctld says it is."""

from __future__ import annotations

from pathlib import Path

from tests.parts.realm import Realm, Remctlds


def test_a_command_gets_its_callers_principal(realm: Realm, remctlds: Remctlds, tmp_path: Path) -> None:
    program = tmp_path / "who"
    program.write_text('#!/bin/sh\necho "$REMOTE_USER $*"\nexit 3\n')
    program.chmod(0o755)
    conf = tmp_path / "conf"
    conf.write_text(f"who ALL {program} princ:alice@INVIRT.TEST\n")
    server = remctlds.start("remote.invirt.test", conf)

    alice = server.call("alice", "who", "is", "it")
    bob = server.call("bob", "who", "is", "it")

    assert (alice.status, alice.stdout) == (3, "alice@INVIRT.TEST is it\n")
    assert bob.stderr == "Access denied\n" and bob.stdout == ""
