"""`host balance`: the fewest moves that part what is kept apart, mend N+1 where they can, even out memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

from invirt.base.abilities import HYPERVISORS
from invirt.base.errors import InvirtError
from invirt.remote import absorb
from invirt.remote.operations import silence
from invirt.remote.operations.model import Say
from invirt.remote.rows import Cursor

EVEN = 0.10  # a host may have so much more of its memory in use than all together: that helps nobody
FEW = 24  # moves that are looked at closely at each turn; where no more are possible, shorter ways, too
TOLD = 20  # moves: after each so many a word to who waits
GUESTS = """
SELECT r.host_id, r.memory, t.needs, coalesce(d.pools, '{}') AS pools, coalesce(k.others, '{}') AS others,
    CASE WHEN count(*) OVER (PARTITION BY r.machine_id) = 1 AND NOT EXISTS (SELECT FROM operations o
        WHERE o.machine_id = r.machine_id AND o.state IN ('running', 'undoing', 'stuck'))
        THEN m.name::text ELSE '' END AS name
FROM reservations r JOIN machines m USING (machine_id) JOIN types t USING (type_id)
    LEFT JOIN (SELECT machine_id, array_agg(pool_id) AS pools FROM disks GROUP BY 1) d USING (machine_id)
    LEFT JOIN (SELECT a.machine_id, array_agg(o.name::text) AS others FROM kept_apart a
        JOIN machines o ON o.machine_id = a.other_id GROUP BY 1) k USING (machine_id)
ORDER BY r.memory DESC, name
"""


@dataclass(frozen=True)
class Guest(absorb.Guest):
    """name: "" for one that can't be moved now; apart: the names of those it is kept apart from."""

    name: str = ""
    apart: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Move:
    """Of a machine, and why."""

    machine: str
    source: str
    target: str
    why: str = ""


@dataclass(frozen=True)
class Host(absorb.Room):
    """One whose guests have names."""

    guests: Sequence[Guest] = ()

    @cached_property
    def names(self) -> frozenset[str]:
        """Of those that run there."""
        return frozenset(guest.name for guest in self.guests if guest.name)

    @cached_property
    def together(self) -> int:
        """Pairs of them that are kept apart."""
        return sum(len(self.names & guest.apart) for guest in self.guests if guest.apart) // 2


Site = Mapping[str, Host]  # by the host's name
Trouble = tuple[int, int, tuple[int, ...]]  # pairs on one host; MiB that N+1 lacks; see _uneven


def site(cursor: Cursor) -> Site:
    """All hosts with their guests, as they stand in the database."""
    cursor.execute(GUESTS)
    guests: dict[int, list[Guest]] = {}
    for row in cursor.fetchall():
        needs = frozenset(need for need in row.needs if need in HYPERVISORS)
        guest = Guest(row.memory, needs, frozenset(row.pools), row.name, frozenset(row.others))
        guests.setdefault(row.host_id, []).append(guest)
    cursor.execute(absorb.HOSTS)
    return {
        row.name: Host(row.name, row.memory, guests.get(row.host_id, []), row.takes,
                       frozenset(row.pools), row.hypervisor)
        for row in cursor.fetchall()
    }  # fmt: skip


def _uneven(hosts: Site) -> tuple[int, ...]:
    """Per mille of its memory that each host uses beyond what is even enough, the most first."""
    takers = [host for host in hosts.values() if host.takes and host.memory]
    even = sum(host.used for host in takers) / max(1, sum(host.memory for host in takers)) + EVEN
    return tuple(sorted((max(0, round(1000 * (host.used / host.memory - even))) for host in takers),
                        reverse=True))  # fmt: skip


def trouble(hosts: Site) -> Trouble:
    """What is wrong; the lesser the better."""
    lost = sum(absorb.unplaced(list(hosts.values())).values()) if len(hosts) > 1 else 0
    return sum(host.together for host in hosts.values()), lost, _uneven(hosts)


def after(hosts: Site, move: Move) -> Site:
    """The site once the machine has moved."""
    source, target = hosts[move.source], hosts[move.target]
    [guest] = [one for one in source.guests if one.name == move.machine]
    left = [one for one in source.guests if one is not guest]
    more = sorted([*target.guests, guest], key=lambda one: -one.memory)
    return {**hosts, source.name: replace(source, guests=left), target.name: replace(target, guests=more)}


def possible(hosts: Site) -> Iterator[Move]:
    """All moves, of guests that are alike on a host one; first those that seem to help most.

    That is told from the two hosts of a move alone, since a large site has tens of thousands: whether
    it parts what is kept apart, how full the one is, and how full the fuller of both is afterwards.
    """
    takers = [host for host in hosts.values() if host.takes and host.memory]
    groups: dict[tuple[int, float], list[tuple[Host, Guest]]] = {}
    for source in takers:
        for guest in _movable(source):
            parted = len(source.names & guest.apart)
            groups.setdefault((-parted, -source.used / source.memory), []).append((source, guest))
    for _, alike in sorted(groups.items()):
        found: list[tuple[float, int, Move]] = []
        for source, guest in alike:
            left = (source.used - guest.memory) / source.memory
            for target in takers:
                then = target.used + guest.memory
                fits = then <= target.memory and target.suits(guest) and not target.names & guest.apart
                if target is not source and fits:
                    move = Move(guest.name, source.name, target.name)
                    found.append((max(left, then / target.memory), len(found), move))
        yield from (move for _, _, move in sorted(found))


