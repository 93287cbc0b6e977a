"""Hosts in memory: they keep state, obey tokens, and go wrong when told to.

Volumes lie in pools, of which all hosts see "default".  Commands behave as those of invirt-host do,
repeated or late ones too: what comes a second time is refused.  A job ends when
it has been asked about often enough: at once, unless its host is slow.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, NotFound, Unreachable
from invirt.remote.hosts import Hosts, NoAnswer, Unknown
from invirt.remote.lines import Answer

# Told of each command ("before" or "after" it is done), of a job's when it is begun; raises what
# shall go wrong.
Fault = Callable[[str, str, tuple[str, ...]], None]


class Killed(BaseException):
    """The process dies here."""


def no_fault(when: str, hostname: str, words: tuple[str, ...]) -> None:
    """All goes well."""


@dataclass
class Job:
    """A command that a host does in its own time; ended: how, once it has."""

    words: tuple[str, ...]
    left: int
    ended: dict[str, object] | None = None
    in_time: bool = True  # begun by a command that was not late


@dataclass
class FakePool:
    """The volumes of a pool, and its trash; seen_by: host names, all if it is empty.

    held: what volumes hold.  expected: those which a host may fill, and which.
    """

    volumes: dict[tuple[str, str], int] = field(default_factory=dict)
    trash: dict[tuple[str, str, int], int] = field(default_factory=dict)
    seen_by: tuple[str, ...] = ()
    held: dict[tuple[str, str], str] = field(default_factory=dict)
    expected: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass
class FakeHost:
    """One host's guests, and the highest token it has seen for each machine."""

    running: set[str] = field(default_factory=set)
    booted: set[str] = field(default_factory=set)  # all that ever ran here
    crashed: set[str] = field(default_factory=set)
    tokens: dict[str, int] = field(default_factory=dict)
    up: bool = True
    deaf: set[str] = field(default_factory=set)  # guests that don't obey
    nonsense: str | None = None  # the answer to every question
    slow: int = 0  # questions until a job ends
    jobs: dict[int, Job] = field(default_factory=dict)  # by their tokens
    behind: bool = False  # of the version before, which knows no jobs, and doesn't say what it can
    hypervisor: str = "qemu"
    ahead: float = 0.0  # seconds that its clock is
    can: set[str] = field(default_factory=lambda: {"move"})
    version: str = "7.2"  # of its QEMU
    traits: dict[str, dict[str, object]] = field(default_factory=dict)  # of guests, as QEMU's
    moves: dict[str, tuple[str, str]] = field(default_factory=dict)  # state and other host of each move
    waiting: set[str] = field(default_factory=set)  # guests that have come, and stand still
    storage: dict[str, list[str]] = field(default_factory=lambda: {"lvm": ["grow"], "file": ["grow"]})

    def crash(self, *guests: str) -> None:
        """These guests, or all that run, end without having been switched off."""
        ending = self.running & set(guests or self.running)
        self.crashed |= ending
        self.running -= ending
        self.waiting -= set(guests or self.waiting)
        if not guests:
            self.jobs.clear()


class OneByOne(Hosts):
    """Hosts that are asked one after the other."""

    def ask(self, hostnames: Sequence[str], *words: str, timeout: float) -> dict[str, Answer]:
        """See Hosts."""
        answers: dict[str, Answer] = {}
        for hostname in hostnames:
            try:
                answers[hostname] = self.call(hostname, *words, timeout=timeout)
            except InvirtError as error:
                answers[hostname] = error
        return answers


