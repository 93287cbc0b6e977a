"""`host balance`: the fewest moves that part what is kept apart, mend N+1 where they can, even out memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from invirt.base.abilities import HYPERVISORS
from invirt.base.errors import InvirtError
from invirt.remote import absorb
from invirt.remote.rows import Cursor

EVEN = 0.10  # a host may have so much more of its memory in use than all together: that helps nobody
FEW = 24  # moves that are looked at closely at each turn; where no more are possible, shorter ways, too
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


Site = Mapping[str, absorb.Room]  # by the host's name
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
        row.name: absorb.Room(row.name, row.memory, guests.get(row.host_id, []), row.takes,
                              frozenset(row.pools), row.hypervisor)
        for row in cursor.fetchall()
    }  # fmt: skip


def used(host: absorb.Room) -> int:
    """MiB."""
    return sum(guest.memory for guest in host.guests)


def _together(host: absorb.Room) -> int:
    names = {guest.name for guest in host.guests if isinstance(guest, Guest) and guest.name}
    return sum(len(names & guest.apart) for guest in host.guests if isinstance(guest, Guest)) // 2


def _uneven(hosts: Site) -> tuple[int, ...]:
    """Per mille of its memory that each host uses beyond what is even enough, the most first."""
    takers = [host for host in hosts.values() if host.takes and host.memory]
    even = sum(map(used, takers)) / max(1, sum(host.memory for host in takers)) + EVEN
    return tuple(sorted((max(0, round(1000 * (used(host) / host.memory - even))) for host in takers),
                        reverse=True))  # fmt: skip


def trouble(hosts: Site) -> Trouble:
    """What is wrong; the lesser the better."""
    lost = sum(absorb.unplaced(list(hosts.values())).values()) if len(hosts) > 1 else 0
    return sum(map(_together, hosts.values())), lost, _uneven(hosts)


def after(hosts: Site, move: Move) -> Site:
    """The site once the machine has moved."""
    source, target = hosts[move.source], hosts[move.target]
    [guest] = [one for one in source.guests if isinstance(one, Guest) and one.name == move.machine]
    left = [one for one in source.guests if one is not guest]
    more = sorted([*target.guests, guest], key=lambda one: -one.memory)
    return {**hosts, source.name: replace(source, guests=left), target.name: replace(target, guests=more)}


def possible(hosts: Site) -> list[Move]:
    """All moves, of guests that are alike on a host one; first those that seem to help most.

    That is told from the two hosts of a move alone, since a large site has tens of thousands: whether
    it parts what is kept apart, how full the one is, and how full the fuller of both is afterwards.
    """
    in_use = {name: used(host) for name, host in hosts.items()}
    names = {
        name: {one.name for one in host.guests if isinstance(one, Guest)} for name, host in hosts.items()
    }
    takers = [host for host in hosts.values() if host.takes and host.memory]
    found: list[tuple[tuple[int, float, float], int, Move]] = []
    for source in takers:
        for guest in _movable(source):
            parted = len(names[source.name] & guest.apart)
            left = (in_use[source.name] - guest.memory) / source.memory
            for target in takers:
                then = in_use[target.name] + guest.memory
                fits = then <= target.memory and target.suits(guest) and not names[target.name] & guest.apart
                if target is not source and fits:
                    seems = (-parted, -in_use[source.name] / source.memory, max(left, then / target.memory))
                    found.append((seems, len(found), Move(guest.name, source.name, target.name)))
    return [move for _, _, move in sorted(found)]


def _movable(host: absorb.Room) -> list[Guest]:
    """One of each kind."""
    kinds: dict[Guest, Guest] = {}
    for guest in host.guests:
        if isinstance(guest, Guest) and guest.name:
            kinds.setdefault(replace(guest, name=""), guest)
    return list(kinds.values())


def propose(hosts: Site) -> list[Move]:
    """The moves, in their order; none where nothing is wrong, or nothing helps."""
    moves = _step_by_step(hosts)
    if len(moves) > 1 and len(possible(hosts)) <= FEW:
        goal = _end(hosts, moves)
        for length in range(1, min(len(moves), 4)):
            if shorter := _within(hosts, goal, length):
                moves = shorter
                break
    return _reasons(hosts, moves)


def _end(hosts: Site, moves: Sequence[Move]) -> Trouble:
    for move in moves:
        hosts = after(hosts, move)
    return trouble(hosts)


def _step_by_step(hosts: Site) -> list[Move]:
    """Each time the move that helps most, as long as one does."""
    moves, now = list[Move](), trouble(hosts)
    while any((now[0], now[1], *now[2])):
        best = _best(hosts)
        if best is None or best[0] >= now:
            break
        now, hosts, move = best
        moves.append(move)
    return moves


def _best(hosts: Site) -> tuple[Trouble, Site, Move] | None:
    """Of the moves that seem best the one that is; N+1, which takes longest, is asked until one keeps it."""
    sites = [(after(hosts, move), move) for move in possible(hosts)[:FEW]]
    pairs = {move: sum(map(_together, then.values())) for then, move in sites}
    sites = [one for one in sites if pairs[one[1]] == min(pairs.values())]
    found = []
    for then, move in sorted(sites, key=lambda one: _uneven(one[0])):
        found.append((trouble(then), then, move))
        if not found[-1][0][1]:
            return found[-1]
    return min(found, key=lambda one: one[0], default=None)


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
    said = []
    for move in moves:
        then = after(hosts, move)
        said.append(replace(move, why=_why(hosts, then, move)))
        hosts = then
    return said


def _why(before: Site, then: Site, move: Move) -> str:
    was, now = trouble(before), trouble(then)
    if now[0] < was[0]:
        return "it is kept apart from one that runs there, too"
    if now[1] < was[1]:
        return f"N+1: {was[1] - now[1]} MiB more have room elsewhere, should their host die"
    host = before[move.source]
    return f"{move.source} has {round(100 * used(host) / host.memory)} % of its memory in use"


def carry_out(moves: Sequence[Move], move: Callable[[Move], object]) -> tuple[list[dict[str, Any]], bool]:
    """One after the other, also after one that failed: what came of each, and whether all went well."""
    done = []
    for row, one in zip(rows(moves), moves, strict=True):
        try:
            move(one)
            done.append({**row, "outcome": "it has moved"})
        except InvirtError as error:
            done.append({**row, "outcome": error.message})
    return done, all(row["outcome"] == "it has moved" for row in done)


def rows(moves: Sequence[Move]) -> list[dict[str, Any]]:
    """As they are shown."""
    return [{"machine": m.machine, "from": m.source, "to": m.target, "why": m.why} for m in moves]
