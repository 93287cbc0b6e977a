"""Writes into the database what this host sees of its guests, and a sign of life.

Nothing here decides: who boots or moves a machine asks the hosts themselves.  But a host
that was declared lost, and wakes, ends its guests before it says anything: they run elsewhere.  Nor does it
obey commands any more that come from before: others have done, or undone, what they were for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg2

from invirt.base import identity, log
from invirt.base.errors import InvirtError
from invirt.base.names import DomainName, machine_of
from invirt.database import usage
from invirt.database.connection import Connection
from invirt.host.usage import Meter
from invirt.host.usage import columns as measured
from invirt.host.watching import Seen, Watch

LOOK = 1.0  # seconds between looks, unless something is told
PAUSE = 0.25  # seconds between two writes: a guest may stop and go on as often as it likes
SIGN = 5.0  # seconds between signs of life
AGAIN = 60.0  # seconds after which all is written again: what was refused may be allowed by now

# A guest that was booted again between two looks has another time.  Ages, not times, since a
# host's clock may be wrong.  One that the host doesn't know any more is off.
WRITE = """
WITH told AS (
    SELECT t.name, t.state, t.why, now() - make_interval(secs => t.age) AS since, m.machine_id, h.host_id,
        EXISTS (SELECT FROM reservations r
            WHERE r.machine_id = m.machine_id AND r.host_id = h.host_id) AS placed
    FROM hosts h CROSS JOIN unnest(%(names)s::text[], %(machines)s::integer[], %(states)s::text[],
            %(whys)s::text[], %(ages)s::double precision[]) AS t (name, machine, state, why, age)
        LEFT JOIN machines m ON m.name = t.name AND m.machine_id = coalesce(t.machine, m.machine_id)
    WHERE %(host)s IN (h.hostname, h.name)
), known AS (
    UPDATE guest_states g SET state = t.state, why = t.why, since = t.since FROM told t
    WHERE g.machine_id = t.machine_id AND g.host_id = t.host_id AND (t.placed OR t.state = 'off')
        AND ((g.state, g.why) IS DISTINCT FROM (t.state, t.why)
            OR t.state <> 'off' AND abs(extract(epoch FROM g.since - t.since)) > 2)
), gone AS (
    UPDATE guest_states g SET state = 'off', why = NULL, since = now() FROM hosts h
    WHERE g.host_id = h.host_id AND %(host)s IN (h.hostname, h.name) AND g.state <> 'off'
        AND NOT EXISTS (SELECT FROM told t WHERE t.machine_id = g.machine_id)
), new AS (
    INSERT INTO guest_states (machine_id, host_id, state, why, since)
    SELECT machine_id, host_id, state, why, since FROM told t WHERE placed AND NOT EXISTS (
        SELECT FROM guest_states g WHERE g.machine_id = t.machine_id AND g.host_id = t.host_id)
)
SELECT name FROM told WHERE state <> 'off' AND NOT placed ORDER BY name
"""
ALIVE = """
INSERT INTO host_signs (host_id, strangers, load, accelerator, reason)
    SELECT host_id, %(strangers)s, least(%(load)s, 1000), %(accelerator)s, left(%(reason)s, 200)
    FROM hosts WHERE %(host)s IN (hostname, name)
ON CONFLICT (host_id) DO UPDATE SET seen_at = now(), strangers = excluded.strangers, load = excluded.load,
    accelerator = excluded.accelerator, reason = excluded.reason
"""
LOST = """
SELECT lost_at, (SELECT last_value FROM operation_token) FROM hosts
WHERE %(host)s IN (hostname, name) AND lost_at IS NOT NULL
"""
# A minute that is there already stays as it is.
USED = """
INSERT INTO usage_minutes AS u (machine_id, host_id, begins, slots, used, drops)
    SELECT t.machine_id, h.host_id, date_trunc('hour', now(), 'UTC'),
        ARRAY[extract(minute FROM now() AT TIME ZONE 'UTC')::smallint], t.used::integer[], t.drops::integer[]
    FROM hosts h JOIN reservations r USING (host_id)
        JOIN unnest(%(machines)s::integer[], %(used)s::text[], %(drops)s::text[])
            AS t (machine_id, used, drops) USING (machine_id)
    WHERE %(host)s IN (h.hostname, h.name)
ON CONFLICT (machine_id, begins, host_id) DO UPDATE SET slots = u.slots || excluded.slots,
    used = u.used || excluded.used,
    drops = CASE WHEN excluded.drops IS NULL THEN u.drops ELSE (
        SELECT array_agg(least(coalesce(d.before, 0)::bigint + d.more, 2147483647)::integer ORDER BY d.i)
        FROM unnest(u.drops, excluded.drops) WITH ORDINALITY AS d (before, more, i)) END
    WHERE NOT u.slots && excluded.slots
