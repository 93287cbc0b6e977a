"""Which kernel is taken, and what is refused."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from invirt.base.errors import InvirtError, NotFound
from invirt.kernel import build, image
from invirt.kernel.source import newest
from tests.unit.kernel.kernels import NOTE, bzimage, installed


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (("6.1.0-56-amd64", "6.1.0-56-cloud-amd64"), "6.1.0-56-cloud-amd64"),
        (("6.1.0-9-cloud-amd64", "6.1.0-10-cloud-amd64"), "6.1.0-10-cloud-amd64"),
        (("6.9.7+deb13-amd64", "6.12.48+deb13-amd64"), "6.12.48+deb13-amd64"),
        (("6.1.0-9-cloud-amd64", "6.1.0-10-amd64"), "6.1.0-10-amd64"),  # what lags behind may have holes
        (("6.1.0-9-amd64", "6.1.0-10-rt-amd64", "6.8.12-4-pve"), "6.1.0-9-amd64"),
    ],
)
def test_the_newest_is_taken(there: tuple[str, ...], taken: str, tmp_path: Path) -> None:
    assert newest(installed(tmp_path, *there)).version == taken


def test_nothing_installed_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no kernel of Debian's") as caught:
        build.make(tmp_path, tmp_path / "made")
    assert "apt-get install" in caught.value.hint


def test_what_is_made(tmp_path: Path) -> None:
    """Both names lead to one build, in which nothing depends on who makes it when."""
    root, made = installed(tmp_path / "root", "6.1.0-9-amd64"), tmp_path / "made"
    assert build.make(root, made) == f"{made} is of 6.1.0-9-amd64 now"
    assert build.make(root, made) == f"{made} is of 6.1.0-9-amd64 already"
    assert build.version(made) == "6.1.0-9-amd64"
    assert (made / "vmlinuz").read_bytes().endswith(b"6.1.0-9-amd64")
    before = (made / "initrd").read_bytes()
    assert before.count(b"modules/virtio_net.ko\0") == 1 and b"modules/virtio.ko\0" not in before
    build.make(root, tmp_path / "again")
    assert (tmp_path / "again/initrd").read_bytes() == before


def test_the_build_before_the_last_goes(tmp_path: Path) -> None:
    root, made = tmp_path / "root", tmp_path / "made"
    for version in ("6.1.0-1-amd64", "6.1.0-2-amd64", "6.1.0-3-amd64"):
        build.make(installed(root, version), made)
    left = sorted((folder / "version").read_text() for folder in made.iterdir() if folder.is_dir())
    assert set(left) == {"6.1.0-2-amd64\n", "6.1.0-3-amd64\n"}


def test_a_kernel_that_would_not_boot_leaves_the_old_one(tmp_path: Path) -> None:
    root, made = installed(tmp_path / "root", "6.1.0-1-amd64"), tmp_path / "made"
    build.make(root, made)
    installed(root, "6.1.0-2-amd64")
    new = root / "boot/vmlinuz-6.1.0-2-amd64"
    for wrong in (b"", b"nothing" * 200, bzimage(b"\x7fELF without a note"), bzimage(b"MZ" + NOTE)):
        new.write_bytes(wrong)
        with pytest.raises(InvirtError):
            build.make(root, made)
    new.write_bytes(bzimage(b"\x7fELF" + NOTE))
    next((root / "usr/lib/modules/6.1.0-2-amd64").rglob("virtio-net.ko.xz")).unlink()
    with pytest.raises(InvirtError, match="no module virtio_net"):
        build.make(root, made)
    assert build.version(made) == "6.1.0-1-amd64"


def test_an_xz_kernel_is_unpacked() -> None:
    kernel = b"\x7fELF" + NOTE
    assert image.uncompressed(bzimage(lzma.compress(kernel) + b"size")) == kernel
