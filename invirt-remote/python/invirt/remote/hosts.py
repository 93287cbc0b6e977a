"""How remote speaks to the hosts: one remctl command at a time, or one question to all.

A host's failure comes back as the error class that its exit code stands for,
with what it said.  Two ways of not answering are told apart, since what may
be done next depends on it: Unreachable means that the command was never sent,
NoAnswer that it was, and that nobody knows what became of it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from invirt import config
from invirt.base import errors, kerberos, log
from invirt.base.errors import Denied, InvirtError, Unreachable
from invirt.base.remctl import HOST_PORT
from invirt.remote.lines import Answer, Line, Speak, first_answers

# Where hosts listen; those of the version before do at remctl's own port, which
# is tried when nothing is at the first.
PORTS = (HOST_PORT, 4373)

# What the kernel does on a connection to a host: after so many seconds of
# silence it asks whether the host is still there, as often and as many times.
# A host that died amid a command is given up in six seconds, or when it is back
# and knows nothing of the connection, not at the step's deadline.
KEEP_ALIVE = {"TCP_KEEPIDLE": 3, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3}

# A host gone mad must fill neither our memory nor users' screens.
LONGEST = 16 << 20  # bytes of an answer: 100,000 volumes have a third of that
SHOWN = 1000  # letters of what it says when something fails

UNKNOWN_COMMAND = 5  # remctl's error


class NoAnswer(Unreachable):
    """The command was sent, but no answer came: it may be done, not done, or still under way."""


class GaveUp(NoAnswer):
    """A job has ended for want of an answer that its host needed; the host itself answers."""


class Unknown(Denied):
    """The host doesn't know the command: it is one of the version before."""


class Hosts(Protocol):
    """What operations ask of the hosts, which are named by their host names."""

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """Run a command on a host and return what it printed; timeout in seconds, of all together.

        Raises what the host's exit code stands for, Unreachable or NoAnswer.
        """

    def ask(self, hostnames: Sequence[str], *words: str, timeout: float) -> dict[str, Answer]:
        """Ask all hosts the same, side by side: each one's answer, or why there is none."""


def failure(code: int, said: str, hostname: str) -> InvirtError:
    """The error for a command that ended with code and said something on stderr.

    Where the host lacked an answer itself, from the database or from a worker that did the
    command, it may have done something before.
    """
    lines = [log.one_line(line)[:SHOWN] for line in said[: 10 * SHOWN].splitlines() if line.strip()]
    message = lines[0].partition(": ")[2] or lines[0] if lines else f"status {code}, and nothing said"
    hint = "\n".join(f"{hostname}: {line.strip()}" for line in lines[1:])[:SHOWN]
    kind = NoAnswer if code == Unreachable.exit_code else errors.of(code)
    return kind(f"{hostname}: {message}", hint)