"""


class Observer:
    """status: what its hypervisor says of itself; end: ends a guest at once; outdate: makes all tokens up
    to one old; host: this one's name, by default as it knows it itself."""

    def __init__(
        self,
        watch: Watch,
        status: Callable[[], Mapping[str, str]],
        end: Callable[[DomainName], None],
        outdate: Callable[[int], None],
        host: str = "",
    ) -> None:
        self.watch, self.status, self.end, self.outdate = watch, status, end, outdate
        self.host = host or identity.hostname()
        self.lost_at: datetime | None = None
        self.written: frozenset[Seen] | None = None
        self.written_at = self.signed_at = 0.0
        self.connected: Connection | None = None
        self.strangers: list[str] = []
        self.said = ""
        self.meter, self.measured_at = Meter(), 0.0

    def turn(self, connected: Connection) -> None:
        """Wait for something to happen, and write what is new; what can't be seen is not signed."""
        if connected is not self.connected:  # another may have been there meanwhile
            self.connected, self.written, self.written_at = connected, None, 0.0
            with connected.cursor() as cursor:
                cursor.execute("SET synchronous_commit = off")  # what is lost is written again
        else:
            self.watch.wait(LOOK)
        try:
            seen = frozenset(one for one in self.watch.look() if machine_of(one.name))
        except InvirtError as error:
            self._say(f"what runs here isn't known: {error.message} {error.hint}")
            return
        self._say("")
        self._obey(connected, seen)
        now = time.monotonic()
        if now - self.written_at > (AGAIN if seen == self.written else PAUSE):
            self._write(connected, seen)
            self.written, self.written_at, self.signed_at = seen, now, 0.0
        if now - self.signed_at > SIGN:
            self._sign(connected)
            self.signed_at = now
        if now - self.measured_at >= usage.EVERY:
            self._measure(connected)
            self.measured_at = (
                max(self.measured_at, now - 2 * usage.EVERY) + usage.EVERY
            )  # no minute is left out

    def _obey(self, connected: Connection, seen: frozenset[Seen]) -> None:
        """If this host is lost, nothing runs here.

        Asked at each turn: a clock that stood still with the host doesn't tell that time has passed.
        """
        with connected.cursor() as cursor:
            cursor.execute(LOST, {"host": self.host})
            lost_at, token = cursor.fetchone() or (None, 0)
        if lost_at:
            self._end(seen)
        if lost_at and lost_at != self.lost_at:  # commands that come since then are meant as ever
            self.outdate(token)
        self.lost_at = lost_at

    def _end(self, seen: frozenset[Seen]) -> None:
        for one in sorted(seen, key=lambda one: one.name):
            if one.state == "off":
                continue
            log.write(
                f"ALARM: this host was declared lost while {one.name} ran, which may run elsewhere by now:"
                " it is ended here at once",
                log.ERROR,
            )
            try:
                self.end(one.name)
            except InvirtError as error:
                log.write(f"ALARM: {one.name} could not be ended: {error.message} {error.hint}", log.ERROR)

    def _sign(self, connected: Connection) -> None:
        about = self.status()
        values = {
            "host": self.host,
            "strangers": len(self.strangers),
            "load": os.getloadavg()[0] / (os.cpu_count() or 1),
            "accelerator": about["accelerator"],
            "reason": about.get("reason"),
        }
        with connected.cursor() as cursor:
            cursor.execute(ALIVE, values)

    def _measure(self, connected: Connection) -> None:
        """What was used since the last time; what the database doesn't take is lost, and logged."""
        used = self.meter.grown(self.watch.counted())
        if not used:
            return
        values = {"host": self.host, **measured(used)}
        try:
            with connected.cursor() as cursor:
                cursor.execute(USED, values)
        except psycopg2.errors.CheckViolation as error:  # no part of the table is for this day
            log.write(f"what guests use is not kept: {str(error).splitlines()[0]}", log.WARNING)

    def _write(self, connected: Connection, seen: frozenset[Seen]) -> None:
        with connected.cursor() as cursor:
            cursor.execute(WRITE, {"host": self.host, **columns(sorted(seen, key=lambda one: one.name))})
            strangers = [name for (name,) in cursor.fetchall()]
        for name in sorted(set(strangers) - set(self.strangers)):
            log.write(f"a guest of {name} runs here, where nothing is reserved for it", log.WARNING)
        self.strangers = strangers

    def _say(self, text: str) -> None:
        """Once, until there is something else to be said."""
        if text and text != self.said:
            log.write(text, log.WARNING)
        self.said = text


def columns(seen: Sequence[Seen]) -> dict[str, list[Any]]:
    """What is written of them, as arrays."""
    now = time.time()
    return {
        "names": [machine_of(DomainName(one.name)) for one in seen],
        "machines": [one.machine for one in seen],
        "states": [one.state for one in seen],
        "whys": [one.why or None for one in seen],
        "ages": [max(0.0, now - one.since) for one in seen],
    }
