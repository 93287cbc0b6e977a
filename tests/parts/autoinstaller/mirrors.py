"""A mirror of nobody's distribution: Debian's packages under another suite, signed by a key of the test's."""

from __future__ import annotations

import functools
import gzip
import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from invirt.autoinstaller import recipes
from tests.parts.autoinstaller.serving import Inside

PARTS = ("", "-updates", "-security")  # of a suite, as a base's sources name them
COMPONENT = "universe"
NAME, SUITE = "nobody-24-04", "noble"
HOST = "10.0.2.2"  # as a guest's QEMU calls the computer that it runs on
URL = f"http://{HOST}:8180/mirror"
NOWHERE = "http://nowhere.invirt.test/debian"  # of a recipe, where another mirror is to stand for its own
# What a machine must have to boot, and to be logged in to; emulated, each package more takes seconds.
FEW = (
    *("systemd-sysv", "systemd-resolved", "systemd-timesyncd", "dbus", "linux-image-cloud-amd64"),
    *("grub-pc-bin", "openssh-server"),
)
MINIMAL = ("?essential", "?priority(required)", "apt")  # what a system has anyway
_TIMEOUT = 300  # seconds
_OPTIONS = ("APT::Sandbox::User=root", "APT::Install-Recommends=false")


@dataclass(frozen=True)
class Mirror:
    """One in a folder that is served; suite: what it calls its release.  home: of its key."""

    folder: Path
    suite: str
    home: Path

    @property
    def keyring(self) -> Path:
        """The public key, where apt's own user reads it."""
        return self.home.with_suffix(".gpg")

    def publish(self, part: str, packages: Path) -> None:
        """Offer the packages of a folder in a part of the suite, and sign what there is."""
        name = f"{self.suite}{part}"
        pool = self.folder / "pool" / name
        shutil.copytree(packages, pool, dirs_exist_ok=True)
        pool.chmod(0o755)  # not as its model is, which may be a test's alone
        words = ["dpkg-scanpackages", "--multiversion", f"pool/{name}"]
        listed = subprocess.run(
            words, cwd=self.folder, check=True, capture_output=True, timeout=_TIMEOUT
        ).stdout
        release = self.folder / "dists" / name
        index = release / COMPONENT / "binary-amd64"
        index.mkdir(parents=True, exist_ok=True)
        (index / "Packages").write_bytes(listed)
        (index / "Packages.gz").write_bytes(gzip.compress(listed, mtime=0))
        self._sign(release, name)

    def _sign(self, release: Path, name: str) -> None:
        sums = "".join(_sum(release, file) for file in sorted(release.glob(f"{COMPONENT}/*/Packages*")))
        date = time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime())
        text = (
            f"Origin: Nobody\nSuite: {name}\nCodename: {name}\nDate: {date}\n"
            f"Architectures: amd64\nComponents: {COMPONENT}\nSHA256:\n{sums}"
        )
        words = [*_gpg(self.home), "--clearsign", "--output", str(release / "InRelease")]
        subprocess.run(words, check=True, input=text.encode(), timeout=_TIMEOUT)
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=True, timeout=60)


def _sum(release: Path, file: Path) -> str:
    data = file.read_bytes()
    return f" {hashlib.sha256(data).hexdigest()} {len(data)} {file.relative_to(release)}\n"


def empty(folder: Path, suite: str, home: Path) -> Mirror:
    """An empty one, with a key of its own."""
    home.mkdir(mode=0o700)
    made = Mirror(folder, suite, home)
    gpg = _gpg(home)
    subprocess.run(
        [*gpg, "--quick-generate-key", "Nobody", "ed25519", "sign", "never"], check=True, timeout=_TIMEOUT
    )
    subprocess.run([*gpg, "--export", "--output", str(made.keyring)], check=True, timeout=_TIMEOUT)
    nothing = home / "none"
    nothing.mkdir()
    for part in PARTS:
        made.publish(part, nothing)
    return made


@functools.cache
def _state() -> tempfile.TemporaryDirectory[str]:
    """An apt's state that knows what the release that runs here has today, and nothing of this machine."""
    made = tempfile.TemporaryDirectory(prefix="apt.")
    for folder in ("lists/partial", "archives/partial"):
        Path(made.name, folder).mkdir(parents=True)
    Path(made.name, "status").touch()
    subprocess.run([*_apt("apt-get", made.name), "-q", "-q", "update"], check=True, timeout=_TIMEOUT)
    return made


def _apt(program: str, state: str) -> list[str]:
    told = (f"Dir::State={state}", f"Dir::State::status={state}/status", f"Dir::Cache={state}")
    return [program, *(word for one in (*told, *_OPTIONS) for word in ("-o", one))]


def download(to: Path, packages: Sequence[str]) -> None:
    """Fetch packages, each NAME, NAME=VERSION or one of apt's patterns, and what they need."""
    to.mkdir(exist_ok=True)
    apt = _apt("apt-get", _state().name)
    words = [*apt, "-q", "-y", "--download-only", "install", *packages]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=_TIMEOUT)
    for package in Path(_state().name, "archives").glob("*.deb"):
        shutil.move(package, to)


def versions(package: str) -> list[str]:
    """Those there are of a package, the newest first."""
    words = [*_apt("apt-cache", _state().name), "madison", package]
    shown = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout
    return list(dict.fromkeys(line.split("|")[1].strip() for line in shown.splitlines()))


def image_of(kernel: str, version: str) -> str:
    """The package that a version of the kernel's own depends on: NAME=VERSION."""
    words = [*_apt("apt-cache", _state().name), "show", f"{kernel}={version}"]
    shown = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout
    [depends] = [line for line in shown.splitlines() if line.startswith("Depends:")]
    return f"{depends.split()[1]}={version}"


def _gpg(home: Path) -> list[str]:
    return ["gpg", "--homedir", str(home), "--batch", "--quiet", "--yes", "--passphrase", ""]


def own(folder: Path, keyring: Path, url: str = URL, ahead: bool = True) -> recipes.Recipe:
    """What an administrator writes into a file of /etc/invirt/bases, as it is read."""
    folder.mkdir(exist_ok=True)
    (folder / f"{NAME}.yaml").write_text(
        f"suite: {SUITE}\nmirror: {url}\nsecurity: {url}\nkeyring: {keyring}\ncomponents: [{COMPONENT}]\n"
        f"ahead: {str(ahead).lower()}\n"
    )
    return recipes.recipe(NAME, folder)


def here(inside: Inside) -> None:
    """The address that guests know, for who makes the base, too."""
    words = ["ip", "address", "add", f"{HOST}/32", "dev", "lo"]
    inside(lambda: subprocess.run(words, check=True, timeout=10))
