"""Each way past the console: open on a server that nothing protects, closed on ours."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.parts.console import unprotected
from tests.parts.console.daemons import start_relay, start_sshd, within
from tests.parts.console.rows import CONSOLE, HOST, PORT
from tests.parts.console.server import wait
from tests.parts.console.site import SSH_PORT, Site
from tests.parts.realm import DEADLINE, end

Attack = Callable[[Site, int, Path], bool]


def _succeeds(argv: list[str], text: str = "") -> bool:
    """Whether the program says text (or just succeeds), for all of its input."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE, check=False, input="")
    return text in done.stdout if text else done.returncode == 0


def command(site: Site, port: int, folder: Path) -> bool:
    return _succeeds(site.ssh("alice", "remus", "--", "id", port=port), "uid=")


def command_on_a_terminal(site: Site, port: int, folder: Path) -> bool:
    return _succeeds(site.ssh("alice", "remus", "-tt", "--", "id", port=port), "uid=")


def sftp(site: Site, port: int, folder: Path) -> bool:
    (folder / "batch").write_text("ls /etc/passwd\n")
    argv = site.ssh("alice", "remus", "-b", str(folder / "batch"), port=port, program="sftp")
    return _succeeds(argv, "/etc/passwd")


def _scp(site: Site, port: int, folder: Path, *flags: str) -> bool:
    file = folder / "taken"
    file.unlink(missing_ok=True)
    argv = site.ssh("alice", "remus", *flags, port=port, program="scp")
    _succeeds([*argv, f"remus@{CONSOLE}:/etc/passwd", str(file)])
    return file.exists() and "root" in file.read_text()


def scp(site: Site, port: int, folder: Path) -> bool:
    return _scp(site, port, folder)


def old_scp(site: Site, port: int, folder: Path) -> bool:
    return _scp(site, port, folder, "-O")


def forwarding_of_standard_input(site: Site, port: int, folder: Path) -> bool:
    there = f"{site.addresses[CONSOLE]}:{SSH_PORT}"
    return _succeeds(site.ssh("alice", "remus", "-W", there, port=port), "SSH-2.0")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def local_forwarding(site: Site, port: int, folder: Path) -> bool:
    ours = _free_port()
    there = f"127.0.0.1:{ours}:{site.addresses[CONSOLE]}:{SSH_PORT}"
    ssh = subprocess.Popen(
        site.ssh("alice", "remus", "-N", "-L", there, port=port), stderr=subprocess.DEVNULL
    )
    try:
        wait(lambda: _listens(ours), "ssh -L")
        with socket.create_connection(("127.0.0.1", ours), timeout=DEADLINE) as through:
            return through.recv(7) == b"SSH-2.0"
    except (TimeoutError, ConnectionError):
        return False
    finally:
        end(ssh)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def remote_forwarding(site: Site, port: int, folder: Path) -> bool:
    theirs = _free_port()
    argv = site.ssh(
        *("alice", "remus", "-N", "-o", "ExitOnForwardFailure=yes", "-R", f"127.0.0.1:{theirs}:127.0.0.1:1"),
        port=port,
    )
    ssh = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: ssh.poll() is not None or _listens(theirs), "ssh -R")
        return ssh.poll() is None
    finally:
        end(ssh)


def agent_forwarding(site: Site, port: int, folder: Path) -> bool:
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(folder / "agent")], stdout=subprocess.DEVNULL)
    try:
        wait((folder / "agent").exists, "ssh-agent")
        uid = int(site.console.run("id", "-u", "remus").stdout)
        argv = site.ssh("alice", "remus", "-A", "-tt", port=port)
        argv.insert(argv.index("ssh"), f"SSH_AUTH_SOCK={folder / 'agent'}")
        before = _agents(uid)
        session = site.spawn(argv)
        session.expect([r"\$ ", "booted"])
        new = _agents(uid) - before
        session.close(force=True)
        return bool(new)
    finally:
        end(agent)
        (folder / "agent").unlink(missing_ok=True)


def _agents(uid: int) -> set[Path]:
    """The sockets by which a user's processes reach agents elsewhere."""
    found = set()
    for socket_ in Path("/tmp").glob("ssh-*/agent.*"):
        with contextlib.suppress(OSError):  # its session has ended
            if socket_.stat().st_uid == uid:
                found.add(socket_)
    return found


def environment(site: Site, port: int, folder: Path) -> bool:
    """What the user has set reaches the program that the terminal is joined to."""
    evil = "SetEnv=LC_EVIL=1 LD_PRELOAD=/evil.so SHELL=/evil"
    uid = int(site.console.run("id", "-u", "remus").stdout)
    before = set(_environments(site, uid))  # of sessions that are still ending
    session = site.terminal("alice", "remus", "-tt", "-o", evil, port=port)
    session.expect([r"\$ ", "booted"])
    try:
        new = [text for process, text in _environments(site, uid).items() if process not in before]
        assert new
        return any(b"LD_PRELOAD" in text for text in new)
    finally:
        session.close(force=True)


def _environments(site: Site, uid: int) -> dict[str, bytes]:
    """The environment of each of a user's programs at a terminal, by process."""
    found = {}
    for process in site.console.of(uid):
        with contextlib.suppress(OSError):  # it may have ended meanwhile
            if (process / "comm").read_text().startswith("invirt-console-"):
                found[process.name] = (process / "environ").read_bytes()
    return found


