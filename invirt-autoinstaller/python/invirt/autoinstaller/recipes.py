"""How the base of a suite is made of its distribution's packages: by mmdebstrap.

Debian's are known here; a site's own are files of /etc/invirt/bases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from invirt.base import guests, validate
from invirt.base.errors import BadConfig, CommandFailed, NotFound
from invirt.base.process import run
from invirt.config import loader
from invirt.config.forms import Form

MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
TIMEOUT = 3600  # seconds; a minute with a mirror that is near
_SAID = 8  # lines of what is complained of
CUSTOMIZE = Path(__file__).with_name("customize")
_PACKAGES = (
    *(
        "systemd-sysv",
        "systemd-resolved",
        "systemd-timesyncd",
        "dbus",
        "linux-image-cloud-amd64",
        "grub-pc-bin",
        "zstd",  # packs kernels' ramdisks: gzip's are slower to make, and to boot
        "lz4",  # see customize
    ),
    *("openssh-server", "unattended-upgrades", "iproute2", "iputils-ping", "ca-certificates", "less", "nano"),
)
# Debian's documents but for who has written what, and other languages: a third of the base.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
SMALL = (
    *('--aptopt=Apt::Install-Recommends "false"', "--dpkgopt=force-unsafe-io"),
    *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)


OWN = Path("/etc/invirt/bases")
Word = Annotated[str, Form("a word of a-z, 0-9, ., + and -", validate.WORD)]
Url = Annotated[str, Form(f"a mirror's URL, such as {MIRROR}", validate.MIRROR)]
Architecture = Annotated[str, Form(f"what hosts boot: {guests.ARCHITECTURE}", guests.ARCHITECTURE)]
Keyring = Annotated[str, Form("a file's path", r"(/[A-Za-z0-9._+-]+)*")]


@dataclass(frozen=True)
class Recipe:
    """A distribution's release; suite: as its mirrors call it.

    mirror and security: their URLs, which the machines have in their sources.list, too.
    keyring: whose signatures count; empty: those that apt trusts here.  packages: beside the smallest
    system, a kernel, GRUB's modules for a PC, ssh and what asks for an address among them.
    ahead: whether a base is made of it; else each machine makes its system itself, see tools.py.
    architecture: what it is made for.
    """

    suite: Word
    mirror: Url = MIRROR
    security: Url = SECURITY
    keyring: Keyring = ""
    components: tuple[Word, ...] = ("main",)
    packages: tuple[Word, ...] = _PACKAGES
    ahead: bool = True
    architecture: Architecture = guests.ARCHITECTURE

    def words(self, to: Path, *more: str, customize: Path = CUSTOMIZE) -> list[str]:
        """The command line that makes the system, but for its sources: in a tar archive, or a folder."""
        options: list[str] = []
        if self.keyring:  # the machines' own apt goes by it, too
            kept = f"/etc/apt/trusted.gpg.d/base{'.asc' if self.keyring.endswith('.asc') else '.gpg'}"
            options += [f"--keyring={self.keyring}", f"--customize-hook=upload {self.keyring} {kept}"]
        # Not every distribution has apt among what it requires.
        options += [f"--include={','.join(('apt', *self.packages))}"]
        options += [f'--customize-hook=sh {customize} "$1"']
        return self.variant("minbase", to, *options, *more)

    def variant(self, name: str, to: Path, *options: str) -> list[str]:
        """The command line for one of mmdebstrap's variants, without sources and any packages of ours."""
        how = f"--variant={name}", "--mode=root", f"--architectures={self.architecture}"
        return ["mmdebstrap", *how, *SMALL, *options, self.suite, str(to)]

    def sources(self) -> list[str]:
        """Lines of sources.list."""
        places = (self.mirror, ""), (self.mirror, "-updates"), (self.security, "-security")
        parts = " ".join(self.components)
        return [f"deb {url} {self.suite}{more} {parts}" for url, more in places]

    def by(self, mirror: str | None, security: str | None) -> Recipe:
        """This, of other mirrors of Debian; what names mirrors of its own stays as it is."""
        if (self.mirror, self.security) != (MIRROR, SECURITY):
            return self
        return replace(self, mirror=mirror or MIRROR, security=security or SECURITY)


RECIPES = {"debian-12": Recipe("bookworm"), "debian-13": Recipe("trixie")}


def known(folder: Path = OWN) -> dict[str, Recipe]:
    """All by their names; raises BadConfig for a file that is none."""
    found = dict(RECIPES)
    for file in sorted(folder.glob("*.yaml")):
        if not validate.passes(file.stem, validate.machine_name):
            raise BadConfig(f"{file}: a base can't be called {file.stem!r}", hint="As in ubuntu-22-04.yaml.")
        found[file.stem] = loader.read(file, Recipe)
    return found


def recipe(name: str, folder: Path = OWN) -> Recipe:
    """The one of that name; raises NotFound."""
    if found := known(folder).get(name):
        return found
    raise NotFound(
        f"nobody knows how the base {name} is made",
        hint=f"Known: {', '.join(known(folder))}; or {folder}/{name}.yaml.",
    )


def make(recipe: Recipe, to: Path, epoch: int) -> None:
    """Write the base to a tar archive in which nothing is later than epoch (seconds of Unix' time).

    The same packages at the same epoch give the same bytes.  Raises CommandFailed with apt's complaints.
    """
    called(recipe, recipe.words(to), epoch)


def called(recipe: Recipe, words: list[str], epoch: int) -> None:
    """Run mmdebstrap for a recipe by these words, of its sources; else as make."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(epoch)}
    done = run([*words, *recipe.sources()], timeout=TIMEOUT, env=env, check=False)
    if done.returncode != 0:
        said = [
            line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.startswith(("E: ", "W: "))
        ]
        raise CommandFailed(
            f"mmdebstrap could not make {recipe.suite} of {recipe.mirror}", hint="\n".join(said[-_SAID:])
        )
