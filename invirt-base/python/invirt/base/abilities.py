"""What not every hypervisor or storage can, so that who asks for it is told before anything begins.

A driver names what it can in its `can`; its host tells that when it is asked
about a guest; a type of machine names what its machines need.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Can(StrEnum):
    """An ability's word, in answers of hosts and in rows."""

    MOVE = "move"
    GROW = "grow"
    SCREEN = "screen"
    CDROM = "cdrom"
    CAP = "cap"
    SNAPSHOT = "snapshot"
    INSTALL = "install"
    RESCUE = "rescue"


MEANING = {
    Can.MOVE: "move a guest to another host while it runs",
    Can.GROW: "grow a disk while its guest runs",
    Can.SCREEN: "show a guest's screen",
    Can.CDROM: "give a guest a CD",
    Can.CAP: "change a guest's share of CPUs while it runs",
    Can.SNAPSHOT: "take a snapshot of a disk",
    Can.INSTALL: "have a system installed by the guest itself",
    Can.RESCUE: "boot the rescue system",
}
OF_STORAGE = frozenset({Can.GROW, Can.SNAPSHOT})  # the storage must have it
OF_HYPERVISOR = frozenset(Can) - {Can.SNAPSHOT}
STORAGES = ("lvm", "thin", "file", "fake")
HYPERVISORS = ("xen", "qemu", "fake")
NEEDS = (*Can, *HYPERVISORS)  # what a type of machine may need of its host


def named(words: object) -> frozenset[Can]:
    """Those of the words that are abilities; one that isn't may be a newer version's."""
    known = list(words) if isinstance(words, Iterable) else []
    return frozenset(can for can in Can if can in known)
