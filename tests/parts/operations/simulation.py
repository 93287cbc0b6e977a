"""A world of one process with a clock of its own: users, two remote servers, hosts and their network.

Whoever does something is a task: a thread, of which one at a time runs, and
only until it waits, speaks with a host or has ended a transaction.  Then the
seed's chance says who is next and what goes wrong, so that a seed's history
is always the same.  Time passes only when nobody can go on; the database's
now() is the world's too.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import psycopg2.extensions

from invirt.base.errors import CommandFailed, InvirtError, Unreachable
from invirt.database import connection
from invirt.remote.hosts import NoAnswer
from tests.parts.operations.fakehosts import FakeHosts, Killed
from tests.parts.postgres import Database

EPOCH = 1_900_000_000  # seconds: where the world's time begins
HOUR = 3600.0
STEP = 3.0  # seconds: how far the database's clock may be behind; telling it takes time
QUESTIONS = ("list", "status")

# In front of pg_catalog, so that what the product calls now() is the world's.
CLOCK = """
CREATE SCHEMA simulation;
CREATE SEQUENCE simulation.milliseconds;
CREATE FUNCTION simulation.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT to_timestamp(last_value / 1000.0) FROM simulation.milliseconds';
CREATE FUNCTION simulation.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT simulation.now()';
GRANT USAGE ON SCHEMA simulation TO PUBLIC;
GRANT SELECT ON SEQUENCE simulation.milliseconds TO PUBLIC;
ALTER DATABASE {name} SET search_path = simulation, pg_catalog, public;
"""


@dataclass(frozen=True)
class Climate:
    """How often, of a thousand commands or transactions, something happens."""

    killed: int = 4  # who asks dies, before or after it
    cut: int = 3  # the network to the database, before or after a commit
    stalled: int = 5  # who asks does nothing for hours
    down: int = 6  # the host falls silent
    crash: int = 3  # and all its guests end
    failed: int = 15  # the host, or its storage
    lost: int = 10  # the command, or its answer
    late: int = 20  # the command comes much later
    again: int = 20  # it comes now, and once more later


BAD = Climate()
ROUGH = Climate(down=12, failed=60, lost=40, late=100, again=60)
FINE = Climate(0, 0, 0, 0, 0, 0, 0, 0, 0)


class Task:
    """Something that someone does in a thread, which runs only within step()."""

    def __init__(self, world: World, name: str, work: Callable[[Any], object]) -> None:
        self.world, self.name, self.work = world, name, work
        self.wake = world.now
        self.ended = False
        self.error: BaseException | None = None
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        self._go.acquire()
        connected = self.world.borrow()
        try:
            self.work(connected)
        except (InvirtError, Killed) as error:
            self.world.note(f"{self.name}: {type(error).__name__}")
        except BaseException as error:
            self.error = error
        finally:
            self.world.lend(connected)
            self.ended = True
            self._stopped.release()

    def step(self) -> None:
        """Let it go on until it waits or ends; raises what only a bug can raise."""
        self.world.task = self
        self._go.release()
        self._stopped.acquire()
        self.world.task = None
        if self.error:
            raise self.error

    def wait(self, seconds: float) -> None:
        """Called by its own thread: let others go on."""
        self.wake = self.world.now + seconds
        self._stopped.release()
        self._go.acquire()


class Simulated(connection.Connection):
    """A connection whose user may die, or be cut off, before and after the end of each transaction."""

    world: World

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
        self.world.mishap()
        self.world.cut()
        self.world.sleep(0)


class SimulatedHosts(FakeHosts):
    """Hosts behind a network that does what it likes with commands."""

    world: World
    acts = 0  # commands that were no questions

    def act(self, hostname: str, words: tuple[str, ...]) -> str:
        """What a host does, counted."""
        self.acts += words[1] not in QUESTIONS
        return super().act(hostname, words)

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        world = self.world
        host, question = self.hosts[hostname], words[1] in QUESTIONS
        world.mishap()
        world.sleep(world.chance.uniform(0, 2))
        if not host.up:
            raise Unreachable(f"{hostname} doesn't answer: connection refused")
        luck = world.luck()
        if luck in ("down", "crash"):
            world.down(hostname, guests=luck == "crash")
            raise Unreachable(f"{hostname} doesn't answer: connection reset")
        if luck == "failed" and world.chance.random() < 0.5:
            raise CommandFailed(f"{hostname} failed")
        if luck in ("late", "again") and not question:
            world.post(hostname, words)
        if luck == "late" or luck == "lost" and world.chance.random() < 0.5:
            world.sleep(timeout)
            raise NoAnswer(f"no answer from {hostname}")
        answer = self.act(hostname, words)
        world.note(f"{hostname} does {' '.join(words[:3])}")
        world.mishap()
        if luck == "failed":
            raise CommandFailed(f"{hostname} failed, but did it")
        if luck == "lost":
            world.sleep(timeout)
            raise NoAnswer(f"no answer from {hostname}")
        world.sleep(world.chance.uniform(0, 2))
        return answer


@dataclass
class World:
    """All that there is, and what has happened (trace).  It is the clock, too: see invirt.remote.clock."""

    database: Database
    owner: psycopg2.extensions.connection
    hosts: SimulatedHosts
    chance: random.Random = field(default_factory=random.Random)
    now: float = 0.0
    climate: Climate = BAD
    task: Task | None = None
    tasks: list[Task] = field(default_factory=list)
    parcels: list[tuple[float, str, tuple[str, ...]]] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    idle: list[Simulated] = field(default_factory=list)
    told: float = -1.0  # the time that the database knows

    def begin(self, seed: int) -> None:
        """Nothing is there, nothing has happened."""
        self.chance, self.now = random.Random(seed), 0.0
        self.climate = BAD if seed % 2 else ROUGH
        self.trace, self.parcels, self.tasks = [], [], []
        self.rows("DELETE FROM operations; DELETE FROM machines; DELETE FROM owners")
        self.hosts.volumes.clear()
        self.hosts.trash.clear()
        self.hosts.calls.clear()
        for host in self.hosts.hosts.values():
            host.up = True
            for kept in (host.running, host.deaf, host.tokens):
                kept.clear()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the database says."""
        with self.owner.cursor() as cursor:
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
            self.hosts.hosts[hostname].running.clear()

    def post(self, hostname: str, words: tuple[str, ...]) -> None:
        """This command will come later: soon, or much later."""
        self.note(f"{' '.join(words[:3])} will come to {hostname} later")
        delay = self.chance.choice((1, 200, 2000)) * self.chance.random()
        self.parcels.append((self.now + delay, hostname, words))

    def deliver(self) -> None:
        """What comes by now, in the order of its coming."""
        for parcel in sorted(parcel for parcel in self.parcels if parcel[0] <= self.now):
            self.parcels.remove(parcel)
            _, hostname, words = parcel
            if self.hosts.hosts[hostname].up:
                with suppress(InvirtError):
                    self.hosts.act(hostname, words)
                    self.note(f"{hostname} does {' '.join(words[:3])}, late")

    def start(self, name: str, work: Callable[[Any], object]) -> None:
        """Someone begins something."""
        self.note(name)
        self.tasks.append(Task(self, name, work))

    def go_on(self) -> None:
        """One task goes on; if none can, time passes until one can, or something comes."""
        ready = [task for task in self.tasks if task.wake <= self.now]
        if ready:
            self.tell_time()
            task = self.chance.choice(ready)
            task.step()
            if task.ended:
                self.tasks.remove(task)
        elif self.tasks or self.parcels:
            moments = [task.wake for task in self.tasks] + [parcel[0] for parcel in self.parcels]
            self.now = max(self.now, min(moments))
        self.deliver()

    def tell_time(self) -> None:
        """To the database, unless it nearly knows."""
        if not 0 <= self.now - self.told < STEP:
            self.rows(f"SELECT setval('simulation.milliseconds', {int((EPOCH + self.now) * 1000)})")
            self.told = self.now

    def settle(self) -> None:
        """Let all that is under way come to its end."""
        while self.tasks or self.parcels:
            self.go_on()

    def borrow(self) -> Simulated:
        """A connection of this world's remote servers; they are made once."""
        if self.idle:
            return self.idle.pop()
        made = psycopg2.connect(connection_factory=Simulated, **connection.settings())
        assert isinstance(made, Simulated)
        made.world = self
        return made

    def lend(self, connected: Simulated) -> None:
        """Take it back, without what was not committed."""
        connected.rollback()
        self.idle.append(connected)
