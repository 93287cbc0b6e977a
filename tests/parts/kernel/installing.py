"""A place for the installer's script to run in without a guest: its ramdisk, a disk of a file, and a server.

    with place(ramdisk, folder) as here, serving(folder) as server:
        said = here.install(server.parameters())

The script and the programs are those of the ramdisk, unchanged but for the network, which is this
machine's; the base is one of a few files.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.parts.waiting import until
from tests.unit.kernel.kernels import members

MIB = 1024 * 1024
PATH = {"PATH": "/bin:/usr/sbin"}
PARAMETERS = "sys/firmware/qemu_fw_cfg/by_name/opt/org.invirt.install/raw"
BOOT, CORE = b"boot" * 128, b"core" * 512  # of a loader; the first is a whole sector
# What the new system has of programs: they tell what they were called with.
SOURCES = """\
deb http://deb.debian.org/debian bookworm main

deb http://deb.debian.org/debian bookworm-updates main

deb http://deb.debian.org/debian-security bookworm-security main
"""
CHPASSWD = "#!/bin/sh\nread line; echo $line >/etc/shadow\n"
KEYGEN = '#!/bin/sh\n[ $1 = -l ] && echo "256 SHA256:x (X)" || touch "${9}"\n'


@dataclass
class Place:
    """root: the ramdisk, unpacked.  disk: the file behind /dev/vda."""

    root: Path
    disk: Path

    def install(self, parameters: str) -> str:
        """What the installer says, errors among it, to the end; mounts are gone then."""
        for left in (self.root / "tmp").iterdir():  # a guest begins with an empty one
            left.unlink()
        (self.root / PARAMETERS).parent.mkdir(parents=True, exist_ok=True)
        (self.root / PARAMETERS).write_text(parameters)
        done = subprocess.run(
            self._words(), check=False, timeout=120, env=PATH, capture_output=True, text=True
        )
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == ("invirt-install: 100% done" in said), said
        return said

    def cut(self, parameters: str, words: str) -> None:
        """Have it begin, and end all of it at once when it says the words."""
        (self.root / PARAMETERS).parent.mkdir(parents=True, exist_ok=True)
        (self.root / PARAMETERS).write_text(parameters)
        with subprocess.Popen(self._words(), stdout=subprocess.PIPE, text=True, env=PATH) as process:
            assert process.stdout
            assert any(words in line for line in process.stdout)
            process.kill()

    def _words(self) -> list[str]:
        """The installer, with all that it begins gone when it ends."""
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return [*alone, "chroot", str(self.root), "/bin/sh", "/install/main"]

    @contextmanager
    def installed(self) -> Iterator[Path]:
        """The installed file system, to be looked at."""
        target = self.root.parent / "installed"
        target.mkdir(exist_ok=True)
        mount = ["mount", "-o", "ro,noload", str(self.root / "dev/vda1"), str(target)]
        # A process of the installer's may last some seconds more, and with it its mount.
        until(lambda: subprocess.run(mount, check=False, capture_output=True).returncode == 0)
        try:
            yield target
        finally:
            subprocess.run(["umount", target], check=True)


@contextmanager
def place(ramdisk: Path, folder: Path, mebibytes: int = 128) -> Iterator[Place]:
    """A place whose disk has that size, and is empty."""
    root, disk = folder / "root", folder / "disk"
    unpack(ramdisk.read_bytes(), root)
    busybox = root / "bin/busybox"
    subprocess.run([busybox, "--install", "-s", root / "bin"], check=True, capture_output=True)
    for link in (root / "bin").iterdir():
        if link.is_symlink():
            link.unlink()
            link.symlink_to("busybox")
    (root / "install/network").write_text("get_address() { :; }\n")
    base = root / "install/base"
    base.write_text(base.read_text().replace("pause=3", "pause=0"))
    with disk.open("wb") as file:
        file.truncate(mebibytes * MIB)
    for device in ("null", "zero", "random", "urandom"):
        os.mknod(root / "dev" / device, 0o666 | stat.S_IFCHR, os.stat(f"/dev/{device}").st_rdev)
    (root / "proc/sys/kernel/random").mkdir(parents=True)
    (root / "proc/sys/kernel/random/uuid").write_text("0b7c9a4e-0001-4000-8000-000000000001\n")
    loops = []
    try:
        for name, offset in (("vda", 0), ("vda1", MIB)):
            words = ["losetup", "--find", "--show", "--offset", str(offset), str(disk)]
            loops.append(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())
            os.mknod(root / "dev" / name, 0o600 | stat.S_IFBLK, os.stat(loops[-1]).st_rdev)
        yield Place(root, disk)
    finally:
        for loop in loops:
            subprocess.run(["losetup", "--detach", loop], check=True)


def unpack(archive: bytes, root: Path) -> None:
    """The folders, files and links of a cpio archive."""
    root.mkdir()
    for name, mode, _, data in members(archive):
        path = root / name
        if stat.S_ISDIR(mode):
            path.mkdir()
        elif stat.S_ISLNK(mode):
            path.symlink_to(data.decode())
        elif stat.S_ISREG(mode) and name != "TRAILER!!!":
            path.write_bytes(data)
            path.chmod(mode & 0o7777)


@dataclass
class Server:
    """Serves the files of a base, and can be told to break off.

    parts: bytes after which a connection is closed, one after the other; asked: the
    ranges that were asked for.
    """

    files: dict[str, bytes]
    keyring: bytes
    port: int = 0
    parts: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def parameters(self, **changed: str) -> str:
        """Parameters for a machine that is to have this base."""
        known = {
            "hostname": "remus",
            "name": "debian-12",
            "architecture": "amd64",
            "url": f"http://127.0.0.1:{self.port}/debian-12",
            "password": "$6$salt$hash",
            "keyring": base64.b64encode(self.keyring).decode(),
            "key": "ssh-ed25519 AAAAC3Nz alice@example.org",
        }
        return "".join(f"{name} {value}\n" for name, value in (known | changed).items())


class _Handler(BaseHTTPRequestHandler):
    told: Server

    def do_GET(self) -> None:
        data = self.told.files.get(self.path.rpartition("/")[2])
        if data is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        if asked:
            self.told.asked.append(asked)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        most = self.told.parts.pop(0) if self.told.parts and ".tar" in self.path else len(data)
        self.wfile.write(data[start : start + most])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(ramdisk_root: Path, folder: Path) -> Iterator[Server]:
    """A server of a small base, made and signed here with the ramdisk's tar and zstd."""
    system(ramdisk_root, tree := ramdisk_root / "tree")
    base = packed(ramdisk_root)
    shutil.rmtree(tree)
    keyring, manifest = signed(listed(base), folder / "gnupg")
    server = Server({"manifest.asc": manifest, "base.tar.zst": base}, keyring)
    handler = type("Handler", (_Handler,), {"told": server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as daemon:
        server.port = daemon.server_address[1]
        Thread(target=daemon.serve_forever, daemon=True).start()
        yield server
        daemon.shutdown()


def system(ramdisk_root: Path, tree: Path) -> None:
    """The few files of a base."""
    for name in ("etc/ssh", "etc/apt", "root", "boot/grub", "usr/sbin", "usr/bin", "bin"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(ramdisk_root / "bin/busybox", tree / "bin/busybox")
    for name in ("sh", "touch"):
        (tree / "bin" / name).symlink_to("busybox")
    for name, text in (("usr/sbin/chpasswd", CHPASSWD), ("usr/bin/ssh-keygen", KEYGEN)):
        (tree / name).write_text(text)
        (tree / name).chmod(0o755)
    (tree / "etc/apt/sources.list").write_text(SOURCES)
    (tree / "boot/grub/boot.img").write_bytes(BOOT)
    (tree / "boot/grub/core.img").write_bytes(CORE)
    (tree / "filler").write_bytes(os.urandom(MIB))


def packed(ramdisk_root: Path) -> bytes:
    """The tree in there, by the ramdisk's programs."""
    pack = "cd /tree && /usr/bin/tar -c . | /usr/bin/zstd -q -1"
    words = ["chroot", ramdisk_root, "/bin/sh", "-c", pack]
    return subprocess.run(words, check=True, capture_output=True).stdout


def listed(base: bytes, **changed: str) -> str:
    """The list that tells of a base."""
    known = {
        "name": "debian-12",
        "suite": "bookworm",
        "architecture": "amd64",
        "file": "base.tar.zst",
        "size": str(len(base)),
        "sha256": hashlib.sha256(base).hexdigest(),
        "unpacked": str(4 * MIB),
    }
    return "".join(f"{name} {value}\n" for name, value in (known | changed).items())


def signed(text: str, home: Path) -> tuple[bytes, bytes]:
    """The public key, made at the first time, and text signed by it."""
    home.mkdir(mode=0o700, exist_ok=True)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", ""]
    if not (home / "pubring.kbx").exists():
        subprocess.run([*gpg, "--quick-generate-key", "base", "ed25519", "sign", "never"], check=True)
    done = subprocess.run([*gpg, "--clearsign"], check=True, capture_output=True, input=text.encode())
    key = subprocess.run([*gpg, "--export"], check=True, capture_output=True).stdout
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)
    return key, done.stdout
