"""The guests of hosts in memory: what is done to them, and how they move, as invirt-host does it."""

from __future__ import annotations

from dataclasses import dataclass, field

from invirt.base.errors import BadInput, Busy, CommandFailed, NotFound, Unreachable


@dataclass
class Job:
    """A command that a host does in its own time; ended: how, once it has."""

    words: tuple[str, ...]
    left: int
    ended: dict[str, object] | None = None
    in_time: bool = True  # begun by a command that was not late


@dataclass
class FakeHost:
    """One host's guests, and the highest token it has seen for each machine."""

    running: set[str] = field(default_factory=set)
    booted: set[str] = field(default_factory=set)  # all that ever ran here
    crashed: set[str] = field(default_factory=set)
    installed: set[str] = field(default_factory=set)  # guests whose installer has come to its end
    patience: int = 0  # times that an installer is asked about while it is at work
    unable: tuple[int, str] = (100, "")  # at which percent installers end, and why they fail
    tokens: dict[str, int] = field(default_factory=dict)
    floor: int = 0  # the token up to which all are old
    up: bool = True
    deaf: set[str] = field(default_factory=set)  # guests that don't obey
    nonsense: str | None = None  # the answer to every question
    slow: int = 0  # questions until a job ends
    jobs: dict[int, Job] = field(default_factory=dict)  # by their tokens
    behind: bool = False  # of the version before, which knows no jobs, and doesn't say what it can
    hypervisor: str = "qemu"
    ahead: float = 0.0  # seconds that its clock is
    can: set[str] = field(default_factory=lambda: {"move", "install", "rescue"})
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


class Guests:
    """What hosts do to guests."""

    hosts: dict[str, FakeHost]

    def _domain_status(self, host: FakeHost, name: str) -> object:
        state = {"name": name, "state": "running" if name in host.running else "off"}
        about = {"hypervisor": host.hypervisor, "can": sorted(host.can), "storage": host.storage}
        if host.behind:
            return state
        traits = host.traits.get(name, {}) if name in host.running else {}
        return state | about | {"version": host.version} | traits

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
        host.installed.discard(name)

    def _domain_installed(self, host: FakeHost, name: str) -> object:
        """An installer is done, or has failed, when it is asked about; its guest powers off then.

        Before, it goes on as often as patience of its host says.
        """
        if host.patience and name in host.running:
            host.patience -= 1
            return {
                "name": name,
                "running": True,
                "percent": 30,
                "words": "unpacking",
                "failed": "",
                "keys": {},
            }
        if name in host.running:
            host.running.discard(name)
            host.installed.add(name)
        percent, why = host.unable
        percent = percent if name in host.installed else 0
        return {"name": name, "running": False, "percent": percent, "words": "", "failed": why, "keys": {}}

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

    def _domain_eject(self, host: FakeHost, name: str) -> None:
        """Nothing is known of drives here."""

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
