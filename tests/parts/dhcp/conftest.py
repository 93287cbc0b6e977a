"""A real Kea, of Debian 12 or 13, configured by our own template, on this test's database."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from invirt import config
from invirt.base import templates
from invirt_lab import images
from tests.parts.database.rows import site
from tests.parts.dhcp.network import DEADLINE, ROOT, SERVER, Network
from tests.parts.postgres import Database
from tests.parts.realm import end

TEMPLATE = ROOT / "invirt-dhcp/files/etc/kea/invirt-dhcp4.conf.mako"
PROGRAM = ROOT / "invirt-dhcp/sbin/invirt-kea-dhcp4"
SITE = f"""\
network: {{dns: [10.86.0.6]}}
dhcp: {{servers: [{SERVER}], lease: 60}}
"""
# In a mount namespace of its own: Debian 13's files, and what it sees of ours.
TRIXIE = """\
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/root" "$1/up" "$1/work"
mount -t overlay -o "lowerdir=$2:$3,upperdir=$1/up,workdir=$1/work" overlay "$1/root"
mount -t proc proc "$1/root/proc"
mount --bind /dev "$1/root/dev"
for folder in "$4" "$5"; do mkdir -p "$1/root$folder"; mount --bind "$folder" "$1/root$folder"; done
cp "$6" "$1/root/usr/sbin/invirt-kea-dhcp4"
root=$1/root; shift 6
exec chroot "$root" "$@"
"""


@dataclass
class Kea:
    """Kea on the server of a network.

    stock: its configuration in place of our template's; Kea then runs as it is.
    """

    network: Network
    database: Database
    prefix: list[str] = field(default_factory=list)  # before the command: into Debian 13
    stock: str = ""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says so."""
        folder = self.network.folder
        (folder / "kea.conf").write_text(self.stock or templates.render(TEMPLATE))
        log = self.network.server.log
        before = log.read_text().count("DHCP4_STARTED ") if log.exists() else 0
        ours = "invirt-kea-dhcp4" if self.prefix else str(PROGRAM)
        argv = [*self.prefix, "kea-dhcp4" if self.stock else ours]
        self.process = self.network.server.start(
            [*argv, "-c", str(folder / "kea.conf")],
            KEA_LOCKFILE_DIR=str(folder),
            KEA_PIDFILE_DIR=str(folder),
        )
        deadline = time.monotonic() + DEADLINE
        while log.read_text().count("DHCP4_STARTED ") == before:
            assert self.process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        if self.process:
            end(self.process)


def installed(release: int) -> list[Path]:
    """The layers of a Debian release with Kea, the topmost first; they are kept from run to run."""
    base = images.base(release)
    return [images.layer("kea", base, ["kea-dhcp4-server", "apparmor"]) / "upper", base]


# The lab has Kea of Debian 12.
@pytest.fixture(params=[pytest.param("Kea of Debian 12", marks=pytest.mark.nightly), "Kea of Debian 13"])
def kea(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, stack: ExitStack
) -> Iterator[Kea]:
    """Kea on a server, with two hosts beside it, for a site without machines."""
    site(database)
    database.execute(
        "INSERT INTO address_ranges (first, last, prefix, gateway)"
        " VALUES ('10.86.0.101', '10.86.0.140', 24, '10.86.0.1')"
    )
    database.config.write_text(database.config.read_text() + SITE)
    config.reload()
    prefix = []
    if request.param == "Kea of Debian 13":
        upper, base = installed(13)
        room = tmp_path / "trixie"
        room.mkdir()
        folders = [str(room), str(upper), str(base), database.socket, str(tmp_path)]
        prefix = ["unshare", "--mount", "sh", "-c", TRIXIE, "sh", *folders, str(PROGRAM)]
    elif not shutil.which("kea-dhcp4"):
        pytest.skip("apt install kea-dhcp4-server")
    network = Network(tmp_path, stack)
    network.host("host1", "10.86.0.11")
    network.host("host2", "10.86.0.12")
    server = Kea(network, database, prefix)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Ends what a test has started, the last first."""
    with ExitStack() as opened:
        yield opened
