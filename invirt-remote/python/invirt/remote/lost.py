"""A host that is lost: once it is certain that it is off, its machines are booted elsewhere.

Certain makes it an administrator who has seen to it, or the site's fence; and one
that answers, or has given a sign of life since, is not lost, whatever they say.
Killed at any step, it is run again: what was done is found done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

from invirt import config
from invirt.base.errors import Busy, InvirtError, NoRoom, NotFound, Unreachable
from invirt.base.names import MachineName
from invirt.database.connection import Connection, transaction
from invirt.remote import clock, fence, operations, reconcile, wanted
from invirt.remote.answers import guests
from invirt.remote.hosts import Hosts, NoAnswer
from invirt.remote.operations import recovery, store
from invirt.remote.operations.engine import change
from invirt.remote.operations.model import Actor, Say
from invirt.remote.rows import Cursor
from invirt.remote.survey import Host, all_hosts

QUIET = 7.0  # seconds: a host that lives gives a sign of life every five (invirt.host.observer)
SETTLE = 30.0  # seconds until what was under way on the host has come to its end
LOOK = 0.5  # seconds between two looks
VOUCHED = {"power-off": "its power is off", "unplugged": "it is unplugged"}

QUIET_FOR = """
SELECT extract(epoch FROM clock_timestamp() - seen_at)::float AS quiet FROM host_signs WHERE host_id = %s
"""
UNDER_WAY = """
state = ANY(%s) AND EXISTS (SELECT FROM operation_steps s WHERE s.operation_id = operations.operation_id
    AND s.detail->>'hostname' = %s)
"""
BOOTS = """
SELECT m.name, o.operation_id, h.name AS host FROM machines m JOIN reservations r USING (machine_id)
JOIN operations o USING (operation_id) JOIN hosts h ON h.host_id = r.host_id
WHERE o.kind = 'boot' AND o.state IN ('running', 'done')
"""
ITS_BOOT = f"{BOOTS} AND m.name = %s AND (o.operation_id = %s OR o.state = 'running')"
BEGUN = f"""{BOOTS} AND m.name <> ALL(%s::text[]) AND EXISTS (SELECT FROM hosts l
    WHERE l.host_id = %s AND l.name = m.lost_host AND l.lost_at <= m.lost_at) ORDER BY o.operation_id
"""


def lose(
    connection: Connection, hosts: Hosts, name: str, confirm: str | None, who: Actor, say: Say
) -> list[dict[str, Any]]:
    """Declare a host lost, and have the machines that are wanted on booted elsewhere.

    confirm: of VOUCHED, what the administrator has seen to; None: the fence does it.  Returns a
    record for each machine that is wanted on, and off: where it boots, or why it doesn't; and for
    those of this host that others, or an earlier run, have begun to boot.  Raises Busy for a host
    that lives, and what fence.off raises: then nothing is changed.
    """
    host = find(connection, name)
    if not host.lost:
        by = _make_sure(connection, hosts, host, confirm, who.principal, say)
        change(connection, lambda cursor: cursor.execute("SELECT lose_host(%s, %s)", (host.host_id, by)))
    say(f"{host.name} is lost: nothing is promised there")
    gone = recovery.Impatient(hosts, {host.hostname})
    _settle(connection, gone, host, say)
    return _boot(connection, gone, host, say)


def find(connection: Connection, name: str) -> Host:
    """The host of that name, short or full; raises NotFound."""
    with transaction(connection) as cursor:
        for host in all_hosts(cursor):
            if name in (host.name, host.hostname):
                return host
    raise NotFound(f"there is no host {name}", hint="admin host list shows all.")


def running(hosts: Hosts, host: Host) -> set[MachineName]:
    """The machines that run there, by the host's own word; raises why there is none."""
    answer = hosts.call(host.hostname, "domain", "list", timeout=config.remote.host_timeout)
    return guests(host.hostname, answer)


def _make_sure(
    connection: Connection, hosts: Hosts, host: Host, confirm: str | None, who: str, say: Say
) -> str:
    """Returns who says that it is off, and how that is known."""
    say(f"asking whether {host.name} answers")
    _refuse_if_it_answers(hosts, host)
    if confirm:
        by, off = f"{who}: {VOUCHED[confirm]}", clock.current.monotonic()
    else:
        say(f"the fence switches {host.name} off, {config.remote.fence_timeout} s at most")
        fence.off(host.hostname)
        by, off = f"{who}, by the fence", clock.current.monotonic()
        _refuse_if_it_answers(hosts, host)
    _refuse_if_it_lives(connection, host, off, say)
    return by


