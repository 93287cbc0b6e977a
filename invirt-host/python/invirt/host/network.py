"""How guests' interfaces are called on a host."""

from __future__ import annotations


def interface(nic_id: int) -> str:
    """The host's end of a guest's nic: unique, and at most the 15 letters that Linux takes."""
    return f"inv{nic_id}"
