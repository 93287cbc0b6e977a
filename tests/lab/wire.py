"""Raw frames in the lab: sent from within a guest, and seen on the hosts' interfaces."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from invirt_lab import cluster, console
from invirt_lab.site import SHARED
from tests.lab.users import eventually

# The guest's own tools send no raw frames.  Debian's perl does, which every server has.
PERL = """\
for file in /usr/bin/perl $(ldd /usr/bin/perl | grep -o '/[^ ]*'); do cp -L "$file" "$1"; done
"""
SEND = """\
open I, "/sys/class/net/eth0/ifindex"; $number = <I>;
socket S, 17, 3, 0x300 or die;
$there = pack "S n i S C C a8", 17, 3, $number, 1, 0, 6, "";
while (<>) { chomp; send S, pack("H*", $_), 0, $there or die; $sent++; select undef, undef, undef, 0.003 }
print "sent $sent frames\\n";
"""
OFFSET = 64  # MiB from the beginning of the guest's disk
# Prints what the host sends on its interfaces, and what comes in at eth0.
WATCH = """\
import socket
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE: none is lost while others run
print("ready", flush=True)
while True:
    frame, (interface, _, kind, *_) = link.recvfrom(4000)
    if kind == socket.PACKET_OUTGOING or interface == "eth0":
        print(interface, frame.hex(), flush=True)
"""


def send(lab_host: str, machine: str, frames: Sequence[bytes]) -> None:
    """Send the frames from within the guest, who finds them, and a perl, on its disk.

    lab_host: that runs it; any sees the disk.
    """
    files = {"send": SEND, "frames": "".join(f"{frame.hex()}\n" for frame in frames)}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    disk = f"{SHARED}/volumes/d_{machine}_hda"
    folder = f"/tmp/wire-{machine}"
    write = (
        f"set -e; mkdir -p {folder}; set -- {folder}; tar -x -C {folder}; {PERL}"
        f"tar -c -C {folder} . | dd of={disk} bs=1M seek={OFFSET} conv=notrunc status=none; rm -r {folder}"
    )
    command = cluster.command_on(lab_host, ["sh", "-c", write])
    subprocess.run(command, input=archive.getvalue(), check=True, timeout=120)
    loader = "/tmp/wire/ld-linux-x86-64.so.2 --library-path /tmp/wire /tmp/wire/perl"
    run = f"cd /tmp/wire && dd if=/dev/vda bs=1M skip={OFFSET} count=32 2>/dev/null | tar -x"
    said = console.ask(machine, f"mkdir -p /tmp/wire; {run}; {loader} send frames")
    assert f"sent {len(frames)} frames" in said, said


@contextmanager
def watched(hosts: Sequence[str], folder: Path) -> Iterator[list[Path]]:
    """While it lasts the hosts' frames are written down, in a file for each."""
    files = [folder / name for name in hosts]
    processes = []
    for name, file in zip(hosts, files, strict=True):
        with file.open("wb") as output:
            command = cluster.command_on(name, ["python3", "-c", WATCH])
            processes.append(subprocess.Popen(command, stdout=output, stdin=subprocess.DEVNULL))
    try:
        eventually(lambda: all("ready" in file.read_text() for file in files), "ears on all hosts")
        yield files
    finally:
        for process in processes:
            process.kill()
            process.wait(20)


def seen(file: Path) -> Counter[tuple[str, bytes]]:
    """How often each packet was seen on each interface."""
    lines = [line.split() for line in file.read_text().splitlines()]
    return Counter((line[0], packet(bytes.fromhex(line[1]))) for line in lines if len(line) == 2)


def packet(frame: bytes) -> bytes:
    """What of a frame stays the same on its way: without MACs, hop count and, in IPv4, checksum."""
    kind, rest = frame[12:14], bytearray(frame[14:])
    if kind == b"\x08\x00" and len(rest) >= 20:
        rest[8:9], rest[10:12] = b"\0", b"\0\0"
        return kind + bytes(rest[: int.from_bytes(rest[2:4], "big")])
    if kind == b"\x86\xdd" and len(rest) >= 40:
        rest[7:8] = b"\0"
    return kind + bytes(rest)
