"""What a wicked guest may try: run in a network namespace of its own, it forges frames on its tap.

Prints JSON: for each frame, by name, the rule that counted it and whether the
host's socket received it; then what the host answered.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import subprocess
import time

from invirt.host import vif

MAC, OTHER_MAC = "52:54:00:00:00:11", "52:54:00:00:00:99"
IP, OTHER_IP, GATEWAY = "192.0.2.17", "192.0.2.18", "192.0.2.1"
NEIGHBOUR = "192.0.2.50"  # beyond the host
HEADER = bytes(10)  # of virtio: nothing is offloaded
PORT = 7000


def ethernet(payload: bytes, kind: int, mac: str = MAC, to: str = "ff:ff:ff:ff:ff:ff") -> bytes:
    return raw(to) + raw(mac) + struct.pack("!H", kind) + payload


def raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def udp(source: str, sport: int = 1234, dport: int = PORT, to: str = GATEWAY) -> bytes:
    data = struct.pack("!HHHH", sport, dport, 12, 0) + b"ping"
    addresses = socket.inet_aton(source) + socket.inet_aton(to)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 1, 0, 64, 17, 0) + addresses
    total = sum(struct.unpack("!10H", head))
    total = (total >> 16) + (total & 0xFFFF)
    return head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + data


def arp(operation: int, mac: str, source: str, target: str) -> bytes:
    sender = raw(mac) + socket.inet_aton(source)
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + sender + bytes(6) + socket.inet_aton(target)


def tagged(kind: int) -> bytes:
    return ethernet(struct.pack("!HH", 5, 0x0800) + udp(OTHER_IP), kind)


FRAMES = {
    "own packet": ethernet(udp(IP), 0x0800),
    "own DHCP request": ethernet(udp("0.0.0.0", 68, 67, "255.255.255.255"), 0x0800),
    "own ARP request": ethernet(arp(1, MAC, IP, NEIGHBOUR), 0x0806),
    "ARP probe": ethernet(arp(1, MAC, "0.0.0.0", IP), 0x0806),
    "other MAC": ethernet(udp(IP), 0x0800, mac=OTHER_MAC),
    "other address": ethernet(udp(OTHER_IP), 0x0800),
    "host's address": ethernet(udp(GATEWAY), 0x0800),
    "no address but not DHCP": ethernet(udp("0.0.0.0", 1234), 0x0800),
    "ARP for another": ethernet(arp(2, MAC, OTHER_IP, GATEWAY), 0x0806),
    "ARP for the gateway": ethernet(arp(1, MAC, GATEWAY, GATEWAY), 0x0806),
    "ARP with another's MAC": ethernet(arp(2, OTHER_MAC, IP, GATEWAY), 0x0806),
    "ARP of an odd kind": ethernet(arp(3, MAC, IP, GATEWAY), 0x0806),
    "DHCP answer": ethernet(udp(IP, 67, 68), 0x0800),
    "router advertisement": ethernet(b"\x60" + bytes(39) + b"\x86" + bytes(15), 0x86DD),
    "VLAN tag": tagged(0x8100),
    "VLAN tag of a provider": tagged(0x88A8),
    "spanning tree": ethernet(bytes(40), 0x0027),
    "unknown protocol": ethernet(bytes(40), 0x88B5),
}


def counters() -> dict[str, int]:
    """Packets by the comment of each rule; "accept" for the rest."""
    said = subprocess.run(["nft", "-j", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    found: dict[str, int] = {}
    for item in json.loads(said)["nftables"]:
        rule = item.get("rule", {})
        for part in rule.get("expr", []):
            if "counter" in part:
                name = rule.get("comment", f"accept in {rule['chain']}")
                found[name] = found.get(name, 0) + int(part["counter"]["packets"])
    return found


def main() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1"], check=True)
    subprocess.run(["ip", "address", "add", f"{GATEWAY}/24", "dev", "up0"], check=True)
    for end in ("up0", "up1"):
        subprocess.run(["ip", "link", "set", end, "up"], check=True)
    with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("1")
    tap = vif.tap("inv17")
    vif.add("inv17", MAC, IP)
    vif.add("inv17", MAC, IP)  # again: the same
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        host.bind(("0.0.0.0", PORT))
        result = {name: sent(tap, host, frame) for name, frame in FRAMES.items()}
    time.sleep(0.2)
    answers = heard(tap)
    vif.remove("inv17")
    os.close(tap)
    vif.remove("inv17")  # gone: no error
    rules = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    print(json.dumps({"frames": result, "answers": answers, "left": rules}))


def sent(tap: int, host: socket.socket, frame: bytes) -> list[object]:
    """Which rule counted the frame, and whether the host's socket got it."""
    before = counters()
    os.write(tap, HEADER + frame)
    after = counters()
    rule = [name for name in after if after[name] != before[name]]
    received = bool(select.select([host], [], [], 0.05)[0])
    if received:
        host.recv(100)
    return [*rule, received]


def heard(tap: int) -> list[str]:
    """ARP answers that reached the guest, as the addresses that they are for."""
    found = []
    while select.select([tap], [], [], 0.5)[0]:
        frame = os.read(tap, 2000)[len(HEADER) :]
        if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02":
            found.append(socket.inet_ntoa(frame[28:32]))
    return found


if __name__ == "__main__":
    main()