ATTACKS = (
    *(command, command_on_a_terminal, sftp, scp, old_scp, forwarding_of_standard_input),
    *(local_forwarding, remote_forwarding, agent_forwarding, environment),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_ssh_gives_a_console_and_nothing_else(both: Site, tmp_path: Path, attack: Attack) -> None:
    assert attack(both, unprotected.SSH_PORT, tmp_path)
    assert not attack(both, SSH_PORT, tmp_path)


def test_sshd_holds_machines_and_not_administrators(both: Site) -> None:
    def effective(user: str) -> set[str]:
        asked = both.console.run("/usr/sbin/sshd", "-T", "-C", f"user={user},host=x,addr=192.0.2.9")
        assert asked.returncode == 0, asked.stderr
        return set(asked.stdout.splitlines())

    held = {"forcecommand /usr/bin/invirt-console-shell", "disableforwarding yes", "permituserrc no"}
    assert held | {"passwordauthentication no", "permituserenvironment no"} <= effective("remus")
    assert not held & effective("root")


# Kerberos: the principal remus@ is not on remus' list, but is called as the login.


@pytest.mark.parametrize("lost", ["missing", "unreadable"])
def test_without_a_list_the_principal_of_the_same_name_stays_out(site: Site, lost: str) -> None:
    """Missing: not mounted.  Unreadable: mounted, but the database isn't there."""
    console = site.console
    console.start("/usr/sbin/invirt-userdb")
    console.await_("userdb", "getent", "passwd", "remus")
    if lost == "unreadable":
        console.write("etc/gone.yaml", site.database.config.read_text().replace("  name: ", "  name: no-"))
        console.start("/usr/sbin/invirt-consolefs", INVIRT_CONFIG="/etc/gone.yaml")
        console.await_("consolefs", "grep", "-q", "/consolefs fuse", "/proc/mounts")
        assert "Input/output error" in console.run("cat", "/consolefs/remus/.k5login").stderr
    start_relay(console)
    open_ = start_sshd(site, "/etc/krb5.conf")
    inside = site.terminal("remus", "remus")
    inside.expect("the database doesn't answer; trying again")  # sshd has let them in
    if lost == "missing":  # the shell is a door of its own
        console.start("/usr/sbin/invirt-consolefs")
        inside.expect("you may not use the console of remus any more")
    inside.close(force=True)
    end(open_)
    start_sshd(site)
    assert "Permission denied" in site.call("remus", "remus", "-tt").stderr


# conserver: alice, on remus' console, wants bob's castor.


def _joined(site: Site, port: int) -> pexpect.spawn:
    """remus' console: by conserver's own client where nothing protects it, by ssh with us."""
    if port == unprotected.PORT:
        words = ["-n", "-C", "/dev/null", "-U", "-p", str(port), "-M", HOST, "-l", "remus", "remus"]
        console = site.spawn([*site.host.enter, "/usr/bin/console", *words])
    else:
        console = site.terminal("alice", "remus")
    console.expect("for help")
    return console


def moves(site: Site, port: int) -> bool:
    console = _joined(site, port)
    console.send("\x05c;")
    if console.expect(["console: ", "not to be had"]) != 0:
        return False
    console.send("castor\r")
    return console.expect([r"castor\]", "not found", pexpect.EOF]) == 0


def runs_a_command(site: Site, port: int) -> bool:
    console = _joined(site, port)
    console.send("\x05c|")
    if console.expect(["exec: ", "not to be had"]) != 0:
        return False
    file = site.console.folder / "was-here"
    console.send(f"touch {file}\r")
    wait(file.exists, "the local command")
    return True


def suspends(site: Site, port: int) -> bool:
    console = _joined(site, port)
    console.send("\x05cz")
    return console.expect([r"stop\]", "not to be had"]) == 0


def stops_the_log(site: Site, port: int) -> bool:
    console = _joined(site, port)
    console.send("\x05cL")
    return console.expect([r"logging off\]|no log file", "not to be had"]) == 0


def changes_the_escape(site: Site, port: int) -> bool:
    console = _joined(site, port)
    console.send("\x05ce")
    return console.expect([r"redef: ", "not to be had"]) == 0


def names_others(site: Site, port: int) -> bool:
    seen = ""
    for letter in "uiwx":
        console = _joined(site, port)
        console.send(f"\x05c{letter}\x05cv")
        console.expect(r"\[version")  # all that it says about others comes before
        seen += str(console.before)
        console.close(force=True)
    assert "remus" in seen
    return "castor" in seen


CONSERVER_ATTACKS = (moves, runs_a_command, suspends, stops_the_log, changes_the_escape, names_others)


@pytest.mark.parametrize("attack", CONSERVER_ATTACKS, ids=lambda attack: attack.__name__)
def test_a_console_leads_nowhere_else(both: Site, attack: Callable[[Site, int], bool]) -> None:
    assert attack(both, unprotected.PORT)
    assert not attack(both, PORT)


def test_conserver_itself_is_reached_by_nobody(both: Site) -> None:
    """Not from the host's own network; and it is there, in its own."""
    there = ("bash", "-c", f"</dev/tcp/127.0.0.1/{PORT}")
    assert both.host.run(*within(*there)).returncode == 0
    assert both.host.run(*there).returncode != 0
