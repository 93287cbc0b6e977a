"""What a taken-over host, and others with certificates, can do to consoles: nothing that isn't theirs."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from invirt.base import certificates
from tests.parts.console.rows import HOST, PORT
from tests.parts.console.server import wait
from tests.parts.console.site import Site
from tests.parts.owned import machine
from tests.parts.realm import DEADLINE

FLOOD = 8 << 20  # bytes


def _client(site: Site, certificate: str) -> ssl.SSLSocket:
    made = certificates.context(
        str(site.keys / "ca.pem"), str(site.keys / f"{certificate}.pem"), server=False
    )
    plain = socket.create_connection((site.addresses[HOST], PORT), DEADLINE)
    return made.wrap_socket(plain, suppress_ragged_eofs=False)


def _says(site: Site, certificate: str, request: str = "remus 1 attach") -> bytes:
    """The host's first line to a client with that certificate; nothing if it was turned away."""
    try:
        with _client(site, certificate) as client:
            client.sendall(f"{request}\n".encode())
            return client.recv(300).partition(b"\n")[0]
    except OSError:
        return b""


def test_only_the_console_servers_certificate_opens_a_host(both: Site) -> None:
    (number,) = both.database.execute("SELECT machine_id FROM machines WHERE name = 'remus'")[0]
    for certificate, admitted in (
        *(("console", True), ("old-console", True)),
        *(("host-as-client", False), ("host", False), ("host2", False), ("old-host2", False)),
        *(("console-as-server", False), ("stranger", False), ("forged", False)),
    ):
        said = _says(both, certificate, f"remus {number} attach")
        assert (said == b"ok") is admitted, (certificate, said)
    with socket.create_connection((both.addresses[HOST], PORT), DEADLINE) as plain:
        plain.sendall(b"login root\r\n")
        with pytest.raises(ConnectionError):
            assert not plain.recv(100).startswith(b"ok")
            raise ConnectionResetError


@pytest.mark.parametrize(
    "request_",
    [
        *(
            "",
            "remus",
            "remus root",
            "remus root write",
            "../x root attach",
            "remus a,b attach",
            "remus ! force",
        ),
        *("remus root attach x", "x" * 500, "none root attach", "remus bob attach", "remus 999999 attach"),
    ],
)
def test_what_is_no_request_for_a_console_gets_none(both: Site, request_: str) -> None:
    assert not _says(both, "console", request_).startswith(b"ok")


