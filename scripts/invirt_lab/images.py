"""The servers' file systems: a Debian base, and a layer of Debian's packages a role.

Each is a folder in the cache, named by a hash of what it was made from, built
under another name and renamed when it is complete.  A server's root is an
overlay: its own tmpfs over the role's layer over the base.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from invirt.base.process import run
from invirt_lab.host import ALONE, CACHE

SUITE = "bookworm"
_PACKAGES = (
    *("systemd-sysv", "dbus", "iproute2", "iputils-ping", "ca-certificates"),
    *("krb5-user", "python3", "logrotate"),
)
_RECIPE = "1"  # change it when the recipes below change
_LEAN = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "console-getty.service",
)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join((_RECIPE, SUITE, *parts)).encode()).hexdigest()[:16]


def _machine_apt_options() -> list[str]:
    """How this machine reaches its mirror: proxies and checks of dates."""
    names = ("Acquire::http", "Acquire::https", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
    lines = run(["apt-config", "dump", *names]).stdout.splitlines()
    return [line.rstrip(";") for line in lines if not line.endswith('"";')]


def base(suite: str = SUITE, packages: tuple[str, ...] = _PACKAGES) -> Path:
    """The folder of a Debian with packages, made if it isn't cached; by default the servers' base."""
    apt_options = _machine_apt_options()
    name = "base" if suite == SUITE else suite
    done = CACHE / f"{name}-{_key(suite, *packages, *_LEAN, *_MASKED)}"
    if done.is_dir():
        return done
    new = _fresh(done)
    options = [f"--aptopt={option}" for option in (*apt_options, 'Apt::Install-Recommends "false"')]
    options += [f"--dpkgopt=path-exclude={path}" for path in _LEAN]
    options += ["--dpkgopt=force-unsafe-io", f"--include={','.join(packages)}"]
    make = ["mmdebstrap", "--variant=minbase", "--mode=root", "--skip=check/empty", "--quiet"]
    run([*ALONE, *make, *options, suite, str(new)], timeout=600)
    for unit in _MASKED:
        (new / "etc/systemd/system" / unit).symlink_to("/dev/null")
    return _finish(new, done)


def layer(name: str, below: Path, packages: list[str]) -> Path:
    """The folder of what installing Debian's packages adds to the base below."""
    done = CACHE / f"{name}-{_key(below.name, *sorted(packages))}"
    if done.is_dir():
        return done
    new = _fresh(done)
    for folder in ("upper", "work", "root"):
        (new / folder).mkdir()
    script = Path(__file__).with_name("make-layer")
    run([*ALONE, "sh", str(script), str(below), str(new), *sorted(packages)], timeout=600)
    shutil.rmtree(new / "work")
    return _finish(new, done)


def _fresh(done: Path) -> Path:
    """An empty folder beside done, whatever an earlier try left there."""
    new = done.with_name(f"{done.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    return new


def _finish(new: Path, done: Path) -> Path:
    """Rename new to done, and remove what it replaces."""
    new.rename(done)
    for old in CACHE.glob(f"{done.name.rsplit('-', 1)[0]}-*"):
        if old != done:
            shutil.rmtree(old)
    return done
