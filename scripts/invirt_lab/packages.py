"""scripts/build-packages: build the source package and publish it in packages/.

The archive's key is made at the first run and stays in .archive-key, which is
never checked in; a site that has its own puts it there.  It is not in packages/,
which the lab's servers see.  Whom the key is of, by name and address, answers for
the packages: their Maintainer.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from invirt.base import cli
from invirt.base.errors import BadInput, InvirtError
from invirt.base.process import run
from invirt_lab import host, publisher
from invirt_lab.progress import say, step
from invirt_lab.site import RELEASES

ARCHIVE = host.TREE / "packages"
POOL = ARCHIVE / "pool"
KEYRING = ARCHIVE / "invirt-archive-keyring.gpg"
BEFORE = host.TREE / "tests/lab/before"  # the packages of the version before
_GNUPG = host.TREE / ".archive-key"
_GNUPG_BEFORE = ARCHIVE / ".gnupg"  # where servers could read it
_STAMP = ARCHIVE / ".published"
_BUILD = host.CACHE / "build"
_PERSON = re.compile(r"[^<>\n:\\]{1,100} <[^<>@\s:\\]{1,64}@[a-z0-9.-]{3,253}>")
_NOT_BUILT = ("docs/", "packages/", "tests/", "scripts/invirt_lab/", "scripts/lab", ".ci/")


def sources() -> list[Path]:
    """The files of this tree that git tracks or would: what the source package holds."""
    listed = run(
        ["git", "-C", str(host.TREE), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    )
    names = sorted(name for name in listed.stdout.split("\0") if name)
    return [Path(name) for name in names if (host.TREE / name).is_file() and not name.endswith(".deb")]


def key() -> str:
    """A hash of all that the binary packages are made from."""
    total = hashlib.sha256(repr(told()).encode())
    for name in sources():
        if not str(name).startswith(_NOT_BUILT) and name.suffix != ".md":
            mode = os.access(host.TREE / name, os.X_OK)
            total.update(f"{name}\0{mode}\0".encode())
            total.update((host.TREE / name).read_bytes())
    return total.hexdigest()


def maintainer() -> str:
    """NAME <ADDRESS> of who publishes the packages, if the archive's key says so; else nothing."""
    if not _GNUPG.is_dir():
        return ""
    listed = run(["gpg", f"--homedir={_GNUPG}", "--batch", "--quiet", "--with-colons", "--list-keys"]).stdout
    names = [line.split(":")[9] for line in listed.splitlines() if line.startswith("uid:")]
    return next(filter(_PERSON.fullmatch, names), "")


def told() -> dict[str, str]:
    """What debian/control is to say of who publishes, by the fields' names."""
    return publisher.fields(host.TREE, maintainer())


def version() -> str:
    """What the changelog's newest entry is for."""
    return run(["dpkg-parsechangelog", "-l", f"{host.TREE}/debian/changelog", "-S", "Version"]).stdout.strip()


def requirements() -> None:
    """Install what the build needs, where it is missing."""
    missing = ["git"] if not shutil.which("git") else []
    missing += [package for package in ("dpkg-dev", "reprepro", "gnupg") if not host.installed(package)]
    if missing:
        host.install(missing)
    tree = str(host.TREE)
    if run(["dpkg-checkbuilddeps", "-P", "nocheck", f"{tree}/debian/control"], check=False).returncode:
        with step("installing what the packages' build needs"):
            host.build_dependencies(tree)


def copy(folder: Path) -> Path:
    """A clean copy of the tree in folder, as a checkout anywhere would be; returns its path."""
    shutil.rmtree(folder, ignore_errors=True)
    stamp = int(run(["dpkg-parsechangelog", "-l", f"{host.TREE}/debian/changelog", "-S", "Timestamp"]).stdout)
    for name in sources():
        _copy(host.TREE / name, folder / "invirt" / name, stamp)
    control = folder / "invirt/debian/control"
    control.write_text(publisher.fill(control.read_text(), told()))
    os.utime(control, (stamp, stamp))
    return folder / "invirt"


def build(tree: Path) -> Path:
    """Build all packages of a clean copy, beside it; returns the .changes file."""
    environment = {**os.environ, "DEB_BUILD_OPTIONS": "nocheck", "DEB_BUILD_PROFILES": "nocheck"}
    command = ["dpkg-buildpackage", "--build=full", "--no-sign", "--no-check-builddeps"]
    run(["env", f"--chdir={tree}", *command], timeout=600, env=environment)
    return next(tree.parent.glob("*.changes"))


