"""How the base of a suite is made of Debian's packages: by mmdebstrap."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from invirt.base.process import run

MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
TIMEOUT = 3600  # seconds; a minute with a mirror that is near
_CUSTOMIZE = Path(__file__).with_name("customize")
_PACKAGES = (
    *(
        "systemd-sysv",
        "systemd-resolved",
        "systemd-timesyncd",
        "dbus",
        "linux-image-cloud-amd64",
        "grub-pc-bin",
    ),
    *("openssh-server", "unattended-upgrades", "iproute2", "iputils-ping", "ca-certificates", "less", "nano"),
)
# Debian's documents but for who has written what, and other languages: a third of the base.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True)
class Recipe:
    """A distribution's release; suite: as its mirrors call it.

    mirror and security: their URLs, which the machines have in their sources.list, too.
    """

    suite: str
    mirror: str = MIRROR
    security: str = SECURITY

    def words(self, to: Path) -> list[str]:
        """The command line that writes the base to a tar archive."""
        options = ['--aptopt=Apt::Install-Recommends "false"', "--dpkgopt=force-unsafe-io"]
        options += [f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT]
        options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
        options += [f"--include={','.join(_PACKAGES)}", f'--customize-hook=sh {_CUSTOMIZE} "$1"']
        return [
            *("mmdebstrap", "--variant=minbase", "--mode=root", "--format=tar", "--quiet", *options),
            *(self.suite, str(to), *self._sources()),
        ]

    def _sources(self) -> list[str]:
        """Lines of sources.list."""
        return [
            f"deb {self.mirror} {self.suite} main",
            f"deb {self.mirror} {self.suite}-updates main",
            f"deb {self.security} {self.suite}-security main",
        ]


RECIPES = {"debian-12": Recipe("bookworm"), "debian-13": Recipe("trixie")}


def make(recipe: Recipe, to: Path, epoch: int) -> None:
    """Write the base to a tar archive in which nothing is later than epoch (seconds of Unix' time).

    The same packages at the same epoch give the same bytes.
    """
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(epoch)}
    run(recipe.words(to), timeout=TIMEOUT, env=env)