class FakeHosts(OneByOne):
    """A Hosts with pools of volumes; volumes, trash: those of the first pool."""

    def __init__(self, *hostnames: str) -> None:
        self.hosts = {name: FakeHost() for name in hostnames}
        self.pools = {"default": FakePool()}
        self.volumes, self.trash = self.pools["default"].volumes, self.pools["default"].trash
        self.fault: Fault = no_fault
        self.calls: list[tuple[str, ...]] = []
        self.late: list[tuple[str, tuple[str, ...]]] = []
        self.lock = threading.RLock()

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts."""
        with self.lock:
            if not self.hosts[hostname].up:
                raise Unreachable(f"{hostname} doesn't answer: connection refused")
            self.fault("before", hostname, meant(words))
            answer = self.act(hostname, words)
            self.fault("after", hostname, meant(words))
            return answer

    def lose(self, hostname: str, words: tuple[str, ...]) -> NoAnswer:
        """For a fault: the command is delayed, and comes when deliver() is called."""
        self.late.append((hostname, words))
        return NoAnswer(f"no answer from {hostname} to {' '.join(words[:2])}")

    def deliver(self) -> int:
        """Let the delayed commands arrive; returns how many were obeyed."""
        obeyed = 0
        with self.lock:
            late, self.late = self.late, []
            for hostname, words in late:
                try:
                    self.act(hostname, words)
                    obeyed += 1
                except InvirtError:
                    pass
        return obeyed

    def too_late(self, token: int, seen: int) -> bool:
        """Whether a command is refused for its token; seen: the highest one that was here."""
        return token <= seen

    def running(self) -> list[tuple[str, str]]:
        """Host and machine of each guest."""
        return sorted((name, guest) for name, host in self.hosts.items() for guest in host.running)

    def act(self, hostname: str, words: tuple[str, ...]) -> str:
        """What the host does."""
        self.calls.append((hostname, *words))
        host = self.hosts[hostname]
        what, verb, *rest = words
        if what == "job":
            if host.behind:
                raise Unknown(f"{hostname} refuses job {verb}: unknown command")
            return json.dumps(getattr(self, f"_job_{verb}")(hostname, int(rest[0]), *rest[1:]))
        subject = host if what in ("domain", "host") else self.pool(hostname, rest)
        if verb in ("list", "status", "moved"):
            if host.nonsense is not None:
                return host.nonsense
            return json.dumps(getattr(self, f"_{what}_{verb}")(subject, *rest))
        names = tokens_for(what, verb, *rest)
        token = int(rest.pop())
        if any(self.too_late(token, host.tokens.get(name, 0)) for name in names):
            raise Busy(f"{hostname}: this command for {rest[0]} came too late")
        host.tokens.update(dict.fromkeys(names, token))
        getattr(self, f"_{what}_{verb}")(subject, *rest)
        return ""

    def all_volumes(self) -> dict[tuple[str, str, str], int]:
        """GiB of each volume, by pool, machine and disk."""
        pools = self.pools.items()
        return {(name, *at): size for name, pool in pools for at, size in pool.volumes.items()}

    def all_trash(self) -> dict[tuple[str, str, str, int], int]:
        """GiB of each volume in the trash, by pool, machine, disk and the operation that removed it."""
        pools = self.pools.items()
        return {(name, *at): size for name, pool in pools for at, size in pool.trash.items()}

    def pool(self, hostname: str, rest: list[str]) -> FakePool:
        """The pool that a command on volumes is about; its words are taken from rest."""
        name = "default"
        if rest[:1] == ["--pool"]:
            if self.hosts[hostname].behind:
                raise BadInput(f"{hostname}: there is no --pool")
            name = rest[1]
            del rest[:2]
        pool = self.pools.get(name, FakePool(seen_by=("nobody",)))
        if pool.seen_by and hostname not in pool.seen_by:
            raise NotFound(f"{hostname}: this host doesn't see the pool {name}")
        return pool

    def _job_begin(self, hostname: str, token: int, *words: str) -> object:
        host = self.hosts[hostname]
        if token in host.jobs:
            return self._job_state(hostname, token)
        host.jobs[token] = Job(words, host.slow)
        return self._job_state(hostname, token)

    def _job_status(self, hostname: str, token: int) -> object:
        host = self.hosts[hostname]
        if token not in host.jobs:
            raise NotFound(f"{hostname}: there is no job {token}")
        host.jobs[token].left -= 1
        return self._job_state(hostname, token)

    def _job_state(self, hostname: str, token: int) -> object:
        job = self.hosts[hostname].jobs[token]
        if job.ended is None and job.left <= 0:
            self.end_job(hostname, job)
        how = {"state": "running"} if job.ended is None else {"state": "ended", **job.ended}
        return {"token": token, **how}

    def end_job(self, hostname: str, job: Job) -> None:
        """What it was begun for is done, or fails."""
        try:
            self.act(hostname, job.words)
            job.ended = {"status": 0, "said": ""}
        except InvirtError as error:
            job.ended = {"status": error.exit_code, "said": f"job: {error.message}"}

    def _domain_status(self, host: FakeHost, name: str) -> object:
        state = {"name": name, "state": "running" if name in host.running else "off"}
        about = {"hypervisor": host.hypervisor, "can": sorted(host.can), "storage": host.storage}
        if host.behind:
            return state
        traits = host.traits.get(name, {}) if name in host.running else {}
        return state | about | {"version": host.version} | traits

    def _host_status(self, host: FakeHost) -> object:
        about = {"hypervisor": host.hypervisor, "domains": len(host.running)}
        return about if host.behind else about | {"clock": time.time() + host.ahead}

    def _domain_list(self, host: FakeHost) -> object:
        on = [{"name": name, "state": "running", "memory": 128, "cpus": 1} for name in sorted(host.running)]
        ended = {name: "crash" if name in host.crashed else "poweroff" for name in host.booted - host.running}
        return on + [{"name": name, "state": "off", "ended": why} for name, why in sorted(ended.items())]

    def _domain_create(self, host: FakeHost, name: str) -> None:
        if name not in host.running:
            host.moves.pop(name, None)
        host.running.add(name)
        host.booted.add(name)
        host.crashed.discard(name)

    def _domain_destroy(self, host: FakeHost, name: str) -> None:
        host.running.discard(name)
        host.waiting.discard(name)
        host.moves.pop(name, None)

    def _domain_shutdown(self, host: FakeHost, name: str) -> None:
        if name not in host.deaf:
            host.running.discard(name)

    def _domain_reboot(self, host: FakeHost, name: str) -> None:
        if name not in host.running:
            raise NotFound(f"{name} is off")

    def _domain_receive(self, host: FakeHost, name: str, source: str) -> None:
        if name in host.running:
            raise BadInput(f"{name} is here already")
        host.moves[name] = ("expected", source)

    def _domain_send(self, host: FakeHost, name: str, target: str, within: str) -> None:
        """The other host lets it run at once, unless word of that is lost."""
        if host.moves.get(name) == ("handed", target):
            return
        if name not in host.running:
            raise NotFound(f"{name} is off")
        other, own = self.hosts[target], self._own(host)
        if not other.up:
            raise Unreachable(f"{target} doesn't answer")
        if other.moves.get(name) != ("expected", own):
            raise CommandFailed(f"{target} refuses it: {name} is not expected")
        other.waiting.add(name)
        host.moves[name] = ("handed", target)
        host.running.discard(name)
        host.booted.discard(name)
        if self.word_comes():
            self._domain_arrive(other, name)

    def word_comes(self) -> bool:
        """Whether the target hears at once that a guest is its own."""
        return True

    def _domain_keep(self, host: FakeHost, name: str) -> None:
        if host.moves.get(name, ("",))[0] == "handed":
            raise Busy(f"{name} was handed over")

    def _domain_arrive(self, host: FakeHost, name: str) -> None:
        state, peer = host.moves.get(name, ("", ""))
        if state not in ("expected", "arrived"):
            raise NotFound(f"{name} was not expected here")
        host.moves[name] = ("arrived", peer)
        if name in host.waiting:
            host.waiting.discard(name)
            host.running.add(name)
            host.booted.add(name)
            host.crashed.discard(name)

    def _domain_moved(self, host: FakeHost, name: str) -> object:
        state, peer = host.moves.get(name, (None, None))
        return {"name": name, "move": state, "peer": peer}

    def _own(self, host: FakeHost) -> str:
        return next(name for name, one in self.hosts.items() if one is host)

    def _domain_fence(self, host: FakeHost, name: str) -> None:
        """Its token is remembered."""

    def _volume_list(self, pool: FakePool) -> object:
        kept = [{"name": name, "disk": disk, "size": size} for (name, disk), size in pool.volumes.items()]
        gone = [
            {"name": name, "disk": disk, "size": size, "trash": operation}
            for (name, disk, operation), size in pool.trash.items()
        ]
        return kept + gone

    def _volume_create(self, pool: FakePool, name: str, disk: str, size: str) -> None:
        if pool.volumes.setdefault((name, disk), int(size)) != int(size):
            raise BadInput(f"disk {disk} of {name} is there already")

    def _volume_resize(self, pool: FakePool, name: str, disk: str, size: str) -> None:
        if (name, disk) not in pool.volumes:
            raise NotFound(f"{name} has no disk {disk}")
        if pool.volumes[name, disk] > int(size):
            raise BadInput(f"disk {disk} of {name} can't shrink")
        pool.volumes[name, disk] = int(size)

    def _volume_rename(self, pool: FakePool, name: str, disk: str, new_name: str, new_disk: str) -> None:
        if (name, disk) in pool.volumes and (new_name, new_disk) in pool.volumes:
            raise BadInput(f"disk {new_disk} of {new_name} is there already")
        if (name, disk) in pool.volumes:
            pool.volumes[new_name, new_disk] = pool.volumes.pop((name, disk))
        elif (new_name, new_disk) not in pool.volumes:
            raise NotFound(f"{name} has no disk {disk}")

    def _volume_remove(self, pool: FakePool, name: str, disk: str, operation: str) -> None:
        pool.expected.pop((name, disk), None)
        if (name, disk) in pool.volumes:
            pool.trash[name, disk, int(operation)] = pool.volumes.pop((name, disk))

    def _volume_restore(self, pool: FakePool, name: str, disk: str, operation: str) -> None:
        if (name, disk, int(operation)) in pool.trash:
            if (name, disk) in pool.volumes:
                raise BadInput(f"disk {disk} of {name}: another took its place")
            pool.volumes[name, disk] = pool.trash.pop((name, disk, int(operation)))
        elif (name, disk) not in pool.volumes:
            raise NotFound(f"{name} has no disk {disk}")

    def _volume_undelete(
        self, pool: FakePool, name: str, disk: str, operation: str, new_name: str, new_disk: str
    ) -> None:
        if (name, disk, int(operation)) in pool.trash:
            if (new_name, new_disk) in pool.volumes:
                raise BadInput(f"disk {new_disk} of {new_name}: another took its place")
            pool.volumes[new_name, new_disk] = pool.trash.pop((name, disk, int(operation)))
        elif (new_name, new_disk) not in pool.volumes:
            raise NotFound(f"{new_name} has no disk {new_disk}")

    def _volume_return(
        self, pool: FakePool, name: str, disk: str, operation: str, new_name: str, new_disk: str
    ) -> None:
        if (new_name, new_disk) in pool.volumes and (name, disk, int(operation)) not in pool.trash:
            pool.trash[name, disk, int(operation)] = pool.volumes.pop((new_name, new_disk))

    def _volume_receive(self, pool: FakePool, name: str, disk: str, size: str, source: str) -> None:
        self._volume_create(pool, name, disk, size)
        pool.expected[name, disk] = source

    def _volume_send(self, pool: FakePool, name: str, disk: str, target: str) -> None:
        """The last pool that expects it is the one; what is running may not be copied."""
        if any(name in host.running for host in self.hosts.values()):
            raise Busy(f"{name} is running")
        there = [one for one in self.pools.values() if one is not pool and (name, disk) in one.expected]
        if (name, disk) not in pool.volumes or not there or not self.hosts[target].up:
            raise CommandFailed(f"{target} doesn't expect disk {disk} of {name}")
        self.copied(pool, there[-1], name, disk)

    def copied(self, pool: FakePool, other: FakePool, name: str, disk: str) -> None:
        """The volume in the other pool holds what the one in the first does."""
        other.held[name, disk] = pool.held.get((name, disk), "")

    def _volume_purge(self, pool: FakePool, name: str, disk: str, operation: str) -> None:
        pool.trash.pop((name, disk, int(operation)), None)


def meant(words: tuple[str, ...]) -> tuple[str, ...]:
    """The command that is sent, or begun by a job."""
    return words[3:] if words[:2] == ("job", "begin") else words


def shown(words: tuple[str, ...]) -> str:
    """A command for a history, in which nothing is told that is another in the next one: no token."""
    words = words[:2] if words[:2] == ("job", "status") else meant(words)
    return " ".join([word for word in words if word not in ("--pool", "default")][:3])


def tokens_for(what: str, verb: str, *rest: str) -> set[str]:
    """What a command takes a token for: see invirt.host.commands.volume."""
    if (what, verb) == ("volume", "rename"):
        return {rest[0], rest[2]}
    if (what, verb) == ("volume", "purge"):
        return {f"trash.{rest[2]}"}
    if (what, verb) in (("volume", "undelete"), ("volume", "return")):
        return {rest[3], f"trash.{rest[2]}"}
    return {rest[0]}


def failing(verb: str, when: str = "before", error: type[InvirtError] = CommandFailed) -> Fault:
    """A fault: the command whose second word is verb ends with an error, each time."""

    def fault(at: str, hostname: str, words: tuple[str, ...]) -> None:
        if words[1] == verb and at == when:
            raise error(f"{hostname}: {verb} failed as it was told to")

    return fault
