"""The rules of invirt.base.firewall, loaded, and callers that knock: in network namespaces of their own."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from invirt.base.firewall import EVERYONE, Callers, Door, table

DEADLINE = 20.0  # seconds
PORT = 4373
SERVER, SERVER6 = "10.7.0.1", "fd07::1"
STRANGERS = ("10.7.1.1", "10.7.1.2", "10.7.1.3", "10.7.1.4", "10.7.1.5")
KNOWN = "10.7.0.9"
NEIGHBOURS = ("fd07:0:0:1::1", "fd07:0:0:1::2", "fd07:0:0:2::1")

LISTEN = f"""
import asyncio
class Reader(asyncio.Protocol):  # reads all, and ends when the other side does
    pass
async def listen():
    create = asyncio.get_running_loop().create_server
    server = await create(Reader, ("{SERVER}", "{SERVER6}"), {PORT}, backlog=512)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(listen())
"""
# Connects from a source so many times, says how often that went well, and keeps all until its input ends.
KNOCK = f"""
import socket, sys
source, server, there = (sys.argv[1], 0), (sys.argv[2], {PORT}), []
for _ in range(int(sys.argv[3])):
    try:
        there.append(socket.create_connection(server, 5, source))
    except ConnectionRefusedError:
        pass
print(len(there), flush=True)
if len(sys.argv) > 4:
    try:
        for _ in range(int(sys.argv[4])):
            there[0].sendall(bytes(1 << 20))
    except OSError as error:
        print(type(error).__name__, flush=True)
sys.stdin.read()
"""


@dataclass
class Knocking:
    """A caller's process: how many of its connections were let in; they last as long as it."""

    process: subprocess.Popen[str]
    let_in: int

    def hang_up(self) -> None:
        """End all connections."""
        self.process.communicate(timeout=DEADLINE)


@contextmanager
def holding(*argv: str) -> Iterator[int]:
    """A namespace as long as its first process lives: the id of that."""
    with subprocess.Popen([*argv, "sh", "-c", "echo ready; exec cat"], stdin=-1, stdout=-1) as holder:
        assert holder.stdout and holder.stdout.readline() == b"ready\n"
        yield holder.pid
        holder.communicate()


@dataclass
class Net:
    """A server and its callers, one cable apart."""

    server: int
    callers: int
    stack: ExitStack

    def on(self, pid: int, *argv: str, input: str = "") -> str:
        """What a command says in one of both namespaces."""
        enter = ["nsenter", "-t", str(pid), "--net", "--"]
        done = subprocess.run(
            [*enter, *argv], input=input, capture_output=True, text=True, check=False, timeout=DEADLINE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, pid: int, *argv: str) -> subprocess.Popen[str]:
        """Start Python in one of them; it ends with the test."""
        command = ["nsenter", "-t", str(pid), "--net", "--", sys.executable, "-c", *argv]
        process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
        self.stack.callback(process.wait, DEADLINE)
        self.stack.callback(process.kill)
        return process

    def knock(self, source: str, times: int, *send: str) -> Knocking:
        """Connect so many times from source; send: MiB over the first of them."""
        server = SERVER6 if ":" in source else SERVER
        process = self.start(self.callers, KNOCK, source, server, str(times), *send)
        assert process.stdout
        return Knocking(process, int(process.stdout.readline()))


@pytest.fixture
def net() -> Iterator[Net]:
    with ExitStack() as stack:
        server = stack.enter_context(holding("unshare", "--net"))
        callers = stack.enter_context(holding("unshare", "--net"))
        made = Net(server, callers, stack)
        made.on(
            server, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(callers)
        )
        for pid, addresses in ((server, (SERVER, SERVER6)), (callers, (KNOWN, *STRANGERS, *NEIGHBOURS))):
            lines = ["link set lo up", "link set eth0 up"]
            lines += [f"addr add {a}/{'32 nodad' if ':' in a else 16} dev eth0" for a in addresses]
            made.on(pid, "ip", "-batch", "-", input="\n".join(lines))
        listening = made.start(server, LISTEN)
        assert listening.stdout and listening.stdout.readline() == "ready\n"
        yield made


@pytest.fixture
def load(net: Net) -> Callable[[Door], None]:
    def load(door: Door) -> None:
        net.on(net.server, "nft", "-f", "-", input=table("test", door))

    return load


SERVERS = Callers("servers", [ipaddress.ip_network("10.7.0.0/24")], each=64)
OTHERS = Callers("others", EVERYONE, each=32, all=96)
DOOR = Door("remctl", PORT, (SERVERS, OTHERS))


def test_one_source_leaves_room_for_others_and_strangers_for_servers(
    net: Net, load: Callable[[Door], None]
) -> None:
    load(DOOR)
    assert [net.knock(source, 64).let_in for source in STRANGERS[:4]] == [32, 32, 32, 0]
    assert net.knock(KNOWN, 80).let_in == 64


def test_who_hangs_up_makes_room(net: Net, load: Callable[[Door], None]) -> None:
    load(DOOR)
    first, *_ = [net.knock(source, 32) for source in STRANGERS[:3]]
    assert net.knock(STRANGERS[3], 1).let_in == 0
    first.hang_up()
    assert net.knock(STRANGERS[3], 8).let_in == 8


def test_an_ipv6_source_is_a_network(net: Net, load: Callable[[Door], None]) -> None:
    load(DOOR)
    assert [net.knock(source, 20).let_in for source in NEIGHBOURS] == [20, 12, 20]


def test_who_is_not_named_is_refused(net: Net, load: Callable[[Door], None]) -> None:
    load(Door("remctl", PORT, (SERVERS,)))
    assert [net.knock(source, 3).let_in for source in (STRANGERS[0], NEIGHBOURS[0], KNOWN)] == [0, 0, 3]
    assert "packets 6 " in net.on(
        net.server, "nft", "list", "counter", "inet", "invirt_test", "remctl_refused"
    )


def test_a_rate(net: Net, load: Callable[[Door], None]) -> None:
    """Ten seconds' worth at once, and no more for as long as that lasts."""
    load(Door("remctl", PORT, (Callers("others", EVERYONE, rate=1),)))
    assert 10 <= net.knock(STRANGERS[0], 40).let_in < 20
    assert net.knock(STRANGERS[1], 5).let_in == 5


def test_what_a_connection_brings_is_bounded(net: Net, load: Callable[[Door], None]) -> None:
    load(Door("remctl", PORT, (OTHERS,), longest=4 << 20))
    some = net.knock(STRANGERS[0], 1, "3")
    more = net.knock(STRANGERS[1], 1, "90")
    assert more.process.stdout and more.process.stdout.readline() == "ConnectionResetError\n"
    assert some.process.communicate(timeout=DEADLINE) == ("", None)


def test_loaded_again_it_is_there_once_and_other_tables_stay(net: Net, load: Callable[[Door], None]) -> None:
    net.on(net.server, "nft", "add", "table", "inet", "mine")
    load(DOOR)
    once = net.on(net.server, "nft", "list", "table", "inet", "invirt_test")
    load(DOOR)
    assert net.on(net.server, "nft", "list", "table", "inet", "invirt_test") == once
    assert "table inet mine\n" in net.on(net.server, "nft", "list", "tables")
