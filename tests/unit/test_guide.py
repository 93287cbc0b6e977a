"""No command of the guide's "Setting up" that no test runs."""

from __future__ import annotations

import re

from invirt_lab.xen_host import PAIR
from tests.site import guide
from tests.xen import locks, test_bare

RUN = [
    *(guide.EACH, guide.ONE, guide.ONE, guide.USER),
    *(guide.ANSWERS, guide.FIRST, guide.FIRST, guide.OTHER),
]


def test_each_block_says_who_runs_it() -> None:
    """As tests/site runs them, in this order; a new one wants to be run there, too."""
    assert [block.who for block in guide.blocks()] == RUN
    indented = re.findall(r"(?<=\n)\n    (?=\S)", guide.setting_up())
    lists = re.findall(r"(?<=\n)\n   (?=\S)", guide.setting_up())  # three: a list goes on
    assert len(indented) == len(RUN) and len(lists) == 1


def test_hosts_of_xens_are_made_by_the_guide() -> None:
    """As tests/xen does it."""
    names = locks.names_of(PAIR)
    found = {
        one["who"]: guide.block(one["who"], names) for one in guide.BLOCK.finditer(guide.GUIDE.read_text())
    }
    assert set(found) - set(RUN) == {*locks.BLOCKS, *test_bare.BLOCKS}
    assert "ring0_addr: 10.9.0.2" in found["corosync.conf"] and "example" not in found["corosync.conf"]


def test_names_become_those_of_the_servers() -> None:
    (known,) = guide.of(guide.EACH, {})
    assert "example" not in known and ">/etc/apt/sources.list.d/invirt.list" in known
    named = {"console.example.org": "two", "host1.example.org": "three", "192.0.2.11": "two"}
    (answers,) = guide.of(guide.ANSWERS, {**named, "192.0.2.12": "three"})
    assert "example" not in answers and "192.0.2." not in answers
    assert "{name: three.invirt.test, address: 10.86.0.33, roles: [host]}" in answers