def _movable(host: Host) -> list[Guest]:
    """One of each kind."""
    kinds: dict[tuple[object, ...], Guest] = {}
    for guest in host.guests:
        if guest.name:
            kinds.setdefault((guest.memory, guest.hypervisors, guest.pools, guest.apart), guest)
    return list(kinds.values())


def propose(hosts: Site, say: Say = silence) -> list[Move]:
    """The moves, in their order; none where nothing is wrong, or nothing helps."""
    moves = _step_by_step(hosts, say)
    while shorter := _shorter(hosts, moves):  # where that ends there may be more to mend than where these did
        moves = [*_reasons(hosts, shorter), *_step_by_step(_end(hosts, shorter), say)]
    return moves


def _shorter(hosts: Site, moves: Sequence[Move]) -> list[Move]:
    """Fewer moves that lead as far; none if there are none, or too many to be looked for."""
    if len(moves) > 1 and len(list(islice(possible(hosts), FEW + 1))) <= FEW:
        goal = trouble(_end(hosts, moves))
        for length in range(1, min(len(moves), 4)):
            if shorter := _within(hosts, goal, length):
                return shorter
    return []


def _end(hosts: Site, moves: Sequence[Move]) -> Site:
    for move in moves:
        hosts = after(hosts, move)
    return hosts


def _step_by_step(hosts: Site, say: Say) -> list[Move]:
    """Each time the move that helps most, as long as one does."""
    moves, now = list[Move](), trouble(hosts)
    while any((now[0], now[1], *now[2])):
        best = _best(hosts)
        if best is None or best[0] >= now:
            break
        was, before = now, hosts
        now, hosts, move = best
        moves.append(replace(move, why=_why(was, now, before[move.source])))
        if len(moves) % TOLD == 0:
            say(f"{len(moves)} moves are found; looking for more")
    return moves


def _best(hosts: Site) -> tuple[Trouble, Site, Move] | None:
    """Of the moves that seem best the one that is; N+1, which takes longest, is asked until one keeps it."""
    sites = [(after(hosts, move), move) for move in islice(possible(hosts), FEW)]
    parted = [_parted(hosts, then, move) for then, move in sites]
    sites = [site for site, pairs in zip(sites, parted, strict=True) if pairs == max(parted)]
    found = []
    for then, move in sorted(sites, key=lambda one: _uneven(one[0])):
        found.append((trouble(then), then, move))
        if not found[-1][0][1]:
            return found[-1]
    return min(found, key=lambda one: one[0], default=None)


def _parted(before: Site, then: Site, move: Move) -> int:
    """Of the pairs that are kept apart: those that were on one host."""
    return sum(before[name].together - then[name].together for name in (move.source, move.target))


def _within(hosts: Site, goal: Trouble, length: int) -> list[Move]:
    """So many moves, or fewer, after which nothing is worse than that; none if there are none."""
    for move in possible(hosts):
        then = after(hosts, move)
        if trouble(then) <= goal:
            return [move]
        if length > 1 and (rest := _within(then, goal, length - 1)):
            return [move, *rest]
    return []


def _reasons(hosts: Site, moves: Sequence[Move]) -> list[Move]:
    said, was = [], trouble(hosts)
    for move in moves:
        then = after(hosts, move)
        now = trouble(then)
        said.append(replace(move, why=_why(was, now, hosts[move.source])))
        hosts, was = then, now
    return said


def _why(was: Trouble, now: Trouble, source: Host) -> str:
    if now[0] < was[0]:
        return "it is kept apart from one that runs there, too"
    if now[1] < was[1]:
        return f"N+1: {was[1] - now[1]} MiB more have room elsewhere, should their host die"
    return f"{source.name} has {round(100 * source.used / source.memory)} % of its memory in use"


def carry_out(
    moves: Sequence[Move], move: Callable[[Move], object], say: Say = silence
) -> tuple[list[dict[str, Any]], bool]:
    """One after the other, also after one that failed: what came of each, and whether all went well."""
    done = []
    for number, (row, one) in enumerate(zip(rows(moves), moves, strict=True), 1):
        say(f"move {number} of {len(moves)}: {one.machine} from {one.source} to {one.target}")
        try:
            move(one)
            done.append({**row, "outcome": "it has moved"})
        except InvirtError as error:
            done.append({**row, "outcome": error.message})
    return done, all(row["outcome"] == "it has moved" for row in done)


def rows(moves: Sequence[Move]) -> list[dict[str, Any]]:
    """As they are shown."""
    return [{"machine": m.machine, "from": m.source, "to": m.target, "why": m.why} for m in moves]
