"""Where the parts come from: a kernel of Debian's, its modules and busybox, as installed below a folder."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from invirt.base.errors import InvirtError, NotFound

# Debian's for servers and for clouds; not those for real time, nor what others have built.
_NAME = re.compile(r"vmlinuz-((\d[^-]*(?:-\d+)?)-(cloud-)?amd64)")
_MODULES = ("usr/lib/modules", "lib/modules")
_BUSYBOX = ("usr/bin/busybox", "bin/busybox")


@dataclass(frozen=True)
class Source:
    """Files of one kernel; version: as `uname -r` has it."""

    version: str
    image: Path
    modules: Path
    busybox: Path

    def read_modules(self, names: Iterable[str]) -> dict[str, bytes]:
        """The modules' contents by name, without those that are built into the kernel.

        Raises InvirtError for one that is neither.
        """
        files = {_module(path): path for path in self.modules.glob("kernel/**/*.ko*")}
        listed = (self.modules / "modules.builtin").read_text().splitlines()
        built_in = {_module(Path(line)) for line in listed}
        missing = [name for name in names if name not in files and name not in built_in]
        if missing:
            raise InvirtError(
                f"the kernel {self.version} has no module {', '.join(missing)}",
                hint=f"Install its package again: linux-image-{self.version}",
            )
        return {name: _unpacked(files[name]) for name in names if name in files}


def newest(root: Path) -> Source:
    """The newest kernel installed below root; of two of one version the one for clouds, which is smaller.

    Raises NotFound where there is none, or no busybox.
    """
    found = [
        (_sortable(match[2]), match[3] is not None, match[1], image)
        for image in (root / "boot").glob("vmlinuz-*")
        if (match := _NAME.fullmatch(image.name))
    ]
    if not found:
        raise NotFound(
            f"there is no kernel of Debian's in {root / 'boot'}",
            hint="apt-get install linux-image-cloud-amd64 (or linux-image-amd64, for a computer of metal)",
        )
    *_, version, image = max(found)
    return Source(
        version,
        image,
        _first([root / folder / version for folder in _MODULES], f"linux-image-{version}"),
        _first([root / name for name in _BUSYBOX], "busybox-static"),
    )


def _first(places: list[Path], package: str) -> Path:
    """The first of the places where something is."""
    for place in places:
        if place.exists():
            return place
    raise NotFound(f"{places[0]} is missing", hint=f"apt-get install --reinstall {package}")


def _sortable(version: str) -> list[tuple[int, str]]:
    """6.9.1 is before 6.12.1."""
    return [(int(word or 0), rest) for word, rest in re.findall(r"(\d*)(\D*)", version)]


def _module(path: Path) -> str:
    """The name as the kernel has it: of virtio-net.ko.xz virtio_net."""
    return path.name.partition(".ko")[0].replace("-", "_")


def _unpacked(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
