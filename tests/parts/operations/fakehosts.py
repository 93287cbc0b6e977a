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

from invirt.base.errors import BadInput, Busy, CommandFailed, InvirtError, NotFound, Unreachable
from invirt.remote.hosts import Hosts, NoAnswer, Unknown
from invirt.remote.lines import Answer
from tests.parts.operations.fakedisks import Disks, FakePool
from tests.parts.operations.fakeguests import FakeHost, Guests, Job

# Told of each command ("before" or "after" it is done), of a job's when it is begun; raises what
# shall go wrong.
Fault = Callable[[str, str, tuple[str, ...]], None]


class Killed(BaseException):
    """The process dies here."""


def no_fault(when: str, hostname: str, words: tuple[str, ...]) -> None:
    """All goes well."""


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


class FakeHosts(Guests, Disks, OneByOne):
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
        if verb in ("list", "status", "moved", "installed"):
            if host.nonsense is not None:
                return host.nonsense
            return json.dumps(getattr(self, f"_{what}_{verb}")(subject, *rest))
        names = tokens_for(what, verb, *rest)
        token = int(rest.pop())
        if any(self.too_late(token, max(host.floor, host.tokens.get(name, 0))) for name in names):
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

    def _host_status(self, host: FakeHost) -> object:
        about = {"hypervisor": host.hypervisor, "domains": len(host.running)}
        if host.behind:
            return about
        return about | {"storage": host.storage, "clock": time.time() + host.ahead}


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
