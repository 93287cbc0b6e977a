"""What happens to the simulation's people, hosts and network, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invirt.base.errors import Busy, CommandFailed, Denied, Unreachable
from invirt.remote.hosts import NoAnswer
from tests.parts.operations.fakedisks import FakePool
from tests.parts.operations.fakeguests import FakeHost, Job
from tests.parts.operations.fakehosts import FakeHosts, shown

if TYPE_CHECKING:
    from tests.parts.operations.simulation import World

QUESTIONS = ("list", "status", "moved", "installed")
EPOCH = 1_900_000_000  # seconds: where the world's time begins
RESERVED = """
SELECT r.memory FROM reservations r JOIN hosts h ON h.host_id = r.host_id
    JOIN machines m ON m.machine_id = r.machine_id
    WHERE hostname = '{hostname}' AND m.name = '{name}'
"""
NEVER = 1 << 30  # questions: the job ends in its own time
Place = tuple[str, ...]  # pool, machine and disk of a volume; or, in the trash, also the operation


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
ROUGH = Climate(killed=10, cut=6, stalled=10, down=12, crash=6, failed=60, lost=40, late=100, again=150)
FINE = Climate(0, 0, 0, 0, 0, 0, 0, 0, 0)


class SimulatedHosts(FakeHosts):
    """Hosts behind a network that does what it likes with commands."""

    world: World

    def __init__(self, *hostnames: str) -> None:
        super().__init__(*hostnames)
        self.acts = 0  # commands that were no questions
        self.contents: dict[Place, int] = {}  # what is on each volume: one is never like another
        self.wrong: list[str] = []  # what must never be
        self.delivers = False  # a command that comes late

    def copied(self, pool: FakePool, other: FakePool, name: str, disk: str) -> None:
        """See FakeHosts."""
        names = {id(one): called for called, one in self.pools.items()}
        self.contents[names[id(other)], name, disk] = self.contents[names[id(pool)], name, disk]

    def act(self, hostname: str, words: tuple[str, ...]) -> str:
        """What a host does, and where the disks' contents are after it."""
        if words[1] in QUESTIONS or words[0] == "job":
            return super().act(hostname, words)
        self.acts += 1
        answer = super().act(hostname, words)
        if self.world.has_ended(int(words[-1])):
            self.wrong.append(f"{hostname} does {' '.join(words[:3])} for what is over")
        places = {tuple(map(str, place)) for place in (*self.all_volumes(), *self.all_trash())}
        left, new = self.contents.keys() - places, places - self.contents.keys()
        for place in new:
            self.contents[place] = self.contents.pop(left.pop()) if left else self.acts
        if words[1] != "purge":
            self.wrong += [f"what was on {place} is lost" for place in left]
        for place in left:
            self.contents.pop(place, None)
        return answer

    def require(self, hostname: str, name: str) -> None:
        """As hosts do: they boot, and expect, nothing but what has memory reserved there."""
        if not self.world.rows(RESERVED.format(hostname=hostname, name=name)):
            raise Denied(f"no memory is reserved for machine {name} on {hostname}")

    def wakes(self, hostname: str) -> None:
        """What the observer of a host that was lost does, before it says that it lives."""
        host = self.hosts[hostname]
        host.crash()
        [(host.floor,)] = self.world.rows("SELECT last_value FROM operation_token")

    def _domain_create(self, host: FakeHost, name: str) -> None:
        if name not in host.running:
            self.require(self._own(host), name)
        super()._domain_create(host, name)

    def _domain_receive(self, host: FakeHost, name: str, source: str) -> None:
        self.require(self._own(host), name)
        super()._domain_receive(host, name, source)

    def _host_status(self, host: FakeHost) -> object:
        """Its clock is the world's, if it is right."""
        about = {"hypervisor": host.hypervisor, "clock": EPOCH + self.world.now + host.ahead}
        return about if host.behind else about | {"storage": host.storage}

    def word_comes(self) -> bool:
        """Or the connection between two hosts is lost at its last moment."""
        return self.world.chance.random() < 0.7

    def _job_begin(self, hostname: str, token: int, *words: str) -> object:
        """Some jobs end at once, some take their time, whether anybody asks or not."""
        chance, known = self.world.chance, token in self.hosts[hostname].jobs
        self.hosts[hostname].slow = NEVER if not known and chance.random() < 0.5 else 0
        answer = super()._job_begin(hostname, token, *words)
        job = self.hosts[hostname].jobs[token]
        if not known:
            job.in_time = not self.delivers
        if not known and job.ended is None:
            self.world.jobs.append((self.world.now + chance.uniform(0, 60), hostname, job))
        return answer

    def end_job(self, hostname: str, job: Job) -> None:
        """It may fail, before or after; its token is refused only if nobody waits for it any more."""
        failed = self.world.chance.randrange(1000) < self.world.climate.failed
        if not failed or self.world.chance.random() < 0.5:
            super().end_job(hostname, job)
            self.world.note(f"{hostname} ends its job {' '.join(job.words[:3])}: {job.ended}")
        if failed:
            job.ended = {"status": CommandFailed.exit_code, "said": f"job: {hostname} failed"}
        refused = job.ended is not None and job.ended["status"] == Busy.exit_code
        if refused and job.in_time and not self.delivers and self.is_current(hostname, job.words):
            self.wrong.append(f"{' '.join(job.words[:3])} is refused, though it comes in time")

    def is_current(self, hostname: str, words: tuple[str, ...]) -> bool:
        """Whether whoever is at work waits for this command; one from before the host woke is old."""
        if int(words[-1]) <= self.hosts[hostname].floor:
            return False
        return self.world.rows(f"SELECT kind FROM operations WHERE token = {words[-1]}") != []

    def obey(self, hostname: str, words: tuple[str, ...]) -> str:
        """act(), for who is at work: his token is refused only if he is not at work any more."""
        try:
            return self.act(hostname, words)
        except Busy:
            if self.is_current(hostname, words):
                self.wrong.append(f"{' '.join(words[:3])} is refused, though it comes in time")
            raise

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
        answer = self.obey(hostname, words)
        world.note(f"{hostname} does {shown(words)}")
        world.mishap()
        if luck == "failed":
            raise CommandFailed(f"{hostname} failed, but did it")
        if luck == "lost":
            world.sleep(timeout)
            raise NoAnswer(f"no answer from {hostname}")
        world.sleep(world.chance.uniform(0, 2))
        return answer
