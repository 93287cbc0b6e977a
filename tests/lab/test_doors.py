"""Strangers at the servers' doors: how many get in, who does beside them, and what all that runs in."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from invirt_lab import cluster
from invirt_lab.site import ARCHIVE, CLUSTER, CONSOLE, NETWORK, SERVERS
from tests.lab.users import REMOTE, Lab, eventually

ROOT = Path(__file__).parents[2]
STRANGERS = [f"{NETWORK}.{number}" for number in range(221, 226)]  # none of network.servers
OTHER = f"{NETWORK}.230"

# source server port times: connects, says how often that went well, and keeps all in silence.
KNOCK = """
use IO::Socket::INET;
my ($source, $server, $port, $times) = @ARGV;
my @there = grep { defined } map { IO::Socket::INET->new(
    LocalAddr => $source, PeerAddr => $server, PeerPort => $port, Timeout => 5) } 1 .. $times;
$| = 1;
print scalar(@there), "\\n";
<STDIN>;
"""

# Four calls at once, with 90 MB of arguments each.
LARGE = f"""
import os, remctl, sys
os.environ.update(KRB5_CLIENT_KTNAME="/etc/krb5.keytab", KRB5CCNAME="MEMORY:")
for _ in range(3):
    if not os.fork():
        break
try:
    remctl.remctl("{REMOTE}", command=["machine", "show", "x" * 90_000_000])
    print("taken")
except remctl.RemctlError:
    print("ended")
"""
# The kilobytes that all remctlds have together, again and again, until the file is gone.
WEIGH = """
touch /run/weighing; echo ready
while [ -e /run/weighing ]; do
    awk '/^Name:/ { name = $2 } /^VmRSS:/ && name == "remctld" { all += $2 } END { print all + 0 }' \
        /proc/[0-9]*/status 2>/dev/null
done
"""

SILENT = f"""
set -e
for address in {" ".join([*STRANGERS, OTHER])}; do ip addr replace $address/24 dev eth0; done
"""


@pytest.fixture(scope="module", autouse=True)
def strangers(lab: Lab) -> None:
    """The client has addresses that no server's rules name."""
    lab.on("client", "sh", "-c", SILENT)