@contextmanager
def _posing(site: Site, certificate: str, evil: bytes = b"") -> Iterator[list[bytes]]:
    """Another program in the place of the host, at its address; what it was sent."""
    made = certificates.context(str(site.keys / "ca.pem"), str(site.keys / f"{certificate}.pem"), server=True)
    got: list[bytes] = []
    with socket.create_server((site.addresses[HOST], PORT)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                    with made.wrap_socket(connection, server_side=True) as peer:
                        got.append(peer.recv(300))
                        peer.sendall(b"ok\n" + evil)
                        while data := peer.recv(300):
                            got.append(data)
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield got
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _without_host(site: Site) -> None:
    from tests.parts.console.daemons import start_logins

    start_logins(site)
    site.database.execute(
        "UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE hostname = %s) WHERE name = 'remus'",
        (HOST,),
    )


def test_a_taken_over_host_runs_nothing_on_the_console_server(site: Site, tmp_path: Path) -> None:
    """It has its own certificate; what made conserver's client execute is only shown."""
    _without_host(site)
    here = site.console.folder / "was-here"
    evil = b"\xffE" + f"touch {here}\r\n".encode() + b"\xffGcastor\r\n\xffZ\xff|" + b"the end"
    with _posing(site, "host", evil) as got:
        remus = site.terminal("alice", "remus")
        remus.expect("the end")
        remus.send("typed")
        wait(lambda: b"typed" in b"".join(got), "what was typed")
        uid = int(site.console.run("id", "-u", "remus").stdout)
        theirs = [process for process in site.console.of(uid) if _is_shell(process)]
        assert [(process / "comm").read_text() for process in theirs] == ["invirt-console-\n"]
        status = (theirs[0] / "status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
        remus.close(force=True)
    assert not here.exists()
    as_one = ("setpriv", "--reuid=200001", "--regid=990", "--clear-groups")
    key = site.console.run(*as_one, "cat", "/etc/invirt/console/server.pem")
    assert "Permission denied" in key.stderr


def _is_shell(process: Path) -> bool:
    try:
        return "shell" in (process / "cmdline").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(
    "certificate", ["host2", "old-host2", "console", "host-as-client", "stranger", "forged"]
)
def test_nobody_poses_as_a_host(site: Site, certificate: str) -> None:
    _without_host(site)
    with _posing(site, certificate) as got:
        remus = site.terminal("alice", "remus")
        remus.expect("remus is on host1.invirt.test; connecting")
        remus.send("secret")
        time.sleep(0.5)
        assert not any(got)
        remus.close(force=True)


def test_a_machine_of_the_same_name_is_another(both: Site) -> None:
    """The console is asked for by name and number: a process that serves the one before is not joined."""
    assert b"permission denied" in _says(both, "console", "castor 424242 attach")


def _read(end: int, wanted: bytes, seen: bytearray, may: Callable[[], bool] = lambda: True) -> None:
    """Add to seen what comes, up to wanted, each piece when it may be read."""
    while wanted not in seen[-len(wanted) - 65536 :]:
        wait(may, "a turn to read")
        assert select.select([end], [], [], DEADLINE)[0], f"no {wanted!r} after {bytes(seen[-300:])!r}"
        seen += os.read(end, 65536)


def test_a_slow_reader_sees_every_byte_and_slows_nobody(consoles: Site) -> None:
    """Each byte once, in order, 0xFF among them; somebody else on the console is not held up."""
    from tests.bench.terminals import terminal

    machine(consoles.database, "flood")
    flood = f"head -c {FLOOD} /dev/zero | tr '\\0' '\\377'; seq -w 1 99999; echo all''done"
    program = f"stty raw -echo; read go; {flood}; exec cat"
    consoles.boot("flood", program)
    root = [*consoles.console.enter, *consoles.console.words, "console", "flood"]
    seen, quickly = bytearray(), bytearray()
    with terminal(consoles.ssh("alice", "flood", "-tt")) as slow:
        _read(slow, b"for help", seen)  # who comes first has the keyboard
        quick = consoles.spawn(root)
        quick.expect("look on only.*for help")
        os.write(slow, b"\n")
        other = threading.Thread(target=_read, args=(quick.child_fd, b"alldone", quickly))
        other.start()
        # Were the other held up by this one, each would wait for the other here.
        _read(slow, b"alldone", seen, lambda: 2 * len(seen) < len(quickly) or not other.is_alive())
        other.join(DEADLINE)
    whole = b"\xff" * FLOOD + b"".join(b"%05d\n" % number for number in range(1, 100_000)) + b"alldone"
    assert whole in seen
    assert b"alldone" in quickly


def test_sessions_are_as_many_as_the_site_says(site: Site) -> None:
    with site.database.config.open("a") as file:
        file.write("  sessions_a_machine: 2\n  sessions: 3\n")
    from tests.parts.console.daemons import start_logins

    start_logins(site)
    waiting = [site.terminal("alice", "remus") for _ in range(2)]
    for one in waiting:
        one.expect("remus is off; waiting")
    site.terminal("alice", "remus").expect("2 sessions are on this console already")
    third = site.terminal("alice", "romulus")
    third.expect("romulus is off; waiting")
    site.terminal("bob", "castor").expect("3 sessions are on consoles already; try again later")
    waiting[0].send("\x03")

    def free() -> bool:
        return site.terminal("alice", "remus").expect(["off; waiting", "already"]) == 0

    wait(free, "a place")
    third.close(force=True)
