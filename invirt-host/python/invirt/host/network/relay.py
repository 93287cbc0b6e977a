"""Carries guests' DHCP requests to the DHCP servers, and the answers back (RFC 2131, 3046, 8357).

Each guest's link ends in an interface of its own that has no address, and
interfaces come and go with guests.  Common relays know a link by its address
and want to be told of all at their start; this one learns from the kernel by
which interface a request came, and writes its name into the request (option
82, circuit id), which a server must send back.  It hears guests by what is said
to all, and asks each server from a port of its own, to which the answer comes: so
a DHCP server may have this server's port 67.  It remembers nothing but how
much each guest asked in the last seconds, so that none takes others' turns and
one host no other's.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress

SERVER_PORT, CLIENT_PORT = 67, 68
REQUEST, ANSWER = 1, 2
HOPS, CIADDR, GIADDR = 3, slice(12, 16), slice(24, 28)
COOKIE = slice(236, 240)
OPTIONS = 240  # where they begin
MAGIC = b"\x63\x82\x53\x63"
PAD, END, RELAY_AGENT, FQDN = 0, 255, 82, 81
CIRCUIT = 1  # the sub-option
# Who sends it is answered at the port that he asked from (RFC 8357).  There it is empty; Kea 2.6 takes it
# for a number, and drops what has none.
OWN_PORT = bytes([19, 2, 0, 0])
NOBODY, ALL = bytes(4), "255.255.255.255"
IP_PKTINFO = 8  # of Linux; Python has no name for it
PER_GUEST, PER_HOST = (2.0, 20.0), (200.0, 1000.0)  # requests a second, and so many at once
MOST_GUESTS = 10000  # of whom it is remembered how much they asked
OURS = re.compile(r"inv[0-9]{1,12}")  # invirt.host.network.vif.interface()


def options(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Position, code and value of each option; ends at the first that is cut."""
    at = OPTIONS
    while at < len(message) and message[at] != END:
        if message[at] == PAD:
            at += 1
            continue
        if at + 1 >= len(message) or at + 2 + message[at + 1] > len(message):
            return
        length = message[at + 1]
        yield at, message[at], message[at + 2 : at + 2 + length]
        at += 2 + length


def _is_dhcp(message: bytes, operation: int) -> bool:
    return len(message) > OPTIONS and message[0] == operation and message[COOKIE] == MAGIC


def outward(message: bytes, interface: str, address: str) -> bytes | None:
    """A guest's request as it goes to a server; None if it is no request, or speaks as a relay.

    interface: by which it came.  address: this host's own, where the answer is to go.
    A full name (RFC 4702) is left out: to it Kea would answer with that alone, without
    the name and the domain that the guest is to have.
    """
    if not _is_dhcp(message, REQUEST) or message[GIADDR] != NOBODY:
        return None
    kept, end = b"", OPTIONS
    for at, code, value in options(message):
        if code == RELAY_AGENT:
            return None
        begin, end = end, at + 2 + len(value)
        kept += message[begin:end] if code != FQDN else b""
    name = interface.encode()
    told = bytes([CIRCUIT, len(name)]) + name + OWN_PORT
    relay = bytes([RELAY_AGENT, len(told)]) + told + bytes([END])
    head = message[:HOPS] + b"\1" + message[4:24] + socket.inet_aton(address) + message[28:OPTIONS]
    return head + kept + relay


def inward(message: bytes, address: str) -> tuple[str, bytes] | None:
    """The interface that a server's answer is for, and the answer as the guest gets it; None: not for us."""
    if not _is_dhcp(message, ANSWER) or message[GIADDR] != socket.inet_aton(address):
        return None
    for at, code, value in options(message):
        if code == RELAY_AGENT and value[:1] == bytes([CIRCUIT]) and len(value) > 2:
            interface = value[2 : 2 + value[1]].decode(errors="replace")
            rest = message[:at] + message[at + 2 + len(value) :]
            return (interface, rest) if OURS.fullmatch(interface) else None
    return None


class Rate:
    """So many a second, and so many at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.left, self.at = rate, burst, burst, 0.0

    def take(self, now: float) -> bool:
        """Whether there may be one more; now: seconds of a clock that never goes back."""
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Shares:
    """How much guests may ask, each and all together."""

    def __init__(self) -> None:
        self.all = Rate(*PER_HOST)
        self.guests: dict[str, Rate] = {}

    def take(self, interface: str, now: float) -> bool:
        """Whether the guest may have one more request carried."""
        if len(self.guests) > MOST_GUESTS:
            self.guests.clear()
        return self.guests.setdefault(interface, Rate(*PER_GUEST)).take(now) and self.all.take(now)


class Relay:
    """The relay of this host, between its guests' interfaces and the servers."""

    def __init__(self, servers: list[str]) -> None:
        """servers: their addresses; raises OSError where there is no way to one, or port 67 is taken."""
        self.shares = Shares()
        self.servers = [_to(server) for server in servers]
        self.guests = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.guests.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.guests.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        self.guests.bind((ALL, SERVER_PORT))  # their links' rules make each request one to all

    def serve(self) -> None:
        """Relay for ever."""
        while True:
            self.step()

    def step(self) -> None:
        """Take a message of each who has said something and send it on, or drop it."""
        for heard in select.select([self.guests, *self.servers], [], [])[0]:
            try:
                if heard is self.guests:
                    self._out()
                else:
                    self._in(heard)
            except OSError:
                pass  # the guest's interface, or the way to the server, is gone: the guest asks again

    def _out(self) -> None:
        message, ancillary, _, _ = self.guests.recvmsg(2048, socket.CMSG_SPACE(12))
        number = next((struct.unpack("I", data[:4])[0] for _, _, data in ancillary), 0)
        interface = socket.if_indextoname(number)
        if not OURS.fullmatch(interface) or not self.shares.take(interface, time.monotonic()):
            return
        for server in self.servers:
            if relayed := outward(message, interface, _own(server)):
                with suppress(OSError):  # one that is gone keeps nothing from the others
                    server.send(relayed)

    def _in(self, server: socket.socket) -> None:
        """To the address that the guest renews; else to all on its link, where there is the guest alone."""
        own = _own(server)
        relayed = inward(server.recv(2048), own)
        if relayed:
            interface, answer = relayed
            through = struct.pack("I4s4s", socket.if_nametoindex(interface), socket.inet_aton(own), NOBODY)
            ancillary = [(socket.IPPROTO_IP, IP_PKTINFO, through)]
            renewed = answer[CIADDR]
            to = ALL if renewed == NOBODY else socket.inet_ntoa(renewed)
            self.guests.sendmsg([answer], ancillary, 0, (to, CLIENT_PORT))


def _to(server: str) -> socket.socket:
    """A socket for a server's answers, and nobody else's."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.connect((server, SERVER_PORT))
    return made


def _own(server: socket.socket) -> str:
    """This host's address, as a server sees it."""
    address: str = server.getsockname()[0]
    return address