def _refuse_if_it_answers(hosts: Hosts, host: Host) -> None:
    """Raises Busy for whatever it says, and where it has taken our question."""
    try:
        hosts.call(host.hostname, "domain", "list", timeout=config.remote.host_timeout)
    except NoAnswer as error:
        raise _lives(host, f"takes connections ({error.message})") from error
    except Unreachable:
        return
    except InvirtError as error:
        raise _lives(host, f"answers ({error.message})") from error
    raise _lives(host, "answers")


def _lives(host: Host, seen: str) -> Busy:
    hint = f"Nothing was changed. admin host set {host.name} --disable keeps new machines off."
    return Busy(f"{host.name} {seen}: it is not lost", hint=hint)


def _refuse_if_it_lives(connection: Connection, host: Host, since: float, say: Say) -> None:
    """Raises Busy if it has given a sign of life since then; waits until it would have."""
    waits = False
    while True:
        with transaction(connection) as cursor:
            cursor.execute(QUIET_FOR, (host.host_id,))
            sign = cursor.fetchone()
        passed = clock.current.monotonic() - since
        if sign is not None and sign.quiet < passed:
            raise _lives(host, f"gave a sign of life {sign.quiet:.0f} s ago")
        if sign is None or sign.quiet > QUIET or passed > QUIET:
            return
        if not waits:
            say(f"{host.name} gave its last sign of life {sign.quiet:.0f} s ago: is there another?")
            waits = True
        clock.current.sleep(LOOK)


def _settle(connection: Connection, hosts: Hosts, host: Host, say: Say) -> None:
    """What was under way on the host comes to its end: see operations.surviving.  Waits for who is at it."""
    deadline, told = clock.current.monotonic() + SETTLE, ""
    while clock.current.monotonic() < deadline:
        with transaction(connection) as cursor:
            left = store.select(cursor, UNDER_WAY, (["running", "undoing"], host.hostname))
            mine = [one for one in store.left_over(cursor) if one.number in {op.operation_id for op in left}]
        if not left:
            return
        if told != (told := left[0].title):
            say(f"{told} comes to its end")
        for one in mine:
            with suppress(InvirtError):
                recovery.take_up(connection, hosts, one, operations.silence)
        clock.current.sleep(0 if mine else LOOK)


def _boot(connection: Connection, hosts: Hosts, host: Host, say: Say) -> list[dict[str, Any]]:
    """Have all that is wanted on, and off, booted by the service, in the order of wanted.

    What the timer, which does the same, had begun before the names were read is told first.
    """
    facts = reconcile.gather(connection, hosts, volumes=False)
    names = wanted.to_boot(connection, facts, at_once=None)
    with transaction(connection) as cursor:
        cursor.execute(BEGUN, (names, host.host_id))
        begun = [_boots(row) for row in cursor.fetchall()]
    found = []
    for record in chain(begun, (_begin(connection, hosts, name, host) for name in names)):
        say("{machine}: {what}".format(**record))
        found.append(record)
    return found


def _begin(connection: Connection, hosts: Hosts, name: MachineName, host: Host) -> dict[str, Any]:
    """Have it booted, unless the timer has begun that since the list was made."""
    because = {"because": f"{host.name} was lost"}
    number = None
    try:
        number = operations.begin("boot", wanted.actor(), name, because, hosts=hosts, connection=connection)
        why = f"stays off: operation {number} has failed"
    except InvirtError as error:
        why = f"stays off: {error}".replace("\n", "; ")
    with transaction(connection) as cursor:
        cursor.execute(ITS_BOOT, (name, number))
        if row := cursor.fetchone():
            return _boots(row)
        return {"machine": name, "host": "", "what": _alone(cursor, name, host) or why}


def _boots(row: Any) -> dict[str, Any]:
    return {
        "machine": row.name,
        "host": row.host,
        "what": f"boots on {row.host}, operation {row.operation_id}",
    }


def _alone(cursor: Cursor, name: MachineName, host: Host) -> str:
    """What is said of a machine whose disks only the lost host sees, "" of others."""
    cursor.execute(
        "SELECT p.name FROM machines m JOIN disks d USING (machine_id) JOIN pools p USING (pool_id)"
        " WHERE m.name = %s AND NOT EXISTS (SELECT FROM pool_sight s WHERE s.pool_id = p.pool_id"
        "  AND s.host_id <> %s)",
        (name, host.host_id),
    )
    row = cursor.fetchone()
    if row is None:
        return ""
    return f"stays off until {host.name} is back: its pool {row.name} is seen by no other host"


def left_off(found: Sequence[dict[str, Any]]) -> int:
    """The exit code: NoRoom's if a machine stays off."""
    return 0 if all(one["host"] for one in found) else NoRoom.exit_code
