"""Programs that aren't linked statically, and their libraries, as Debian's packages have them."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from invirt.base.errors import InvirtError, NotFound

LOADER = "lib64/ld-linux-x86-64.so.2"  # where every program of amd64 looks for it
_PROGRAMS = ("usr/bin", "usr/sbin", "bin", "sbin")
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")
_LOAD, _DYNAMIC = 1, 2  # kinds of segments, see elf(5)
_NEEDED, _STRTAB = 1, 5  # kinds of the dynamic segment's entries


def collected(root: Path, programs: Iterable[str]) -> dict[str, bytes]:
    """Programs (as usr/bin/NAME) with their loader and libraries (as lib/NAME), by their place in a ramdisk.

    Raises NotFound for one that isn't installed below root.
    """
    files = {f"usr/bin/{name}": _find(root, _PROGRAMS, name) for name in programs}
    wanted = [name for data in files.values() for name in needed(data)]
    while wanted:
        name = wanted.pop()
        place = LOADER if name == Path(LOADER).name else f"lib/{name}"
        if place not in files:
            files[place] = _find(root, _LIBRARIES, name)
            wanted += needed(files[place])
    if any(place.startswith("lib/") for place in files):
        files.setdefault(LOADER, _find(root, _LIBRARIES, Path(LOADER).name))
    return files


def needed(data: bytes) -> list[str]:
    """The libraries that a program or library names; none of what isn't an ELF file of 64 bits."""
    if not data.startswith(b"\x7fELF\x02"):
        return []
    try:
        return _needed(data)
    except (struct.error, StopIteration, ValueError) as error:
        raise InvirtError("a program is damaged", hint="Install its package again.") from error


def _needed(data: bytes) -> list[str]:
    start, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
    # Each: kind, flags, offset in the file, address, physical address, size in the file.
    segments = [struct.unpack_from("<IIQQQQ", data, start + number * size) for number in range(count)]
    dynamic = [entry for kind, _, *entry in segments if kind == _DYNAMIC]
    if not dynamic:
        return []
    offset, _, _, length = dynamic[0]
    entries = list(struct.iter_unpack("<qQ", data[offset : offset + length]))
    address = next(value for tag, value in entries if tag == _STRTAB)
    strings = next(
        entry[0] + address - entry[1]
        for kind, _, *entry in segments
        if kind == _LOAD and entry[1] <= address < entry[1] + entry[3]
    )
    names = [strings + value for tag, value in entries if tag == _NEEDED]
    return [data[name : data.index(0, name)].decode("ascii") for name in names]


def _find(root: Path, folders: Iterable[str], name: str) -> bytes:
    """The file of that name.

    A link with an absolute target counts below root, and leads to a file of its folder in Debian.
    """
    for folder in folders:
        path = root / folder / name
        if path.is_symlink() and path.readlink().is_absolute():
            path = path.parent / path.readlink().name
        if path.is_file():
            return path.read_bytes()
    raise NotFound(f"{name} isn't installed below {root}", hint=f"apt-file search {name} names its package.")
