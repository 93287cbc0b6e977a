"""Compiles the templates that packages have registered into their targets.

A package registers its templates in /usr/share/invirt/templates.d/ROLE.yaml:

    templates:
      - target: /etc/sudoers.d/invirt      # made from /etc/sudoers.d/invirt.mako
        check: [visudo, -c, -f, "{}"]      # the consumer's own checker
        mode: "0440"
        reload: some.service               # told when the target has changed
    daemons:
      - unit: other.service                # reads invirt.yaml by itself
        reads: [site, database]            # sections at whose change it is told

All are rendered and checked before the first is written.  Each is written
whole beside its target and renamed over it, so that whoever is killed leaves
old or new files.  Checksums of what was written tell what was edited by hand.
What invirt.yaml was then is kept beside it, and is what all programs go by.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from invirt import config
from invirt.base import lock, templates
from invirt.base.errors import BadConfig, Busy, CommandFailed
from invirt.base.files import replace
from invirt.base.process import run
from invirt.config import loader, parsed
from invirt.config.forms import Folder, Form

LOCK_TIMEOUT = 60  # seconds
CHECK_TIMEOUT = 30  # seconds
RELOAD_TIMEOUT = 90  # seconds

UNIT = "invirt-config.service"  # wants all that reads the files; active or not, its start starts them
_NAME = r"[a-z_][a-z0-9_-]*"


@dataclass(frozen=True)
class Entry:
    """One registered template: its target, and what to do with it."""

    target: Folder
    check: tuple[str, ...] = ()  # argv; {} stands for the file to check
    mode: Annotated[str, Form('a mode such as "0644"', r"0[0-7]{3}")] = "0644"
    owner: Annotated[str, Form("USER:GROUP", f"{_NAME}:{_NAME}")] = "root:root"
    reload: Annotated[str, Form("the name of a unit", r"([A-Za-z0-9@._-]+\.[a-z]+)?")] = ""


@dataclass(frozen=True)
class Daemon:
    """A unit that reads sections of invirt.yaml when it starts."""

    unit: Annotated[str, Form("the name of a unit", r"[A-Za-z0-9@._-]+\.[a-z]+")]
    reads: tuple[Annotated[str, Form("a section's name", r"[a-z]+")], ...]


@dataclass(frozen=True)
class Registry:
    """One file of templates.d."""

    templates: tuple[Entry, ...] = ()
    daemons: tuple[Daemon, ...] = ()


@dataclass(frozen=True)
class Change:
    """A target as it is (None: there is none) and as it should be."""

    entry: Entry
    path: Path
    old: bytes | None
    new: bytes
    by_hand: bool  # somebody else has written what is there

    @property
    def is_needed(self) -> bool:
        """Whether old and new differ."""
        return self.old != self.new

    def diff(self) -> str:
        """What would change, in the form of diff -u."""
        old, new = (text.decode(errors="replace").splitlines(True) for text in (self.old or b"", self.new))
        source = str(self.path) if self.old is not None else "/dev/null"
        return "".join(difflib.unified_diff(old, new, source, str(self.path)))


@dataclass
class _State:
    """What earlier runs have written, in /var/lib/invirt/templates.json.

    sums: SHA-256 of what may be in a target by our own doing; two while it is
    being renamed.  reload: units that have still to be told.
    """

    file: Path
    sums: dict[str, list[str]] = field(default_factory=dict)
    reload: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> _State:
        try:
            known = json.loads(file.read_text())
            return cls(file, known["sums"], known["reload"])
        except FileNotFoundError:
            return cls(file)
        except (ValueError, KeyError, TypeError) as error:
            raise BadConfig(f"{file} is damaged", hint="Remove it, then use --force if need be.") from error

    def write(self) -> None:
        replace(self.file, json.dumps({"sums": self.sums, "reload": self.reload}, indent=1).encode())


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Templates:
    """All registered templates under root, and the file whose values they are compiled with."""

    def __init__(self, root: Path = Path("/"), source: Path | None = None) -> None:
        self.root = root
        self.source = source or config.path()
        self.folder = root / "usr/share/invirt/templates.d"
        self.state_file = root / "var/lib/invirt/templates.json"

    def entries(self) -> list[Entry]:
        """What is registered; raises BadConfig if a file is wrong or two name one target.

        Not those of a package that dpkg has unpacked and not configured yet: it
        compiles them itself then.
        """
        found: dict[str, Entry] = {}
        for file, registry in self._registries():
            for entry in registry.templates:
                if entry.target in found:
                    raise BadConfig(f"{file}: {entry.target} is registered twice")
                found[entry.target] = entry
        unpacked = (self._path(entry, ".mako.dpkg-new").exists() for entry in found.values())
        return [entry for entry, new in zip(found.values(), unpacked, strict=True) if not new]

    def _registries(self) -> list[tuple[Path, Registry]]:
        return [(file, loader.read(file, Registry)) for file in sorted(self.folder.glob("*.yaml"))]

    def _path(self, entry: Entry, more: str = "") -> Path:
        return self.root / f"{entry.target}{more}".lstrip("/")

    def changes(self) -> list[Change]:
        """Render and check all; raises BadConfig at the first that is wrong.  Writes nothing."""
        config.use(config.load(self.source))
        written = _State.read(self.state_file).sums
        made = [self._change(entry, written) for entry in self.entries()]
        with tempfile.TemporaryDirectory(prefix="invirt-config-") as folder:
            for number, change in enumerate(made):
                _check(change, Path(folder, str(number)))
        return made

    def _change(self, entry: Entry, written: dict[str, list[str]]) -> Change:
        path = self._path(entry)
        new = templates.render(path.with_name(path.name + ".mako")).encode()
        old = path.read_bytes() if path.exists() else None
        by_hand = old not in (None, new) and _sum(old or b"") not in written.get(entry.target, [])
        return Change(entry, path, old, new, by_hand)

    def apply(self, *, force: bool = False, reload: bool = True) -> list[Change]:
        """Write what has changed and tell the units that read it; the list says all of it.

        A target edited by hand is left alone unless forced.  Without reload no
        unit is told: at boot they start later.  What was not started for want of
        a good invirt.yaml is, now.  Raises BadConfig or CommandFailed.
        """
        with self._locked():
            changes = self.changes()
            wanted = [change for change in changes if force or not change.by_hand]
            self._write(wanted)
        tell = reload and self.root == Path("/") and Path("/run/systemd/system").is_dir()
        self._reload(tell)
        if tell:
            run(["systemctl", "start", UNIT], timeout=RELOAD_TIMEOUT)
        return changes

    def _write(self, wanted: Sequence[Change]) -> None:
        """Rename into place; the state knows before and after what may be found there."""
        state = _State.read(self.state_file)
        for change in wanted:
            state.sums[change.entry.target] = [
                _sum(text) for text in (change.old, change.new) if text is not None
            ]
        needed = [change for change in wanted if change.is_needed]
        units = {change.entry.reload for change in needed if change.entry.reload} | self._outdated()
        state.reload = sorted(units.union(state.reload))
        state.write()
        for change in needed:
            replace(change.path, change.new, int(change.entry.mode, 8), change.entry.owner)
        self._keep()
        state.sums |= {change.entry.target: [_sum(change.new)] for change in wanted}
        state.write()

    def _outdated(self) -> set[str]:
        """The units that have read sections which are different now."""
        try:
            before = config.load(config.applied())
        except BadConfig:  # none, or an older version's
            return set()
        new = config.current()
        return {
            daemon.unit
            for _, registry in self._registries()
            for daemon in registry.daemons
            if any(getattr(before, name, None) != getattr(new, name, None) for name in daemon.reads)
        }

    def _keep(self) -> None:
        """From now on what was compiled counts; but another folder's is no matter of this server."""
        ours = self.root == Path("/") or str(config.path()) != config.DEFAULT_PATH
        if not ours or self.source not in (config.path(), config.applied()):
            return
        if self.source == config.path():
            replace(config.applied(), self.source.read_bytes())
        with suppress(BadConfig):  # invirt.yaml was written just now
            replace(config.kept(), parsed.written(config.applied(), config.load(config.applied())).encode())

    def _reload(self, really: bool) -> None:
        """Not under the lock: a unit may have to start invirt-config.service first, which wants it."""
        units = _State.read(self.state_file).reload
        if not units:
            return
        if really:
            for unit in filter(_is_active, units):
                run(["systemctl", "reload-or-restart", unit], timeout=RELOAD_TIMEOUT)
        with self._locked():
            state = _State.read(self.state_file)
            state.reload = sorted(set(state.reload) - set(units))
            state.write()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One apply at a time; raises Busy if another doesn't end."""
        self.state_file.parent.mkdir(parents=True, exist_ok=True)
        with self.state_file.with_suffix(".lock").open("w") as file:
            if not lock.take(file, LOCK_TIMEOUT):
                raise Busy("another invirt-config is at work", hint=f"It holds {file.name}.")
            yield


def _is_active(unit: str) -> bool:
    """Whether unit runs; others read the files when they start, and waiting for them could be forever."""
    return run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0


def _check(change: Change, folder: Path) -> None:
    """Let the consumer's own checker see the new text; raises BadConfig with what it said."""
    if not change.entry.check:
        return
    folder.mkdir()
    file = folder / change.path.name
    file.write_bytes(change.new)
    file.chmod(int(change.entry.mode, 8))
    try:
        run([word.replace("{}", str(file)) for word in change.entry.check], timeout=CHECK_TIMEOUT)
    except CommandFailed as error:
        source = f"{change.path}.mako"
        raise BadConfig(
            f"{source} compiles to what its checker refuses: {error.message}", error.hint
        ) from error
