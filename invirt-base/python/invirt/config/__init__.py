"""The site's configuration: `from invirt import config`, then `config.remote.hostname`.

The file is /etc/invirt/invirt.yaml, or what $INVIRT_CONFIG names.  It is read
and checked at the first use of a value, not at import, so that programs can
start, and say --help, without it.  Using a value raises BadConfig if the file
is missing or wrong.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from invirt.config.schema import (
    Config,
    Console,
    Database,
    Dhcp,
    Dns,
    Hypervisor,
    Machines,
    Network,
    Quota,
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
hypervisor: Hypervisor
storage: Storage
network: Network
dns: Dns
dhcp: Dhcp
console: Console
remote_principals: tuple[str, ...]


def path() -> Path:
    """Where the configuration is read from."""
    return Path(os.environ.get("INVIRT_CONFIG") or DEFAULT_PATH)


def load(file: Path | str | None = None) -> Config:
    """Read and check file (default: path()) without making it the current one.

    Raises BadConfig, which names file, line and key.
    """
    from invirt.config.loader import read  # yaml costs 15 ms: only when needed

    return read(Path(file) if file else path(), Config)


@functools.cache
def current() -> Config:
    """The whole configuration, read at the first call."""
    return load()


def reload() -> None:
    """Forget what was read; the next use of a value reads the file again."""
    current.cache_clear()


def __getattr__(name: str) -> Any:
    # Only declared names: the import system asks for others, such as "schema".
    if name not in __annotations__ or name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(current(), name)
