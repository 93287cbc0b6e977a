"""The servers' file systems: a Debian base, and a layer of Debian's packages a role.

Each is a folder in the cache, in the one of its release, named by a hash of
what it was made from, built under another name and renamed when it is
complete.  A server's root is an overlay: its own tmpfs over the role's layer
over the base.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invirt.base.process import run
from invirt_lab.host import ALONE, CACHE
from invirt_lab.site import RELEASE, RELEASES

_PACKAGES = (
    *("systemd-sysv", "dbus", "iproute2", "iputils-ping", "ca-certificates"),
    *("krb5-user", "python3", "logrotate"),
)
_RECIPE = "2"  # change it when the recipes below change
_LEAN = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "console-getty.service",
    "systemd-modules-load.service",
)


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join((_RECIPE, *parts)).encode()).hexdigest()[:16]


def _machine_apt_options() -> list[str]:
    """How this machine reaches its mirror: proxies and checks of dates."""
    names = ("Acquire::http", "Acquire::https", "Acquire::Check-Valid-Until", "Acquire::Check-Date")
    lines = run(["apt-config", "dump", *names]).stdout.splitlines()
    return [line.rstrip(";") for line in lines if not line.endswith('"";')]


def base(release: int = RELEASE) -> Path:
    """The folder of what all servers of a Debian release have, made if it isn't cached."""
    suite = RELEASES[release]
    done = CACHE / suite / f"base-{_key(*_PACKAGES, *_LEAN, *_MASKED)}"
    with _made(done) as new:
        if new:
            _bootstrap(suite, new)
    return done


def _bootstrap(suite: str, new: Path) -> None:
    apt_options = (*_machine_apt_options(), 'Apt::Install-Recommends "false"')
    options = [f"--aptopt={option}" for option in apt_options]
    options += [f"--dpkgopt=path-exclude={path}" for path in _LEAN]
    options += ["--dpkgopt=force-unsafe-io", f"--include={','.join(_PACKAGES)}"]
    make = ["mmdebstrap", "--variant=minbase", "--mode=root", "--skip=check/empty", "--quiet"]
    run([*ALONE, *make, *options, suite, str(new)], timeout=600)
    for unit in _MASKED:
        (new / "etc/systemd/system" / unit).symlink_to("/dev/null")


def layer(name: str, below: Path, packages: list[str], archive: str = "") -> Path:
    """The folder of what installing Debian's packages adds to the base below: DONE/upper.

    archive: nothing is installed; an apt archive of what would be is in this folder.
    """
    with kept(name, below, *filter(None, [archive]), *sorted(packages)) as (done, new):
        if new:
            for folder in ("upper", "work", "root"):
                (new / folder).mkdir()
            script = Path(__file__).with_name("make-layer")
            run([*ALONE, "sh", str(script), str(below), str(new), archive, *sorted(packages)], timeout=600)
            shutil.rmtree(new / "work")
            if archive:
                _index(new / f"upper{archive}")
    return done


def _index(folder: Path) -> None:
    """Tell apt what is in a folder of packages."""
    known = run(["env", f"--chdir={folder}", "dpkg-scanpackages", "--multiversion", "."], timeout=120)
    (folder / "Packages").write_text(known.stdout)


@contextmanager
def kept(name: str, below: Path, *parts: str) -> Iterator[tuple[Path, Path | None]]:
    """The folder beside below for what is made of it and of these parts; and, where it is not there yet, an
    empty one to be filled, which then becomes it."""
    done = below.with_name(f"{name}-{_key(below.name, *parts)}")
    with _made(done) as new:
        yield done, new


@contextmanager
def _made(done: Path) -> Iterator[Path | None]:
    """None where done is there; else an empty folder to be filled, which then becomes done.

    Whoever wants the same at the same time waits.  What done replaces is removed.
    """
    done.parent.mkdir(parents=True, exist_ok=True)
    name = done.name.rpartition("-")[0]
    with done.with_name(f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.is_dir():
            yield None
            return
        new = done.with_name(f".{name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        yield new
        new.rename(done)
        for old in done.parent.glob(f"{name}-*"):
            if old != done:
                shutil.rmtree(old)
