"""host balance: what is proposed can be done, helps, and takes no move more than it must."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from invirt.remote import absorb
from invirt.remote.balance import Guest, Host, Move, Site, after, possible, propose, trouble

SIZES = st.lists(st.lists(st.integers(1, 40), max_size=3), min_size=1, max_size=3)


def site(sizes: list[list[int]], free: int = 60, pairs: frozenset[frozenset[str]] = frozenset()) -> Site:
    """Hosts of so many guests, with so much free at least; pairs: of guests' names that are kept apart."""
    most = max(sum(one) for one in sizes) + free
    hosts = {}
    for at, one in enumerate(sizes):
        names = [f"g{at}{number}" for number in range(len(one))]
        apart = {
            name: frozenset().union(*(pair - {name} for pair in pairs if name in pair)) for name in names
        }
        guests = [Guest(size, name=name, apart=apart[name]) for name, size in zip(names, one, strict=True)]
        hosts[f"host{at}"] = Host(f"host{at}", most, sorted(guests, key=lambda guest: -guest.memory))
    return hosts


def end(hosts: Site, moves: list[Move]) -> Site:
    for move in moves:
        hosts = after(hosts, move)
        assert all(host.used <= host.memory for host in hosts.values()), "overbooked"
    return hosts


PAIRS = st.frozensets(
    st.frozensets(st.sampled_from(["g00", "g01", "g10", "g02"]), min_size=2, max_size=2), max_size=2
)


@settings(max_examples=60, deadline=None)
@given(SIZES, st.integers(0, 60), PAIRS)
@example([[1], [2, 22, 23], [10, 25]], 3, frozenset())  # a shorter way ends where one move more helps
def test_what_is_proposed_helps(sizes: list[list[int]], free: int, pairs: frozenset[frozenset[str]]) -> None:
    """Nothing is overbooked on the way, nothing gets worse, and then nothing is left to propose."""
    before = site(sizes, free, pairs)
    moves = propose(before)
    then = end(before, moves)
    assert trouble(then) < trouble(before) if moves else then == before
    assert propose(then) == []
    if trouble(then)[:2] == trouble(before)[:2]:
        shares = [max(host.used / max(1, host.memory) for host in hosts.values()) for hosts in (before, then)]
        assert shares[1] <= shares[0] + 0.001


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(1, 40), max_size=2), min_size=2, max_size=3), PAIRS)
def test_no_shorter_way_leads_as_far(sizes: list[list[int]], pairs: frozenset[frozenset[str]]) -> None:
    """Against all sequences of moves that are shorter."""
    before = site(sizes, 60, pairs)
    moves = propose(before)
    goal = trouble(end(before, moves))
    reached = [before]
    for _ in range(len(moves) - 1):
        reached = [after(one, move) for one in reached for move in possible(one)]
        assert all(trouble(one) > goal for one in reached)


def test_why() -> None:
    pair = frozenset({frozenset({"g00", "g01"})})
    assert [move.why for move in propose(site([[10, 10], [10]], 60, pair))] == [
        "it is kept apart from one that runs there, too"
    ]
    [move] = propose(site([[40, 40], []], 1000))[:1] or [Move("", "", "", "even")]
    assert move.why == "even"
    [move] = propose(site([[40, 40, 5], []], 20))
    assert (move.source, move.target) == ("host0", "host1")


def test_who_can_not_be_moved_stays() -> None:
    hosts = site([[40, 40], []], 0)
    fixed = {name: Host(name, host.memory, [Guest(one.memory) for one in host.guests])
             for name, host in hosts.items()}  # fmt: skip
    assert propose(fixed) == [] != propose(hosts)
    assert not list(possible(fixed))


def test_a_large_site_is_asked_no_more_often_than_it_has_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long, N+1, is worked out once for each move where all is absorbed, and once before."""
    asked: list[object] = []
    unplaced = absorb.unplaced
    monkeypatch.setattr(absorb, "unplaced", lambda hosts: asked.append(hosts) or unplaced(hosts))
    moves = propose(site([[10] * 30, *([10] * 5 for _ in range(15))], 100))
    assert len(moves) > 5 and len(asked) == len(moves) + 1
