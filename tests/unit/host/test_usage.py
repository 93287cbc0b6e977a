"""What guests use: what a counter grew by, and what a QEMU that was taken over says of its disks."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invirt.database.usage import METRICS
from invirt.host import usage
from invirt.host.usage import Counted, Meter


def test_what_grew_since_the_last_look() -> None:
    meter = Meter()
    assert meter.grown({17: Counted({"cpu": 1000, "net_sent": 5000})}) == {}  # not how fast
    now = {17: Counted({"cpu": 1600, "net_sent": 9096, "memory": 130}, {"foreign_ip": 3}), 18: Counted()}
    grown = (used := meter.grown(now))[17]
    assert list(used) == [17, 18]  # the second one has begun since
    expected = dict.fromkeys(METRICS, 0) | {"cpu": 600, "net_sent": 4, "memory": 130}
    assert grown == Counted(expected, {"foreign_ip": 3})


def test_a_counter_that_began_anew() -> None:
    meter = Meter()
    meter.grown({17: Counted({"cpu": 1000}, {"router": 9})})
    (grown,) = meter.grown({17: Counted({"cpu": 30}, {"router": 2})}).values()
    assert grown.metrics["cpu"] == 30 and grown.drops == {"router": 2}


def test_one_that_began_since_used_all_that_it_counts() -> None:
    """And once: a guest of which nothing is told for a while is not counted from its beginning."""
    meter = Meter()
    meter.grown({})
    assert meter.grown({17: Counted({"cpu": 50})})[17].metrics["cpu"] == 50
    assert meter.grown({}) == {}
    assert meter.grown({17: Counted({"cpu": 70})})[17].metrics["cpu"] == 20


def test_what_uses_most_still_fits() -> None:
    meter = Meter()
    meter.grown({17: Counted()})
    (grown,) = meter.grown({17: Counted({"disk_operations": 1 << 60})}).values()
    assert grown.metrics["disk_operations"] == (1 << 31) - 1


def test_columns_are_arrays_of_all_that_is_kept() -> None:
    metrics = dict.fromkeys(METRICS, 1) | {"memory": 130}
    columns = usage.columns({17: Counted(metrics, {"router": 1 << 40, "hidden": 1}), 18: Counted(metrics)})
    assert columns == {
        "machines": [17, 18],
        "used": ["{1,130,1,1,1,1,1,1,1,1}"] * 2,
        "drops": ["{0,0,0,0,0,2147483647,0,0,0,0,0,0,1,0,0}", None],
    }


def test_a_process_of_its_own() -> None:
    """This one has used something; one that has ended tells nothing."""
    found = usage.of_process(os.getpid())
    assert found["cpu"] > 0 and found["memory"] > 0
    assert usage.of_process(2**22 + 1) == {}


def test_disks() -> None:
    stats = {"rd_bytes": 10, "wr_bytes": 20, "rd_operations": 1, "wr_operations": 2}
    found = usage.of_disks([{"device": "hda", "stats": stats}, {"device": "hdb", "stats": stats}])
    assert found == {"disk_read": 20, "disk_written": 40, "disk_operations": 6}


@pytest.mark.parametrize("value", [-1, 1.5, True, "9", None, [], 1 << 70])
def test_numbers_that_are_none(value: object) -> None:
    assert usage.of_disks([{"stats": {"rd_bytes": value}}])["disk_read"] == 0


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s))
)
def test_whatever_qemu_says_numbers_come_of_it(answer: object) -> None:
    assert all(type(value) is int and value >= 0 for value in usage.of_disks(answer).values())
