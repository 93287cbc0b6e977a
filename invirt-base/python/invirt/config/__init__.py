"""The site's configuration: `from invirt import config`, then `config.remote.hostname`.

The file is /etc/invirt/invirt.yaml, or what $INVIRT_CONFIG names; what counts is
its copy that `invirt-config apply` has made, once it has.  It is read
and checked at the first use of a value, not at import, so that programs can
start, and say --help, without it.  Using a value raises BadConfig if the file
is missing or wrong.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invirt.base import log
from invirt.base.errors import BadConfig

if TYPE_CHECKING:
    from invirt.config.people import Mails, Owners, Quota
    from invirt.config.schema import (
        Backup,
        Config,
        Console,
        Database,
        Dhcp,
        Dns,
        Hypervisor,
        Machines,
        Metrics,
        Network,
        Remote,
        Site,
        Storage,
        Web,
    )

DEFAULT_PATH = "/etc/invirt/invirt.yaml"

# What __getattr__ answers; a test keeps these in step with schema.Config.
site: Site
database: Database
remote: Remote
web: Web
machines: Machines
quota: Quota
owners: Owners
mail: Mails
hypervisor: Hypervisor
storage: Storage
network: Network
dns: Dns
dhcp: Dhcp
metrics: Metrics
backup: Backup
console: Console
remote_principals: tuple[str, ...]


def path() -> Path:
    """Where the configuration is read from."""
    return Path(os.environ.get("INVIRT_CONFIG") or DEFAULT_PATH)


def applied() -> Path:
    """The copy of path() that `invirt-config apply` compiled last; beside it, for all to read."""
    return path().with_name(f"{path().name}.applied")


def kept() -> Path:
    """What `invirt-config apply` has read, for programs that need no more."""
    return applied().with_name(f"{applied().name}.json")


def load(file: Path | str | None = None) -> Config:
    """Read and check file without making it the current one.

    Default: what was applied last, and path() where nothing was, so that no
    mistake counts before it was seen.  Raises BadConfig, which names file, line
    and key.
    """
    if file:
        return _read(Path(file))
    if text := unapplied():
        _warn(text)
    try:
        return _read(counting())
    except BadConfig:
        if counting() == path():
            raise
        return _read(path())  # what was applied is an older version's


def _read(file: Path) -> Config:
    from invirt.config.loader import read  # yaml and the schema cost 40 ms: only when needed
    from invirt.config.schema import Config

    return read(file, Config)


def counting() -> Path:
    """The file that counts: what was applied last, if anything was."""
    return applied() if applied().exists() else path()


def unapplied() -> str:
    """What is to be said where path() is not what counts, else ""."""
    if not applied().exists() or path().exists() and path().read_bytes() == applied().read_bytes():
        return ""
    return f'{path()} is not what was applied: it counts after "invirt-config apply"'


def _warn(text: str) -> None:
    """Tell an administrator's terminal, or the log."""
    if sys.stderr.isatty():
        print(text, file=sys.stderr)
    else:
        log.write(text, log.WARNING)


_current: list[Config] = []  # one, once it was read
_values: list[Any] = []  # those of the current one, or of what was kept


def current() -> Config:
    """The whole configuration, read at the first call."""
    if not _current:
        use(load())
    return _current[0]


def use(config: Config) -> None:
    """Make config the current one of this process."""
    _current[:] = _values[:] = [config]


def reload() -> None:
    """Forget what was read; the next use of a value reads the file again."""
    _current.clear()
    _values.clear()


def values() -> Any:
    """The values of the whole configuration; from what was kept, if that is of the file that counts."""
    if not _values:
        from invirt.config import parsed

        found = parsed.read(kept(), applied())
        if found is None:
            return current()
        if text := unapplied():
            _warn(text)
        _values[:] = [found]
    return _values[0]


def __getattr__(name: str) -> Any:
    # Only declared names: the import system asks for others, such as "schema".
    if name not in __annotations__ or name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(values(), name)
