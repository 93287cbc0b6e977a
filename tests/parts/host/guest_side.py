"""What a wicked guest may try: run in a network namespace of its own, it sends frames from its tap.

The host there has another guest, who is the victim.  Prints JSON: for each
frame, by name, the counters that it advanced and whether host and victim got
it; then what the host answered, and what is left after changes of addresses,
after a flush and at the end.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from scapy.layers.inet import IP
from scapy.layers.inet6 import ICMPv6ND_NA, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from invirt.host.network import flushes, owned, renewal, routes, vif
from invirt.host.network.rules import RATES
from tests.parts.host import forged, honest
from tests.parts.host.frames import OUTSIDE, PING, PING6, Place

PLACE = Place(
    mac="52:54:00:00:00:11",
    own="192.0.2.17",
    own6="2001:db8::17",
    victim_mac="52:54:00:00:00:12",
    victim="192.0.2.18",
    victim6="2001:db8::18",
    host="192.0.2.1",
    host_mac=routes.MAC,
    server="192.0.2.5",
    server6="2001:db8::5",
)
OWN, VICTIM = [PLACE.own, PLACE.own6], [PLACE.victim, PLACE.victim6]
NEW = "192.0.2.19"
HEADER = bytes(10)  # of virtio: nothing is offloaded
# Seen by nothing but the host behind the rules.
PASSED = """\
table netdev behind {
    chain guests { type filter hook ingress devices = { inv17, inv18 } priority 500; counter; }
}
"""
# An administrator's own, which lets everything through.
GENEROUS = """\
table netdev {name} {{
    chain open {{ type filter hook ingress devices = {{ inv17, inv18 }} priority {priority}; accept; }}
}}
table inet {name} {{
    chain open {{ type filter hook prerouting priority -500; accept; }}
}}
"""


def run(*argv: str, input: str | None = None, check: bool = True) -> str:
    return subprocess.run(argv, check=check, input=input, capture_output=True, text=True).stdout


def nft(text: str) -> None:
    run("nft", "-f", "-", input=text)


def counters() -> Mapping[str, int]:
    """The attacker's."""
    [row] = [row for row in vif.counters() if row["interface"] == "inv17"]
    return {name: value for name, value in row.items() if isinstance(value, int)}


def behind() -> int:
    """How many of guests' frames came past their rules."""
    rule = json.loads(run("nft", "-j", "list", "chain", "netdev", "behind", "guests"))["nftables"][-1]
    return int(rule["rule"]["expr"][0]["counter"]["packets"])


def sent(tap: int, victim: int, frame: Packet) -> dict[str, object]:
    """What became of a frame."""
    drain(victim)
    numbers, before = counters(), behind()
    os.write(tap, HEADER + bytes(frame))
    now, past = counters(), behind()
    rose = [name for name, value in now.items() if value != numbers[name]]
    return {"counters": rose, "host": past - before, "victim": len(drain(victim))}


def unguarded(tap: int) -> list[str]:
    """Those of the forged frames that the host gets while there are no rules."""
    nft(PASSED)
    run("ip", "link", "set", "inv18", "up")
    found = []
    for name, frame in forged.forged(PLACE).items():
        before = behind()
        os.write(tap, HEADER + bytes(frame))
        if behind() != before:
            found.append(name)
    return found


def silent(tap: int) -> bool:
    """Whether a guest can't send yet, or any more."""
    try:
        os.write(tap, HEADER + bytes(PLACE.ip(PING)))
    except OSError:
        return True
    return False


def drain(tap: int, seconds: float = 0.005) -> list[bytes]:
    """The IP packets that reached a guest; what the host itself asks on its link aside."""
    frames = []
    while select.select([tap], [], [], seconds)[0]:
        frame = Ether(os.read(tap, 4000)[len(HEADER) :])
        if IP in frame or (IPv6 in frame and not frame[IPv6].src.startswith("fe80:")):
            frames.append(bytes(frame))
    return frames