@contextmanager
def knocking(server: str, port: int, *sources: str, times: int) -> Iterator[list[int]]:
    """From each source so many silent connections: how many were let in; they last as long as the block."""
    address = SERVERS[server].address
    started = [
        subprocess.Popen(
            cluster.command_on("client", ["perl", "-e", KNOCK, source, address, str(port), str(times)]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for source in sources
    ]
    try:
        yield [int(one.stdout.readline()) for one in started if one.stdout]
    finally:
        for one in started:
            one.communicate(timeout=60)


def connections(lab: Lab, server: str, socket: str) -> int:
    """How many remctlds a socket has started that still run."""
    return int(lab.on(server, "systemctl", "show", "--value", "-p", "NConnections", socket).stdout)


def listed(lab: Lab, *more: str) -> str:
    """What a user is told who knocks at remote's door."""
    return cluster.as_user("alice", "remctl", *more, REMOTE, "machine", "list").stdout


def test_silent_connections_close_no_door(lab: Lab) -> None:
    """Each cap, who is let in beside those who have used it up, and that silence ends."""
    with (
        knocking("remote", 4373, *STRANGERS[:4], times=64) as remote,
        knocking("host1", 4374, STRANGERS[0], times=128) as host,
        knocking("db", 5432, *STRANGERS[:2], times=330) as database,
        knocking(CONSOLE, 22, STRANGERS[0], times=110),
        knocking("dns", 53, STRANGERS[0], times=30) as dns,
    ):
        assert (remote, host, database, dns) == ([32] * 4, [0], [0, 0], [10])
        assert listed(lab, "-b", OTHER) == listed(lab)
        assert lab.on("client", "dig", "+tcp", "+short", "-b", OTHER, SERVERS["remote"].fqdn).stdout
        greeting = f"exec 3<>/dev/tcp/{SERVERS[CONSOLE].address}/22; read -r line <&3; echo $line"
        assert lab.on("client", "timeout", "30", "bash", "-c", greeting).stdout.startswith("SSH-2.0")
        eventually(lambda: not connections(lab, "remote", "invirt-remctld.socket"), "silence to be ended", 30)
    ended = lab.on("remote", "journalctl", "-u", "invirt-remctld-gate", "-o", "cat").stdout
    assert re.search(r"ended \d+ connections that didn't sign on", ended)


def test_strangers_leave_room_for_servers(lab: Lab) -> None:
    with knocking("remote", 4373, *STRANGERS, times=64) as strangers:
        assert sum(strangers) <= 160
        with knocking("remote", 4373, OTHER, times=32) as more:
            assert sum(strangers) + sum(more) <= 160
            assert listed(lab) is not None


# Addresses and ports: of the door, and whence; how many connections say "SSH-2.0" of so many silent ones.
GREETED = """
import socket, sys
door, source, times = (sys.argv[1], 22), (sys.argv[2], 0), int(sys.argv[3])
doors = [socket.create_connection(door, 10, source) for _ in range(times)]
def greets(one):
    try:
        return one.recv(7) == b"SSH-2.0"
    except ConnectionResetError:
        return False
print(sum(map(greets, doors)))
"""
# Seconds until a silent connection is ended.
SILENCE = """
import socket, sys, time
one, began = socket.create_connection((sys.argv[1], 53), 10), time.monotonic()
one.settimeout(60)
assert one.recv(1) == b""
print(time.monotonic() - began)
"""


def test_one_source_has_so_many_that_sign_on_to_ssh(lab: Lab) -> None:
    script = ("python3", "-c", GREETED, SERVERS[CONSOLE].address, STRANGERS[1], "30")
    assert int(lab.on("client", *script).stdout) == 20


def test_dns_ends_silence(lab: Lab) -> None:
    seconds = float(lab.on("client", "python3", "-c", SILENCE, SERVERS["dns"].address).stdout)
    assert 4 < seconds < 30


# In place of a QEMU whose guest makes it warn without end; the lines of it that are kept.
SHOUTS = """
unit=invirt-guest@d_shouter.service; folder=/run/systemd/system/$unit.d
mkdir -p $folder
printf '[Service]\\nExecStart=\\nExecStart=seq 20000\\nExecStopPost=\\n' >$folder/shouts.conf
systemctl daemon-reload && systemctl start --wait $unit; journalctl --sync
rm -r $folder && systemctl daemon-reload
journalctl --boot -u $unit -o cat | grep -cx '[0-9]*'
"""
BURST, ROOMY = 100, 8  # lines; times as many are kept where the journal has much room


def test_a_guests_qemu_fills_no_journal(lab: Lab) -> None:
    assert BURST <= int(lab.on("host1", "sh", "-c", SHOUTS).stdout) <= BURST * ROOMY


def test_a_host_hears_remote_alone(lab: Lab) -> None:
    def reaches(server: str, *door: str) -> bool:
        return (
            lab.on(server, "sh", "-c", f"bash -c '</dev/tcp/{door[0]}/{door[1]}'", check=False).returncode
            == 0
        )

    doors = {("remote", "host1", "4374"): True, ("host2", "host1", "4374"): False}
    doors |= {("console", "host1", "3109"): True, ("host2", "host1", "3109"): False}
    assert {door: reaches(*door) for door in doors} == doors


def test_what_a_call_brings_is_bounded(lab: Lab) -> None:
    """Four calls with 90 MB of arguments, whose remctlds held 1.1 GB."""
    weighing = cluster.command_on("remote", ["sh", "-c", WEIGH])
    with subprocess.Popen(weighing, stdout=subprocess.PIPE, text=True) as scales:
        assert scales.stdout and scales.stdout.readline() == "ready\n"
        try:
            done = lab.on("remote2", "python3", "-c", LARGE).stdout
        finally:
            lab.on("remote", "rm", "/run/weighing")
        weights = [int(line) for line in scales.stdout]
    assert done.split() == ["ended"] * 4
    assert max(weights) < 256 << 10


ROLES = {server.role: server.name for server in CLUSTER.values() if server.role and not server.spare}


@pytest.mark.parametrize("server", sorted(ROLES.values()))
def test_units_are_confined(lab: Lab, server: str) -> None:
    """By systemd's own measure, 3.5 at most, but for those that docs/security.md names with a reason."""
    units = lab.on(
        server, "sh", "-c", "dpkg -L $(dpkg-query -W -f '${Package} ' 'invirt-*') | sort -u"
    ).stdout
    found = re.findall(r"(?m)^(?:/usr)?/lib/systemd/system/([^/\n]+\.service)(?:\.d/\S+)?$", units)
    ours = sorted({unit.replace("@.", "@x.") for unit in found if not unit.startswith(OTHERS)})
    said = lab.on(server, "sh", "-c", f"systemd-analyze security --no-pager {' '.join(ours)} | cat").stdout
    levels = {unit: float(level) for unit, level in re.findall(r"level for (\S+): ([\d.]+)", said)}
    assert set(levels) == set(ours)
    above = {unit for unit, level in levels.items() if level > 3.5}
    assert above <= excused(), {unit: levels[unit] for unit in above}


OTHERS = ("nftables", "ssh", "sshd", "postgresql", "xendomains")  # Debian's, of which we change a line


def excused() -> set[str]:
    """The units that docs name with a reason: lines of a table, `unit` first."""
    texts = [path.read_text() for path in sorted((ROOT / "docs").glob("security*.md"))]
    rows = re.findall(r"(?m)^\| `([^`|]+\.service)` \| [\d.]+ \| .{20,}", "\n".join(texts))
    return {row.replace("@.", "@x.") for row in rows}


@pytest.mark.parametrize("role", ["remote", "host", "database", "dns", "dhcp", "console", "web"])
def test_each_role_has_a_slice_with_bounds(lab: Lab, role: str) -> None:
    server = next(name for package, name in ROLES.items() if package.startswith(f"invirt-{role}"))
    said = lab.on(server, "systemctl", "show", "-p", "MemoryMax,TasksMax", f"invirt-{role}.slice").stdout
    assert not re.search("infinity|18446744073709551615", said), said
    assert (
        lab.on(server, "systemctl", "status", "--no-pager", f"invirt-{role}.slice").stdout.count(".service")
        > 0
    )


def test_rules_are_back_after_a_flush(lab: Lab) -> None:
    script = "systemctl start nftables && systemctl reload nftables && systemctl stop nftables"
    lab.on("dns", "sh", "-c", script)
    eventually(
        lambda: "invirt_dns" in lab.on("dns", "nft", "list", "tables").stdout,
        "the doors' rules to be back",
        20,
    )


def test_no_server_sees_the_archives_key(lab: Lab) -> None:
    secret = [
        "-name",
        "*.key",
        "-o",
        "-name",
        "secring*",
        "-o",
        "-name",
        "private-keys*",
        "-o",
        "-name",
        ".gnupg",
    ]
    for server in CLUSTER:
        assert lab.on(server, "find", ARCHIVE, *secret).stdout == ""
    assert list((ROOT / ".archive-key/private-keys-v1.d").iterdir())