class RemctlHosts:
    """Real hosts, asked by remctl as this server's own principal.

    addresses: where a host is reached, if not by its name.  patience: the seconds
    a host may take to let us in, if they are less than host_timeout.
    """

    def __init__(self, addresses: Mapping[str, str] | None = None, patience: float | None = None) -> None:
        self.addresses = addresses or {}
        self.patience = patience
        self.lines: dict[str, Line] = {}

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        """See Hosts.  By the line on which the host was asked just now, if there is one."""
        line = self.lines.pop(hostname, None)
        self.hang_up()
        if line and line.is_open():
            answer = line.command(words, timeout)
            if isinstance(answer, str):
                return answer
            raise answer or NoAnswer(f"no answer from {hostname} to {' '.join(words[:2])}")
        if line:
            line.hang_up()
        deadline = time.monotonic() + timeout
        speak = self.dial(hostname, timeout)
        return speak(words, deadline - time.monotonic())

    def ask(self, hostnames: Sequence[str], *words: str, timeout: float) -> dict[str, Answer]:
        """See Hosts."""
        import remctl  # noqa: F401  once, and not in each child

        self.hang_up()
        lines = {name: Line(partial(self.dial, name, timeout), words, timeout) for name in hostnames}
        answers = first_answers(lines, timeout)
        self.lines = {name: lines[name] for name in answered(answers)}
        return {
            name: answers.get(name) or Unreachable(f"{name} doesn't answer in time") for name in hostnames
        }

    def hang_up(self) -> None:
        """Keep no line any longer."""
        for line in self.lines.values():
            line.take_leave()
        for line in self.lines.values():
            line.hang_up()
        self.lines = {}

    def dial(self, hostname: str, timeout: float) -> Speak:
        """Connect to the host; raises Unreachable."""
        import remctl  # only here: 5 ms

        kerberos.use_host_keytab()
        client = remctl.Remctl()
        client.set_timeout(round(min(timeout, config.remote.host_timeout, self.patience or timeout)))
        try:
            _open(client, self.addresses.get(hostname, hostname), f"host/{hostname}@{config.site.realm}")
        except remctl.RemctlError as error:
            raise Unreachable(f"{hostname} doesn't answer: {error}") from error
        _keep_alive()
        return partial(_command, client, hostname)


def _command(client: Any, hostname: str, words: Sequence[str], timeout: float) -> str:
    """Run a command on a host that we are connected to, and return what it printed."""
    import remctl

    deadline = time.monotonic() + timeout
    client.set_timeout(max(1, round(timeout)))
    try:
        client.command(words)
        return result(client, hostname, words, deadline)
    except remctl.RemctlError as error:
        raise NoAnswer(f"no answer from {hostname} to {' '.join(words[:2])}: {error}") from error


def _open(client: Any, address: str, principal: str) -> None:
    """Connect to a host; raises RemctlError."""
    import remctl

    try:
        client.open(address, PORTS[0], principal)
    except remctl.RemctlError as error:
        if "refused" not in str(error):
            raise
        client.open(address, PORTS[1], principal)


def _keep_alive() -> None:
    """Have the kernel watch over our connections to hosts.

    The remctl module neither does it nor tells its socket, so all are looked through.
    """
    import socket

    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # no socket
            found = socket.socket(fileno=int(descriptor))
            try:
                if found.family in (socket.AF_INET, socket.AF_INET6) and found.getpeername()[1] in PORTS:
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    for option, value in KEEP_ALIVE.items():
                        found.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
            finally:
                found.detach()


def result(client: object, hostname: str, words: Sequence[str], deadline: float) -> str:
    """What the command printed; raises what its exit code stands for, or NoAnswer.

    deadline: of time.monotonic().  remctl's own timeout is for each piece of the answer.
    """
    out, said = bytearray(), bytearray()
    while True:
        kind, data, stream, status, code = client.output()  # type: ignore[attr-defined]
        if time.monotonic() > deadline:
            raise NoAnswer(f"{hostname} comes to no end with {' '.join(words[:2])}")
        if kind == "output":
            (out if stream == 1 else said).extend(data or b"")
            if len(out) + len(said) > LONGEST:
                raise NoAnswer(f"{hostname} says more than {LONGEST >> 20} MiB to {' '.join(words[:2])}")
        elif kind == "status" and status == 0:
            return out.decode(errors="replace")
        elif kind == "status":
            raise failure(status, said.decode(errors="replace"), hostname)
        elif kind == "error":
            text = log.one_line((data or b"").decode(errors="replace"))[:SHOWN]
            refusal = Unknown if code == UNKNOWN_COMMAND else Denied
            raise refusal(f"{hostname} refuses {' '.join(words[:2])}: {text} (remctl error {code})")
        else:
            raise NoAnswer(f"{hostname} ended the connection without a status")


def answered(answers: Mapping[str, Answer]) -> dict[str, str]:
    """Only the answers of those who answered."""
    return {name: answer for name, answer in answers.items() if isinstance(answer, str)}
