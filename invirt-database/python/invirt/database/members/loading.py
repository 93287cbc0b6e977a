"""Finds a plug-in by its name: Invirt's own, or an entry point of a package that the site has installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import entry_points

from invirt import config
from invirt.base.errors import BadConfig

Members = Callable[[str], Iterable[str]]
OWN = ("unix", "ldap", "afs")  # modules of this package; no other takes their names
GROUP = "invirt.members"


def load(kind: str) -> Members:
    """The function that finds members; raises BadConfig."""
    if kind not in config.owners.sources:
        raise BadConfig(f"owners.sources in invirt.yaml doesn't name {kind}")
    if kind in OWN:
        own: Members = import_module(f"invirt.database.members.{kind}").members
        return own
    found = {point.value: point for point in entry_points(group=GROUP, name=kind)}
    if len(found) != 1:
        what = "several packages have" if found else "no package that is installed here has"
        raise BadConfig(
            f"{what} a plug-in {kind}", hint=f"One must have the entry point {kind} of the group {GROUP}."
        )
    loaded: Members = next(iter(found.values())).load()
    return loaded
