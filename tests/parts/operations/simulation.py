"""A world of one process with a clock of its own: users, two remote servers, hosts and their network.

Whoever does something is a task, which goes on until it waits, speaks with a
host or has ended a transaction.  Then the seed's chance says who is next and
what goes wrong, so that a seed's history is always the same.  Time passes only
when nobody can go on; the database's now() is the world's too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import psycopg2.extensions
from greenlet import greenlet
from psycopg2.extras import NamedTupleCursor

from invirt.base.errors import InvirtError, Unreachable
from invirt.database import connection
from invirt.remote.operations import store
from invirt.remote.rows import Cursor
from tests.parts.operations.fakeguests import Job
from tests.parts.operations.fakehosts import Killed, shown
from tests.parts.operations.weather import BAD, EPOCH, ROUGH, Climate, SimulatedHosts
from tests.parts.postgres import Database

HOUR = 3600.0
REMOTES = ("remote1", "remote2")
STEP = 3.0  # seconds: how far the database's clock may be behind; telling it takes time

CLAIM, MARK = store.claim, store.begin
ENDED = "SELECT operation_id FROM operations WHERE finished_at IS NOT NULL"
HELD = "SELECT lease_holder FROM operations WHERE operation_id = %s AND lease_until > now()"

# In front of pg_catalog, so that what the product calls now() is the world's.
# A lock is never waited for, since its holder can't go on meanwhile: nothing but
# tasks may take any.  All databases' notifying transactions wait for each other.
CLOCK = """
CREATE SCHEMA simulation;
CREATE SEQUENCE simulation.milliseconds;
CREATE FUNCTION simulation.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT to_timestamp(last_value / 1000.0) FROM simulation.milliseconds';
CREATE FUNCTION simulation.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT simulation.now()';
GRANT USAGE ON SCHEMA simulation TO PUBLIC;
GRANT SELECT ON SEQUENCE simulation.milliseconds TO PUBLIC;
DO $$ DECLARE name regclass; rule record; BEGIN
    FOR name IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        LOOP EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)', name); END LOOP;
    FOR rule IN SELECT tgrelid::regclass AS of, tgname FROM pg_trigger JOIN pg_proc p ON p.oid = tgfoid
        WHERE prosrc LIKE '%pg_notify%'
        LOOP EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', rule.of, rule.tgname); END LOOP;
