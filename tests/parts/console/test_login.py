"""ssh NAME@console: who gets in, and what they get."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pexpect
import pytest

from invirt.base import cli
from invirt.database.commands.admin import COMMAND as ADMIN
from invirt.host.qemu.kept import BREAK
from tests.parts.console.daemons import start_conserver
from tests.parts.console.server import wait
from tests.parts.console.site import Site
from tests.parts.owned import BOB, let_in, let_out, machine
from tests.parts.realm import end


def test_a_login_is_the_machines_console(consoles: Site) -> None:
    remus = consoles.terminal("alice", "remus")
    remus.expect("this is d_remus, booted")
    remus.sendline("hello there")
    remus.expect("hello there\r\n")
    remus.send("\x05c.")
    remus.expect(pexpect.EOF)
    remus.close()
    assert remus.exitstatus == 0


@pytest.mark.parametrize("way", ["allowed", "told", "handed"])
def test_only_those_on_the_list_get_in_and_at_once(way: str, consoles: Site) -> None:
    assert "Permission denied" in consoles.call("bob", "remus", "-tt").stderr
    let_in(consoles.database, "remus", BOB, way)
    remus = consoles.terminal("bob", "remus")
    remus.expect("this is d_remus, booted")
    let_out(consoles.database, "remus", way)
    assert "Permission denied" in consoles.call("bob", "remus", "-tt").stderr
    remus.expect("you may not use the console of remus any more")  # the open session, too
    remus.expect(pexpect.EOF)


def test_one_who_is_off_is_waited_for_and_followed(consoles: Site) -> None:
    romulus = consoles.terminal("alice", "romulus")
    romulus.expect("romulus is off; waiting until it is booted")
    consoles.boot("romulus")
    romulus.expect("this is d_romulus, booted")
    romulus.sendline("once")
    romulus.expect("once\r\nonce\r\n")
    consoles.halt("romulus")
    romulus.expect("romulus is off; waiting until it is booted")
    consoles.boot("romulus")
    romulus.expect("romulus is on host1.invirt.test; connecting")
    romulus.expect("once")  # the last screen
    romulus.sendline("again")
    romulus.expect("again\r\nagain\r\n")
    romulus.send("\x05c.")
    romulus.expect(pexpect.EOF)


def test_waiting_ends_with_control_c(consoles: Site) -> None:
    romulus = consoles.terminal("alice", "romulus")
    romulus.expect("romulus is off")
    romulus.send("\x03")
    romulus.expect(pexpect.EOF)


def test_machines_come_go_and_change_their_names(consoles: Site) -> None:
    remus = consoles.terminal("alice", "remus")
    remus.expect("this is d_remus, booted")
    machine(consoles.database, "pollux")
    consoles.boot("pollux")
    pollux = consoles.terminal("alice", "pollux")
    pollux.expect("this is d_pollux, booted")
    consoles.database.execute("UPDATE machines SET host_id = NULL, name = 'dioscur' WHERE name = 'pollux'")
    pollux.expect("there is no such machine any more")
    dioscur = consoles.terminal("alice", "dioscur")
    dioscur.expect("dioscur is off")
    consoles.database.execute("DELETE FROM machines WHERE name = 'dioscur'")
    dioscur.expect("there is no such machine any more")
    remus.sendline("still here")  # all of it has not disturbed others
    remus.expect("still here\r\nstill here\r\n")


def test_a_guest_that_reboots_keeps_its_session(consoles: Site) -> None:
    remus = consoles.terminal("alice", "remus")
    remus.expect("this is d_remus, booted")
    remus.send("\x04")  # the guest's cat ends
    remus.expect("this is d_remus, booted")
    remus.sendline("back")
    remus.expect("back\r\nback\r\n")


def test_a_break_is_told_to_the_hypervisors_console(consoles: Site) -> None:
    consoles.boot("romulus", "stty raw -echo; echo begun; exec od -An -v -tx1 -w1")
    terminal = consoles.terminal("alice", "romulus")
    terminal.expect("begun")
    terminal.send("\x05cl0")
    terminal.expect(r"ff\s+f3\s+ff\s+f3\s")
    assert bytes.fromhex("fff3fff3") == BREAK


def test_a_console_that_its_host_has_yet_to_hear_of_is_waited_for(consoles: Site) -> None:
    keeper = next(child for child in consoles.host.children if "/usr/sbin/invirt-host-observer" in child.args)
    os.kill(keeper.pid, signal.SIGSTOP)
    try:
        consoles.boot("romulus")
        romulus = consoles.terminal("alice", "romulus")
        romulus.expect("romulus is on host1.invirt.test; connecting")
    finally:
        os.kill(keeper.pid, signal.SIGCONT)
    romulus.expect("this is d_romulus, booted")


def test_a_conserver_that_starts_again_keeps_its_sessions(consoles: Site) -> None:
    remus = consoles.terminal("alice", "remus")
    remus.expect("this is d_remus, booted")
    conserver = int(consoles.host.run("cat", "/run/conserver/conserver.pid").stdout)
    end(next(child for child in consoles.host.children if child.pid == conserver))
    start_conserver(consoles)
    remus.expect("remus is on host1.invirt.test; connecting")
    remus.expect("for help")
    remus.sendline("still here")
    remus.expect("still here\r\nstill here\r\n")


def test_public_keys_of_the_database(consoles: Site, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = (tmp_path / "key.pub").read_text()
    assert "Permission denied" in consoles.call("bob", "remus", "-tt", key=key).stderr
    assert cli.main(ADMIN, ["key", "add", "alice@INVIRT.TEST", public]) == 0
    remus = consoles.terminal("bob", "remus", key=key)
    remus.expect("this is d_remus, booted")
    consoles.database.execute("DELETE FROM public_keys")
    remus.expect("you may not use the console of remus any more")


def test_who_looks_at_the_end_of_the_log_sees_the_boot(consoles: Site) -> None:
    log = consoles.log("remus")
    wait(lambda: log.exists() and "this is d_remus, booted" in log.read_text(), "a log of the boot")
