"""A small network of namespaces: a server, hosts beside it, guests behind their hosts.

The hosts' ends of the guests' links are guarded by our own rules, and our own
relay runs on each host.  All of it goes with the processes that hold the
namespaces.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.parts.realm import end
from tests.parts.waiting import until

ROOT = Path(__file__).parents[3]
DEADLINE = 20.0  # seconds
SERVER = "10.86.0.5"
HOST_SETTINGS = ("ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1")

# What a guest does with what udhcpc tells it; each event is a line in $LOG.
SCRIPT = """\
#!/bin/sh
echo "$1 ip=$ip subnet=$subnet router=$router dns=$dns" \\
    "domain=$domain hostname=$hostname lease=$lease server=$serverid" >>"$LOG"
case "$1" in
deconfig) ip addr flush dev eth0; ip link set eth0 up ;;
bound | renew)
    ip addr flush dev eth0
    ip addr add "$ip/$mask" dev eth0
    ip route replace default via "$router" dev eth0 ;;
esac
"""


@dataclass
class Node:
    """A network namespace; folder is where its processes write."""

    name: str
    folder: Path
    holder: subprocess.Popen[bytes]

    @property
    def enter(self) -> list[str]:
        """What is put before an argv that is to run in it."""
        return ["nsenter", "-t", str(self.holder.pid), "--net"]

    def run(self, *argv: str, input: str | None = None, check: bool = True) -> str:
        """Run a command in it and return what it said."""
        done = subprocess.run(
            [*self.enter, *argv],
            input=input,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE,
        )
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def start(self, argv: Sequence[str], **environment: str) -> subprocess.Popen[bytes]:
        """Start a process in it; its output goes to the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.enter, *argv],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> Path:
        """What its processes said."""
        return self.folder / f"{self.name}.log"


@dataclass
class Guest:
    """A guest's end of its link."""

    node: Node
    client: subprocess.Popen[bytes] | None = None

    @property
    def events(self) -> list[str]:
        """What its DHCP client was told, a line each."""
        file = self.node.folder / f"{self.node.name}.events"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def addresses(self) -> list[str]:
        """The IPv4 addresses that it has."""
        lines = self.node.run("ip", "-4", "-o", "addr", "show", "eth0").splitlines()
        return [line.split()[3] for line in lines]

    def said(self) -> str:
        """For a failed test."""
        return "\n".join([*self.events, self.node.log.read_text()])


@dataclass
class Network:
    """The whole; make with `with ExitStack() as stack: Network(folder, stack)`."""

    folder: Path
    stack: ExitStack
    hosts: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = self.node("server")
        self.server.run("ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        self.server.run("ip", "addr", "add", f"{SERVER}/24", "dev", "br0")
        self.server.run("ip", "link", "set", "br0", "up")
        (self.folder / "script").write_text(SCRIPT)
        (self.folder / "script").chmod(0o755)

    def node(self, name: str) -> Node:
        """A new namespace."""
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.stack.callback(end, holder)
        here = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != here)
        node = Node(name, self.folder, holder)
        node.run("ip", "link", "set", "lo", "up")
        return node

    def link(self, one: Node, interface: str, other: Node, its: str, mac: str = "") -> None:
        """A cable between two namespaces; both ends are up, but for a guarded one."""
        peer = ["peer", "name", its, "netns", str(other.holder.pid)]
        one.run("ip", "link", "add", interface, *(["address", mac] if mac else []), "type", "veth", *peer)
        one.run("ip", "link", "set", interface, "up")

    def host(self, name: str, address: str) -> Node:
        """A host beside the server, with our relay."""
        host = self.hosts[name] = self.node(name)
        self.link(host, "eth0", self.server, name)
        self.server.run("ip", "link", "set", name, "up", "master", "br0")
        host.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        host.run("ip", "route", "add", "default", "via", SERVER)
        self.relay(host)
        return host

    def relay(self, host: Node) -> None:
        """Make a node a host: it routes, and our relay runs there."""
        for setting in HOST_SETTINGS:
            key, value = setting.split("=")
            host.run("sh", "-c", f"echo {value} >/proc/sys/net/{key}")
        relay = host.start([sys.executable, str(ROOT / "invirt-host/sbin/invirt-dhcp-relay")])
        self.stack.callback(end, relay)

    def guest(self, name: str, host: Node, nic: int, mac: str, *addresses: str) -> Guest:
        """A guest of the host; addresses are what the host's rules let it use."""
        node = self.node(name)
        self.link(node, "eth0", host, f"inv{nic}", mac)
        vif = str(ROOT / "invirt-host/sbin/invirt-vif")
        add = [sys.executable, vif, "add", "--name", f"d_{name}", f"inv{nic}", mac, *addresses]
        host.run("env", f"INVIRT_RUN={self.folder}", *add)
        return Guest(node)

    def follow(self) -> None:
        """On each host: let the rules and routes of guests follow the database."""
        for host in self.hosts.values():
            program = [str(ROOT / "invirt-host/sbin/invirt-host-observer"), "--only", "network"]
            self.stack.callback(end, host.start([sys.executable, *program], INVIRT_RUN=str(self.folder)))

    def dhcp(self, guest: Guest) -> None:
        """Start busybox' udhcpc on the guest; SIGUSR1 makes it renew."""
        script = str(self.folder / "script")
        argv = ["busybox", "udhcpc", "-f", "-i", "eth0", "-s", script, "-t", "5", "-T", "1", "-A", "1"]
        log = str(self.folder / f"{guest.node.name}.events")
        guest.client = guest.node.start([*argv, "-x", "hostname:liar"], LOG=log)
        self.stack.callback(end, guest.client)
