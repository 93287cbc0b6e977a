"""Makes a copy the database, and sees to it that nobody else is: who has it is told to stop first."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import ExitStack, closing
from typing import Any

from invirt import config
from invirt.base.cli import Found, say
from invirt.base.errors import BadInput, Busy, InvirtError, NotFound, Unreachable
from invirt.database import peers, server, standby

STOPS = 120.0  # seconds that who has the database may take to stop
LETS_GO = 20.0  # seconds that another copy may take to follow nobody
PROMOTED = 60  # seconds until a copy is the database
PAUSE = 0.2
AT = "SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'"
ANOTHER = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{peers.LET_GO}'"
PROMOTE = f"SELECT pg_promote(true, {PROMOTED})"


def status() -> list[dict[str, Any]]:
    """What each server is, and how far behind."""
    found = peers.look(config.database.all)
    having = [one for one in peers.answering(found) if not one.copy]
    first = max(having, key=lambda one: one.rank, default=None)
    return [_row(name, told, first) for name, told in found.items()]


def _row(name: str, told: peers.Peer | InvirtError, first: peers.Peer | None) -> dict[str, Any]:
    if isinstance(told, InvirtError):
        return {"server": name, "has": "", "bytes_behind": None, "seconds_behind": None, "word": told.message}
    if not told.copy:
        word = f"another has it, since later: {first.hostname}" if first and first is not told else ""
        waits = "synchronous" if told.synchronous else "not synchronous"
        return {
            "server": name,
            "has": "the database",
            "bytes_behind": None,
            "seconds_behind": None,
            "word": word or waits,
        }
    behind = max(0, first.at - told.at) if first else None
    word = "follows" if first and name in first.followers else "doesn't follow"
    age = None if told.age is None else round(told.age, 1)
    return {"server": name, "has": "a copy", "bytes_behind": behind,
            "seconds_behind": age if behind else 0 if behind == 0 else None, "word": word}  # fmt: skip


def promote(lost: Collection[str]) -> Found:
    """Make this server's copy the database.

    lost: servers of which the administrator knows that they don't run, and that whatever
    they had alone is lost.  Raises Unreachable for others that don't answer, Busy where
    another copy has more than this one.
    """
    if unknown := [name for name in lost if name not in peers.others()]:
        raise BadInput(f"{unknown[0]} is no other server of the database in invirt.yaml")
    if not server.is_ours():
        raise NotFound("this server has no copy that could be promoted", "invirt-database-standby status")
    if server.is_copy():
        found = peers.look(peers.others())
        _refuse_silence(found, lost)
        answering = peers.answering(found)
        having = [one for one in answering if not one.copy]
        with ExitStack() as held:
            if not having:
                _refuse_if_behind([_let_go(one, held) for one in answering])
                _refuse_another()
            for one in having:
                _step_down(one)
            _promote()
    server.migrate()  # hosts obey only numbers higher than all before, which it may not have heard of
    return Found(f"{peers.own()} has the database", _next())


def _promote() -> None:
    if config.database.synchronous:
        server.wait_for_no_copy()
    say(f"promoting the copy of {peers.own()}")
    if server.psql(PROMOTE) != "t":
        raise Busy(f"it is still a copy after {PROMOTED} seconds", "Run it again.")


def _next() -> list[str]:
    rest = ", ".join(peers.others())
    return [
        f"In invirt.yaml of every server: database: hostname: {peers.own()}, copies: [{rest}]",
        "Then on every server: invirt-config apply",
        f"On {rest}, once it runs again: invirt-database-standby make --yes",
    ]


def _refuse_silence(found: dict[str, peers.Peer | InvirtError], lost: Collection[str]) -> None:
    for name, told in found.items():
        if isinstance(told, InvirtError) and name not in lost:
            raise Unreachable(
                f"{name} doesn't say whether it has the database: {told.message}",
                f"If it doesn't run, and what it alone has may be lost: --lost {name}\n{_is_lost(lost)}",
            )


def _is_lost(lost: Collection[str]) -> str:
    """What one more server may take with it: what is acknowledged is on two."""
    if lost:
        return "With two servers lost, what was acknowledged may be, too: it is on two, and needs no third."
    return "With database.synchronous nothing that was acknowledged is lost by that."


def _let_go(copy: peers.Peer, held: ExitStack) -> peers.Peer:
    """What another copy has, once it follows nobody, until held ends; raises Busy, Unreachable.

    Else it would go on to acknowledge what the lost one writes when it wakes, before it is stopped.
    """
    held.enter_context(closing(peers.connect(copy.hostname, peers.LET_GO)))
    deadline = time.monotonic() + LETS_GO
    while (now := peers.ask(copy.hostname)).receives:
        if time.monotonic() > deadline:
            raise Busy(
                f"{copy.hostname} still follows the lost one after {LETS_GO:.0f} seconds",
                "There: systemctl status invirt-database-fence",
            )
        time.sleep(PAUSE)
    return now


def _refuse_another() -> None:
    """Raise Busy if another copy is about to be promoted."""
    if server.psql(ANOTHER) != "0":
        raise Busy(
            "another copy is being promoted, too", "invirt-database-standby status, then again on one."
        )


def _received() -> int:
    """Bytes of journal that this copy has."""
    return int(server.psql(AT))


def _refuse_if_behind(found: list[peers.Peer]) -> None:
    """Raise Busy if another copy has more."""
    mine = _received()
    for one in found:
        if one.copy and one.at > mine:
            raise Busy(
                f"{one.hostname} has more of the database than this server",
                f"Promote it there: {one.hostname}.",
            )


def _step_down(primary: peers.Peer) -> None:
    """Let who has the database stop, once this copy has all that it has; raises Busy, Unreachable."""
    if peers.own() not in primary.followers:
        raise Busy(
            f"this server doesn't follow {primary.hostname}, which has the database",
            "Here: invirt-database-standby make",
        )
    say(f"{primary.hostname} stops, when this server has all that it has")
    with closing(peers.connect(primary.hostname, peers.STEP_DOWN)):
        deadline = time.monotonic() + STOPS
        while not _has_stopped(primary.hostname):
            if time.monotonic() > deadline:
                raise Unreachable(
                    f"{primary.hostname} doesn't stop within {STOPS:.0f} seconds",
                    "There: systemctl status invirt-database-fence",
                )
            time.sleep(PAUSE)
    if _received() < primary.at:
        raise Busy(f"{primary.hostname} stopped before this server had all", "Start PostgreSQL there again.")


def _has_stopped(hostname: str) -> bool:
    """Whether it lets nobody in, and this copy has got the end of its journal."""
    try:
        peers.ask(hostname)
    except Unreachable:
        return server.psql(standby.STREAMS) == "0"
    return False
