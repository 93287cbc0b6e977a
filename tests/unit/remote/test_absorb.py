"""N+1: what is lost if a host dies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from invirt.remote.absorb import Guest, Room, unplaced
from invirt.remote.asking import rank


def test_the_worst_host_is_the_one_whose_guests_find_no_room() -> None:
    large = Room("large", 1000, [Guest(600), Guest(300)])
    small = Room("small", 500, [Guest(100)])
    assert unplaced([large, small]) == {"large": 600, "small": 0}
    assert unplaced([large, small, Room("spare", 600)]) == {"large": 0, "small": 0, "spare": 0}


def test_a_host_that_takes_none_is_no_room() -> None:
    """Its own guests are lost all the same."""
    hosts = [Room("one", 1000, [Guest(600)]), Room("off", 1000, [Guest(200)], takes=False)]
    assert unplaced(hosts) == {"one": 600, "off": 0}


def test_guests_find_room_where_they_can_run() -> None:
    own = Guest(100, pools=frozenset({1}))
    xen = Guest(100, hypervisors=frozenset({"xen"}))
    hosts = [
        Room("one", 1000, [own, xen], pools=frozenset({1}), hypervisor="xen"),
        Room("two", 1000, pools=frozenset({2}), hypervisor="qemu"),
    ]
    assert unplaced(hosts)["one"] == 200
    assert unplaced([*hosts, Room("three", 1000, hypervisor="xen")])["one"] == 100
    assert unplaced([*hosts, Room("any", 1000, pools=frozenset({1}))])["one"] == 0


SIZES = st.lists(st.integers(1, 64), max_size=6)


@given(st.lists(st.tuples(st.integers(0, 300), SIZES), min_size=1, max_size=6))
def test_what_is_placed_has_room(sizes: list[tuple[int, list[int]]]) -> None:
    """No more is placed than there is room in all the others; without others all is lost."""
    hosts = [
        Room(f"host{at}", sum(used) + more, [Guest(size) for size in sorted(used, reverse=True)])
        for at, (more, used) in enumerate(sizes)
    ]
    spare = [more for more, _ in sizes]
    for (name, lost), (more, used) in zip(unplaced(hosts).items(), sizes, strict=True):
        room = sum(spare) - more
        assert 0 <= lost <= sum(used), name
        assert sum(used) - lost <= room
        if len(hosts) == 1:
            assert lost == sum(used)


def test_hosts_are_filled_evenly_until_a_quarter_is_left() -> None:
    """Then one after the other: what is free stays in large pieces."""
    assert rank(1000, 600, 100) < rank(1000, 700, 50)
    assert rank(1000, 650, 100) < rank(1000, 660, 100) > rank(1000, 700, 100)
    hosts = [Room("one", 1000, [Guest(600)]), Room("two", 1000, [Guest(700)])]
    lost = Room("lost", 1000, [Guest(300), Guest(200), Guest(200)])
    assert unplaced([*hosts, lost])["lost"] == 0