def _copy(source: Path, target: Path, stamp: int) -> None:
    """Copy a file with the mode and time that a checkout anywhere would give it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    os.utime(target, (stamp, stamp))


def make_key(named: str = "") -> None:
    """The archive's signing key and its public half, made if there is none; of whom that is named.

    Raises BadInput where there is another's.
    """
    gpg = ["gpg", f"--homedir={_GNUPG}", "--batch", "--quiet"]
    if _GNUPG_BEFORE.is_dir() and not _GNUPG.is_dir():
        _GNUPG_BEFORE.rename(_GNUPG)
    if not _GNUPG.is_dir():
        _GNUPG.mkdir(mode=0o700)
        user = named or "Invirt archive"
        run([*host.ALONE, *gpg, "--passphrase=", "--quick-generate-key", user, "ed25519", "sign", "never"])
    if named and maintainer() != named:
        raise BadInput(
            f"the archive's key is there, and not of {named}",
            f"gpg --homedir={_GNUPG} --quick-add-uid KEY '{named}' adds the name; KEY is in --list-keys.",
        )
    if not KEYRING.is_file():
        run([*host.ALONE, *gpg, f"--output={KEYRING}", "--export"])


def publish() -> None:
    """Build and publish, unless what is published was built from the same files."""
    built_from = key()
    if _STAMP.is_file() and _STAMP.read_text() == built_from:
        say("the archive holds the packages of this tree")
        return
    requirements()
    host.CACHE.mkdir(parents=True, exist_ok=True)
    with _BUILD.with_suffix(".lock").open("w") as lock:
        with step("building the packages"):
            fcntl.flock(lock, fcntl.LOCK_EX)  # another checkout may be building in the same folder
            changes = build(copy(_BUILD))
        with step("publishing them in the signed archive"):
            _include(changes)
    _STAMP.write_text(built_from)


def _include(changes: Path) -> None:
    """Put the packages into the archive, in place of those that are there."""
    make_key()
    reprepro = [*host.ALONE, "reprepro", "--silent", f"--basedir={ARCHIVE}", f"--gnupghome={_GNUPG}"]
    for suite in RELEASES.values():
        run([*reprepro, "removesrc", suite, "invirt"])
    for suite in RELEASES.values():  # the same packages: they fit either
        run([*reprepro, "--ignore=wrongdistribution", "include", suite, str(changes)])


def published() -> list[str]:
    """The names of our packages."""
    return sorted(deb.name.split("_")[0] for deb in POOL.rglob("*.deb"))


def needed(package: str, folder: Path = POOL) -> tuple[list[Path], list[str]]:
    """What a package in folder needs: itself with others of ours, and Debian's; nothing if it isn't there."""
    debs = {deb.name.split("_")[0]: deb for deb in folder.rglob("*.deb")}
    if package not in debs:
        return [], []
    found: set[str] = set()
    wanted = [package]
    while wanted:
        name = wanted.pop()
        found.add(name)
        wanted += [other for other in _depends(debs[name]) if other not in found] if name in debs else []
    return [debs[name] for name in sorted(found & set(debs))], sorted(found - set(debs))


def _depends(deb: Path) -> Iterator[str]:
    fields = run(["dpkg-deb", "--show", "--showformat=${Depends},${Pre-Depends}", str(deb)]).stdout
    for entry in fields.split(","):
        if first := entry.split("|")[0].split("(")[0].strip():
            yield first.split(":")[0]


def reproducible() -> None:
    """Build twice, at two places and two times; raises InvirtError where packages differ."""
    requirements()
    trees = [copy(_BUILD.parent / "reproducible" / name) for name in ("one", "two-with-a-longer-name")]
    sums = []
    for tree in trees:
        start = time.monotonic()
        build(tree)
        debs = sorted(tree.parent.glob("*.deb"))
        sums.append({deb.name: hashlib.sha256(deb.read_bytes()).hexdigest() for deb in debs})
        say(f"built {len(debs)} packages in {time.monotonic() - start:.1f} s")
    different = [name for name in sums[0] if sums[0][name] != sums[1].get(name)]
    if different:
        raise InvirtError(
            f"not reproducible: {', '.join(different)}", hint=f"diffoscope {_BUILD.parent}/reproducible/*"
        )
    say("both builds are the same, bit for bit")


def _person(text: str) -> str:
    if not _PERSON.fullmatch(text):
        raise BadInput(f"{text!a} is not of the form NAME <ADDRESS>", "'Ada Roe <ada@example.org>'")
    return text


def _run(check_reproducible: bool, maintainer: str | None, homepage: str | None, vcs: str | None) -> None:
    for setting, text in ((publisher.HOMEPAGE, homepage), (publisher.VCS, vcs)):
        if text:
            publisher.tell(host.TREE, setting, text)
    if maintainer:
        requirements()
        ARCHIVE.mkdir(exist_ok=True)
        make_key(maintainer)
    work = reproducible if check_reproducible else publish
    work()


COMMAND = cli.Command(
    name="scripts/build-packages",
    section=8,
    summary="build the Debian packages and publish them in the signed archive packages/",
    description="Builds nothing where the archive holds this tree's packages already.",
    example="scripts/build-packages --maintainer 'Ada Roe <ada@example.org>'",
    arguments=(
        cli.Flag("check_reproducible", "build twice and compare; publish nothing"),
        cli.Option(
            "maintainer",
            "who answers for them, told once: the archive's key is made of that name",
            _person,
            "NAME <ADDRESS>",
            sample="Ada Roe <ada@example.org>",
        ),
        cli.Option(
            "homepage",
            "where people read of them, told once (default: where their source is)",
            publisher.address,
            "URL",
            sample="https://example.org/invirt",
        ),
        cli.Option(
            "vcs",
            "where git finds their source, told once (default: where this checkout is from, if by the web)",
            publisher.address,
            "URL",
            sample="https://git.example.org/invirt.git",
        ),
    ),
    run=_run,
    shown=None,
)


if __name__ == "__main__":
    cli.start(COMMAND)
