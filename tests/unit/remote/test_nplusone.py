"""N+1 at a boot: sums say of no site that all is well unless the placing of each guest says so."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from invirt.remote.absorb import Guest, Room, unplaced
from invirt.remote.nplusone import Sums, surely, worse

GUESTS = st.lists(st.integers(1, 64), max_size=6)
HOST = st.tuples(st.integers(0, 300), GUESTS, st.booleans())


def sums(room: Room) -> Sums:
    sizes = [guest.memory for guest in room.guests]
    return Sums(room.memory, sum(sizes), max(sizes, default=0), room.takes, None)


@given(st.lists(HOST, min_size=1, max_size=6))
def test_what_is_sure_is_so(sizes: list[tuple[int, list[int], bool]]) -> None:
    rooms = [
        Room(f"host{at}", sum(used) + more, [Guest(size) for size in sorted(used, reverse=True)], takes)
        for at, (more, used, takes) in enumerate(sizes)
    ]
    if surely([sums(room) for room in rooms]):
        assert not any(unplaced(rooms).values())


def test_what_is_sure_at_once() -> None:
    """With half of the memory free nothing is placed one by one; of hosts that differ all is."""
    half = [Room(f"host{at}", 1000, [Guest(100)] * 5) for at in range(4)]
    assert surely([sums(room) for room in half])
    assert not surely([Sums(1000, 0, 0, True, "xen"), Sums(1000, 0, 0, True, "qemu")])


def test_who_is_named() -> None:
    hosts = [Room("one", 500, [Guest(300)]), Room("two", 500, [Guest(100)])]
    assert worse(hosts, "two", Guest(100)) == ""
    said = "should {} die, machines of {} MiB would have no room elsewhere"
    both = f"{said.format('one', 300)}; {said.format('two', 100)}"
    assert worse(hosts, "two", Guest(200)) == both
    gone = [Room("one", 500, [Guest(300)], takes=False), Room("two", 500, [Guest(300)])]
    assert worse(gone, "two", Guest(100)) == said.format("two", 400)