def set_up() -> tuple[int, int]:
    """A host on a network of its own, with the attacker's and the victim's taps, which are returned."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    run("ip", "address", "add", f"{PLACE.host}/24", "dev", "up0")
    run("ip", "address", "add", "2001:db8::1/64", "dev", "up0", "nodad")
    for end in ("up0", "up1"):
        run("ip", "link", "set", end, "up")
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", setting).write_text("1")
    run("ip", "route", "add", "default", "dev", "up0")
    tap, victim = vif.tap("inv17"), vif.tap("inv18")
    nft(PASSED + GENEROUS.format(name="before", priority=-501))
    return tap, victim


def guard() -> dict[str, list[str]]:
    """As it is done for guests, the attacker's as for QEMU, the victim's as for Xen.

    Returns what leads to the attacker while it is on its way in, and its addresses change.
    """
    vif.guard("inv17", PLACE.mac, [NEW], "d_remus", owned.keeper())
    vif.change("inv17", OWN)
    early = led()
    vif.lead("inv17")
    vif.add("inv18", PLACE.victim_mac, VICTIM, "d_victim")
    vif.add("inv18", PLACE.victim_mac, VICTIM, "d_victim")  # again: the same
    for address in VICTIM:
        run("ip", "neighbour", "replace", address, "lladdr", PLACE.victim_mac, "dev", "inv18")
    nft(GENEROUS.format(name="after", priority=-499))
    return early


def answers(tap: int) -> list[str]:
    """Whom the host answers for, when the guest asks for its ways out: both, in ten seconds at most."""
    drain(tap)
    questions = honest.to_host(PLACE)
    for question in ("ARP request", "solicitation for the router"):
        os.write(tap, HEADER + bytes(questions[question]))
    found: set[str] = set()
    while select.select([tap], [], [], 0.5 if len(found) == 2 else 10)[0]:
        frame = Ether(os.read(tap, 4000)[len(HEADER) :])
        if ARP in frame and frame[ARP].op == 2:
            found.add(frame[ARP].psrc)
        if ICMPv6ND_NA in frame:
            found.add(frame[ICMPv6ND_NA].tgt)
    return sorted(found)


def led() -> dict[str, list[str]]:
    """The addresses that lead to each guest, and those that the host answers for on its own network."""
    found: dict[str, list[str]] = {"proxies": proxies()}
    for interface in ("inv17", "inv18"):
        lines = [*routes_of("-4", interface), *routes_of("-6", interface)]
        found[interface] = [line.split()[0] for line in lines if "/" not in line.split()[0]]
    return found


def routes_of(kind: str, interface: str) -> list[str]:
    return run("ip", kind, "route", "show", "dev", interface).splitlines()


def proxies() -> list[str]:
    return sorted(line.split()[0] for line in run("ip", "neighbour", "show", "proxy").splitlines())


def changes(tap: int, victim: int) -> dict[str, object]:
    """The attacker's address is changed, swapped with the victim's, taken away and given back."""

    def tried(source: str) -> object:
        return sent(tap, victim, PLACE.ip(PING, source, "203.0.113.9"))["counters"]

    before = counters()
    vif.change("inv17", [NEW])
    found: dict[str, object] = {"changed": [tried(PLACE.own), tried(NEW)], "led": led()}
    found["kept counters"] = counters()["foreign_mac"] == before["foreign_mac"] > 0
    vif.change("inv17", VICTIM)
    vif.change("inv18", OWN)
    found["swapped"] = [tried(PLACE.own), tried(PLACE.victim)]
    found["led after the swap"] = led()
    vif.change("inv17", [])
    found["silent without"] = silent(tap)
    found["led without"] = led()
    vif.change("inv18", VICTIM)
    vif.change("inv17", OWN)
    keeper = vif.links()["inv17"].keeper
    assert keeper
    owned.change("flush table netdev invirt_inv17", keeper)  # as of a version that knew less
    found["old"] = tried(PLACE.victim)
    renewal.renew()
    found["renewed"] = tried(PLACE.victim)
    found["given back"] = [tried(PLACE.own), tried(PLACE.victim)]
    found["led at last"] = led()
    return found


def flooded(tap: int, frames: Sequence[Packet]) -> dict[str, float]:
    """How many of so many frames passed and were refused, and the seconds that it took."""
    before, start = counters(), time.monotonic()
    for frame in frames:
        os.write(tap, HEADER + bytes(frame))
    now, seconds = counters(), time.monotonic() - start
    rose = {name: now[name] - before[name] for name in ("passed", "too_often")}
    return {"sent": len(frames), "seconds": seconds, **rose}


def floods(tap: int) -> dict[str, dict[str, float]]:
    """Each kind of what costs others, twice as often as it may come at once, and a ping of another guest."""
    place = honest.to_host(PLACE)
    frames = {
        "dhcp": place["DHCP request"],
        "neighbours": place["ARP request"],
        "dns": place["DNS question to a server"],
        "icmp": place["ping of the host"],
        "answers": place["answer to a server by TCP"],
        "expired": place["traceroute"],
    }
    found = {kind: flooded(tap, [frame] * 2 * RATES[kind][1]) for kind, frame in frames.items()}
    strangers = [PLACE.ip6(PING6, dst=f"2001:db8::1:{one:x}") for one in range(2 * RATES["strangers"][1])]
    found["strangers"] = flooded(tap, strangers)
    return {**found, "others": flooded(tap, [honest.to_others(PLACE)["ping"]] * 2000)}


def lowered(tap: int) -> bool:
    """Whether the host's way to outside is narrower for what the guest says of it."""
    os.write(tap, HEADER + bytes(forged.foreign_icmp(PLACE)["fragmentation needed, to the host"]))
    return "mtu" in run("ip", "route", "get", OUTSIDE)


def tables() -> list[str]:
    return sorted(line.split()[-1] for line in run("nft", "list", "tables").splitlines() if "invirt_" in line)


def mended() -> list[str]:
    """Whose rules are there soon after a flush that somebody watches for."""
    threading.Thread(target=flushes.mend, daemon=True).start()
    run("nft", "flush", "ruleset")
    deadline = time.monotonic() + 30
    while len(tables()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    return tables()


def main() -> None:
    tap, victim = set_up()
    result: dict[str, object] = {"early": silent(tap)}
    result["guarded"] = guard()
    for kind in (honest.to_others, honest.to_host, forged.forged):
        result[kind.__name__] = {name: sent(tap, victim, frame) for name, frame in kind(PLACE).items()}
    before = counters()
    run("busybox", "ping", "-c", "1", "-w", "1", "-I", "inv17", "224.0.0.1", check=False)
    result["own"] = [name for name, value in counters().items() if value != before[name]]
    result["answers"] = answers(tap)
    result["lowered"] = lowered(tap)
    result["led"] = led()
    result["changes"] = changes(tap, victim)
    result["floods"] = floods(tap)
    run("nft", "flush", "ruleset")
    result["flushed"] = tables()
    vif.reload()
    result["reloaded"] = tables()
    result["mended"] = mended()
    for _ in range(2):  # gone: no error
        vif.remove("inv18")
    result["late"] = silent(victim)
    result["left"] = {"tables": tables(), **led()}
    result["unguarded"] = unguarded(victim)
    nft_of_this, keeper = owned._own()
    nft_of_this.close()  # as a QEMU would that its guest has taken over
    result["kept"] = tables()
    os.kill(keeper, 9)
    while tables():
        time.sleep(0.01)
    result["lowered without rules"] = lowered(tap)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
