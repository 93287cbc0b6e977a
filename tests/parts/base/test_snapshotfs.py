"""The snapshot file system, mounted for real, in a process of its own."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fusepy
import pytest

from invirt.base import snapshotfs

pytestmark = pytest.mark.skipif(
    not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="/dev/fuse can't be opened"
)
DEADLINE = 20.0  # seconds: a hundred times what anything here takes

# Serves what lies in a plain folder; a file named "broken" there makes every answer fail.
SERVER = """
import sys
from pathlib import Path
from invirt.base import snapshotfs

class Folder:
    def __init__(self, root):
        self.root = Path(root)
    def at(self, path):
        if (self.root / "broken").exists():
            raise ConnectionError("no answer")
        return self.root / path.lstrip("/")
    def is_folder(self, path):
        there = self.at(path)
        return there.is_dir() if there.exists() else None
    def list(self, path):
        return (entry.name for entry in self.at(path).iterdir())
    def content(self, path):
        return self.at(path).read_bytes()

snapshotfs.mount(Folder(sys.argv[1]), Path(sys.argv[2]), "test-fs")
"""


class Served:
    """A mounted file system: where its truth lies, where it is seen, and its process."""

    def __init__(self, folder: Path) -> None:
        self.truth, self.seen = folder / "truth", folder / "seen"
        (self.truth / "acl").mkdir(parents=True)
        (self.truth / "conf").write_bytes(b"first\n")
        (self.truth / "acl/remus").write_bytes(b"alice@INVIRT.TEST\n")
        self.notified = folder / "notify"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process and wait until it says READY=1 as systemd would hear it."""
        self.notified.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            listening.bind(str(self.notified))
            listening.settimeout(DEADLINE)
            process = subprocess.Popen(
                [sys.executable, "-c", SERVER, str(self.truth), str(self.seen)],
                env={**os.environ, "NOTIFY_SOCKET": str(self.notified)},
            )
            assert listening.recv(100) == b"READY=1"
        return process

    def end(self) -> None:
        """Whatever state it is in, leave neither process nor mount."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(DEADLINE)
        snapshotfs.sweep(self.seen)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.end()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def error_of(path: Path) -> int | None:
    try:
        path.read_bytes()
    except OSError as error:
        return error.errno
    return None


def test_content_and_lists_are_live(served: Served) -> None:
    assert (served.seen / "conf").read_bytes() == b"first\n"
    assert sorted(os.listdir(served.seen)) == ["acl", "conf"]
    (served.truth / "conf").write_bytes(b"second, and longer\n")
    (served.truth / "acl/romulus").write_bytes(b"")
    assert (served.seen / "conf").read_bytes() == b"second, and longer\n"
    assert sorted(os.listdir(served.seen / "acl")) == ["remus", "romulus"]
    (served.truth / "acl/remus").unlink()
    assert error_of(served.seen / "acl/remus") == errno.ENOENT


def test_a_reader_sees_one_snapshot(served: Served) -> None:
    old = b"".join(b"%08d old\n" % number for number in range(100_000))
    (served.truth / "conf").write_bytes(old)
    with (served.seen / "conf").open("rb", buffering=0) as reader:
        start = reader.read(4096)
        (served.truth / "conf").write_bytes(b"new\n")
        assert start + reader.read() == old
    assert (served.seen / "conf").read_bytes() == b"new\n"


def test_no_answer_closes_the_door_in_open(served: Served) -> None:
    with (served.seen / "conf").open("rb") as before:
        (served.truth / "broken").touch()
        with pytest.raises(OSError, match="Input/output error") as caught:
            os.open(served.seen / "conf", os.O_RDONLY)
        assert caught.value.errno == errno.EIO
        assert error_of(served.seen / "acl/remus") == errno.EIO
        with pytest.raises(OSError, match="Input/output error"):
            os.listdir(served.seen)
        assert before.read() == b"first\n"
    (served.truth / "broken").unlink()
    assert error_of(served.seen / "conf") is None


def test_nobody_writes(served: Served) -> None:
    for attempt in (
        lambda: (served.seen / "conf").write_bytes(b"x"),
        lambda: (served.seen / "new").write_bytes(b"x"),
        (served.seen / "conf").unlink,
        (served.seen / "folder").mkdir,
        lambda: (served.seen / "conf").chmod(0o777),
    ):
        with pytest.raises(OSError, match="Read-only file system"):
            attempt()


def test_many_readers_at_once_each_see_one_whole_state(served: Served) -> None:
    states = [letter * 300_000 for letter in (b"a", b"b", b"c")]
    (served.truth / "conf").write_bytes(states[0])
    seen: list[bytes] = []

    def read() -> None:
        seen.extend((served.seen / "conf").read_bytes() for _ in range(10))

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for state in states:
            new = served.truth / "conf.new"
            new.write_bytes(state)
            new.rename(served.truth / "conf")
    for thread in threads:
        thread.join(DEADLINE)
    assert len(seen) == 160
    assert all(content in states for content in seen)


def test_snapshots_are_freed(served: Served) -> None:
    (served.truth / "conf").write_bytes(bytes(8 * 2**20))

    def resident() -> int:
        status = Path(f"/proc/{served.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) // 1024

    for _ in range(5):
        assert len((served.seen / "conf").read_bytes()) == 8 * 2**20
    before = resident()
    for _ in range(20):
        assert len((served.seen / "conf").read_bytes()) == 8 * 2**20
    assert resident() - before < 80  # MiB; 20 snapshots that stayed would be 160


def test_blocks_are_big(served: Served) -> None:
    assert os.stat(served.seen / "conf").st_blksize == snapshotfs.BLOCK


def test_sigterm_unmounts(served: Served) -> None:
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(DEADLINE) == 0
    assert not os.path.ismount(served.seen)
    assert os.listdir(served.seen) == []


def test_unmounting_ends_the_process_and_closes_the_door(served: Served) -> None:
    subprocess.run(["umount", str(served.seen)], check=True, timeout=DEADLINE)
    assert served.process.wait(DEADLINE) == 0
    assert error_of(served.seen / "conf") == errno.ENOENT


def test_a_killed_one_closes_the_door_and_the_next_sweeps_it(served: Served) -> None:
    reader = os.open(served.seen / "conf", os.O_RDONLY)  # it is still in use
    served.process.kill()
    served.process.wait(DEADLINE)
    wait_until(lambda: error_of(served.seen / "conf") == errno.ENOTCONN)
    served.process = served.start()
    with contextlib.suppress(OSError):
        os.close(reader)
    assert (served.seen / "conf").read_bytes() == b"first\n"
    mounts = Path("/proc/self/mountinfo").read_text().count(f" {served.seen} ")
    assert mounts == 1


def test_only_operations_are_named_as_operations() -> None:
    """fusepy takes any attribute with an operation's name for that operation."""
    names = {name for name, *_ in fusepy.fuse_operations._fields_}
    assert not names & set(vars(snapshotfs.SnapshotFS(None, "test")))  # type: ignore[arg-type]


def test_what_can_not_be_mounted_is_said(tmp_path: Path) -> None:
    """A file is no mount point."""
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(tmp_path), str(tmp_path / "file")],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    assert done.returncode == 1
    assert "is no folder" in done.stderr


def test_what_it_does_not_have_is_no_error(served: Served) -> None:
    """ls -l asks each file for attributes, cp -a would set them."""
    done = subprocess.run(
        ["ls", "-lZ", str(served.seen)], capture_output=True, text=True, check=True, timeout=DEADLINE
    )
    assert "conf" in done.stdout
    assert done.stderr == ""
    for ask in (
        lambda: os.getxattr(served.seen / "conf", "user.x"),
        lambda: os.setxattr(served.seen / "conf", "user.x", b""),
    ):
        with pytest.raises(OSError, match=r".") as raised:
            ask()
        assert raised.value.errno in (errno.ENOTSUP, errno.EROFS)


def test_libfuse_is_found_before_ldconfig_has_run() -> None:
    blind = "import ctypes.util; ctypes.util.find_library = lambda name: None; import invirt.base.snapshotfs"
    subprocess.run([sys.executable, "-c", blind], check=True, timeout=DEADLINE)
