"""The two names of a guest: its machine's, and its domain's on the host that runs it.

    domain_of("remus") == "d_remus"

Strict typing keeps them apart; only here is it written how one is made of the other.
"""

from __future__ import annotations

from typing import NewType

MachineName = NewType("MachineName", str)
DomainName = NewType("DomainName", str)

PREFIX = "d_"  # no machine's name has a _, so no machine's domain can be taken for a machine


def domain_of(machine: MachineName) -> DomainName:
    """The domain of a machine."""
    return DomainName(PREFIX + machine)


def machine_of(domain: DomainName) -> MachineName | None:
    """The machine that a domain belongs to; None for others' domains."""
    return MachineName(domain.removeprefix(PREFIX)) if domain.startswith(PREFIX) else None