END $$;
ALTER DATABASE {name} SET search_path = simulation, pg_catalog, public;
"""


class Task:
    """A process of a remote server, which goes on only within step()."""

    def __init__(self, world: World, server: str, name: str, work: Callable[[Any], object]) -> None:
        self.world, self.server, self.name, self.work = world, server, name, work
        self.holder = f"{server}/{world.begun}"
        self.wake = world.now
        self.ended = False
        self._thread = greenlet(self._run)

    def _run(self) -> None:
        connected = self.world.borrow()
        try:
            self.work(connected)
        except (InvirtError, Killed) as error:
            self.world.note(f"{self.name}: {type(error).__name__}")
        finally:
            self.world.lend(connected)
            self.ended = True

    def step(self) -> None:
        """Let it go on until it waits or ends; raises what only a bug can raise."""
        self.world.task = self
        try:
            self._thread.switch()
        finally:
            self.world.task = None

    def end(self) -> None:
        """It gets no further; what it has begun in the database is rolled back."""
        self._thread.throw()

    def wait(self, seconds: float) -> None:
        """Called by itself: let others go on."""
        self.wake = self.world.now + seconds
        self._thread.parent.switch()


class Simulated(connection.Connection):
    """A connection whose user may die, or be cut off, before and after the end of each transaction."""

    world: World

    def __enter__(self) -> Simulated:
        self.world.tell_time()
        super().__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        if why[0] is not None:
            super().__exit__(*why)
            return
        try:
            self.world.mishap()
            self.world.cut()
        except BaseException as error:
            super().__exit__(type(error), error, None)
            raise
        super().__exit__(*why)
        self.world.commits += 1
        self.world.mishap()
        self.world.cut()
        self.world.sleep(0)


@dataclass
class World:
    """All that there is, and what has happened (trace).  It is the clock, too: see invirt.remote.clock."""

    database: Database
    owner: psycopg2.extensions.connection
    hosts: SimulatedHosts
    chance: random.Random = field(default_factory=random.Random)
    now: float = 0.0
    climate: Climate = BAD
    begun: int = 0  # tasks
    task: Task | None = None
    tasks: list[Task] = field(default_factory=list)
    parcels: list[tuple[float, str, tuple[str, ...]]] = field(default_factory=list)
    jobs: list[tuple[float, str, Job]] = field(default_factory=list)  # and when they end
    trace: list[str] = field(default_factory=list)
    idle: list[Simulated] = field(default_factory=list)
    owned: dict[int, int] = field(default_factory=dict)  # what is on the disks of machines, by disk_id
    trashed: dict[tuple[Any, ...], int] = field(default_factory=dict)  # what is on those in the trash
    told: float = 0.0  # the time that the database knows
    tokens: dict[int, int] = field(default_factory=dict)  # the operation of each mark's
    commits: int = 0
    hosts_die: bool = False
    held: list[str] = field(default_factory=list)  # hosts that an administrator keeps off

    def begin(self, seed: int) -> None:
        """Nothing is there, nothing has happened."""
        self.chance, self.now = random.Random(seed), 0.0
        self.climate = BAD if seed % 2 else ROUGH
        self.trace, self.parcels, self.tasks, self.begun, self.tokens = [], [], [], 0, {}
        self.jobs = []
        self.told = -HOUR
        self.tell_time()
        self.rows("DELETE FROM operations; DELETE FROM machines; DELETE FROM trash")
        hosts = self.hosts
        for kept in (
            *(pool.volumes for pool in hosts.pools.values()),
            *(pool.trash for pool in hosts.pools.values()),
            *(pool.expected for pool in hosts.pools.values()),
            hosts.contents,
            hosts.wrong,
            hosts.calls,
            self.owned,
            self.trashed,
        ):
            kept.clear()
        for host in self.hosts.hosts.values():
            host.up = True
            for each in (host.running, host.booted, host.crashed, host.deaf, host.tokens, host.jobs):
                each.clear()
            host.behind = self.chance.random() < 0.1

    def rows(self, query: str) -> list[Any]:
        """What the database says, in named tuples."""
        with self.owner.cursor(cursor_factory=NamedTupleCursor) as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []

    def note(self, words: str) -> None:
        """Remember that this happened."""
        self.trace.append(f"{self.now:9.2f} {words}")

    def monotonic(self) -> float:
        """See Clock."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """See Clock: of a task, while others go on; servers are busy, so it may take longer."""
        if self.task:
            self.task.wait(seconds * self.chance.choice((1, 1, 2, 20)))

    def luck(self) -> str:
        """What happens to this command: a name of Climate's, or nothing."""
        number = self.chance.randrange(1000)
        for name in ("down", "crash", "failed", "lost", "late", "again"):
            number -= getattr(self.climate, name)
            if number < 0:
                return name
        return ""

    def mishap(self) -> None:
        """Who is at work may die here, or stand still for hours."""
        number = self.chance.randrange(1000)
        if number < self.climate.killed:
            raise Killed
        if number < self.climate.killed + self.climate.stalled and self.task:
            self.note(f"{self.task.name} stands still")
            self.task.wait(self.chance.uniform(0, HOUR))

    def cut(self) -> None:
        """The network to the database may go."""
        if self.chance.randrange(1000) < self.climate.cut:
            raise Unreachable("the database doesn't answer")

    def down(self, hostname: str, guests: bool) -> None:
        """A host falls silent; with guests, it crashes."""
        self.note(f"{hostname} is down" + " with its guests" * guests)
        self.hosts.hosts[hostname].up = False
        if guests:
            self.hosts.hosts[hostname].crash()

    def post(self, hostname: str, words: tuple[str, ...]) -> None:
        """This command will come later: soon, much later, or when all is forgotten."""
        self.note(f"{shown(words)} will come to {hostname} later")
        delay = self.chance.choice((1, 200, 20000)) * self.chance.random()
        self.parcels.append((self.now + delay, hostname, words))

    def deliver(self) -> None:
        """What comes by now, in the order of its coming."""
        for parcel in sorted(parcel for parcel in self.parcels if parcel[0] <= self.now):
            self.parcels.remove(parcel)
            _, hostname, words = parcel
            if self.hosts.hosts[hostname].up:
                self.hosts.delivers = True
                with suppress(InvirtError):
                    self.hosts.act(hostname, words)
                    self.note(f"{hostname} does {shown(words)}, late")
                self.hosts.delivers = False

    def end_jobs(self) -> None:
        """Those whose time has come, unless their host has crashed since."""
        for due in sorted((due for due in self.jobs if due[0] <= self.now), key=lambda due: due[0]):
            self.jobs.remove(due)
            _, hostname, job = due
            if job.ended is None and any(job is one for one in self.hosts.hosts[hostname].jobs.values()):
                self.hosts.end_job(hostname, job)

    def start(self, name: str, work: Callable[[Any], object], server: str | None = None) -> None:
        """Someone begins something, on one of the remote servers."""
        self.note(name)
        self.begun += 1
        self.tasks.append(Task(self, server or self.chance.choice(REMOTES), name, work))

    def this_process(self) -> str:
        """Who is at work, in place of store.this_process()."""
        assert self.task
        return self.task.holder

    def is_gone(self, holder: str) -> bool:
        """In place of store.is_gone()."""
        return self.task is not None and holder.startswith(self.task.server) and not self.alive(holder)

    def alive(self, holder: str) -> bool:
        """Whether a task goes on, or stands still."""
        return any(task.holder == holder for task in self.tasks)

    def claim(self, cursor: Cursor, operation_id: int, *more: Any) -> store.Lease | None:
        """store.claim(), watched: nobody's lease is taken before its end."""
        cursor.execute(HELD, (operation_id,))
        held = cursor.fetchone()
        lease = CLAIM(cursor, operation_id, *more)
        if lease and held and self.alive(held.lease_holder):
            self.hosts.wrong.append(f"the lease of {held.lease_holder} was taken before its end")
        return lease

    def mark(self, cursor: Cursor, lease: store.Lease, *more: Any) -> store.Lease:
        """store.begin(), watched: whose commands its token is for."""
        marked = MARK(cursor, lease, *more)
        self.tokens[marked.token] = lease.operation_id
        return marked

    def has_ended(self, token: int) -> bool:
        """Whether the operation that a command belongs to is done or undone."""
        number = self.tokens.get(token, 0)
        return self.rows(f"{ENDED} AND operation_id = {number}") != []

    def go_on(self) -> None:
        """One task goes on; if none can, time passes until one can, or something comes."""
        ready = [task for task in self.tasks if task.wake <= self.now]
        if ready:
            task = self.chance.choice(ready)
            task.step()
            if task.ended:
                self.tasks.remove(task)
        elif self.tasks or self.parcels or self.jobs:
            moments = [task.wake for task in self.tasks] + [one[0] for one in (*self.parcels, *self.jobs)]
            self.now = max(self.now, min(moments))
        self.deliver()
        self.end_jobs()

    def tell_time(self) -> None:
        """To the database, unless it nearly knows."""
        if not 0 <= self.now - self.told < STEP:
            self.rows(f"SELECT setval('simulation.milliseconds', {int((EPOCH + self.now) * 1000)})")
            self.told = self.now

    def settle(self) -> None:
        """Let all that is under way come to its end."""
        while self.tasks or self.parcels or self.jobs:
            self.go_on()

    def borrow(self) -> Simulated:
        """A connection of this world's remote servers; they are made once."""
        if self.idle:
            return self.idle.pop()
        wanted = connection.settings()
        wanted["options"] += " -c lock_timeout=5ms"
        made = psycopg2.connect(connection_factory=Simulated, **wanted)
        assert isinstance(made, Simulated)
        made.world = self
        return made

    def lend(self, connected: Simulated) -> None:
        """Take it back, without what was not committed."""
        connected.rollback()
        self.idle.append(connected)
