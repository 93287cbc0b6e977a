"""invirt-host-tidy: what has to go from time to time."""

from __future__ import annotations

from contextlib import ExitStack

from invirt.base import log
from invirt.base.cli import Command, say
from invirt.base.errors import Unreachable
from invirt.host import jobs, leftovers, loading, tokens
from invirt.host.storage import pools

DAY = 86400.0  # seconds until a name's token is forgotten: no command is under way for so long


def tidy() -> list[str]:
    """Wipe disks that have ended, and clear away what is left of guests; returns the disks."""
    from invirt import config

    driver = loading.hypervisor()
    driver.tidy(config.storage.trash_days)
    tokens.forget(DAY)
    jobs.forget(DAY)
    wiped: list[str] = []
    try:
        with ExitStack() as turns:  # each is taken, whatever fails in the others
            turns.callback(lambda: leftovers.sweep(leftovers.machines(), driver.running))
            for pool in pools.seen():
                turns.callback(_wipe, pool, wiped)
    except Unreachable as error:
        log.write(f"what is ended, or gone, stays for now: {error.message}", log.WARNING)
    return wiped


def _wipe(pool: pools.Pool, wiped: list[str]) -> None:
    for key in pools.made(pool).wipe_ended():
        say(f"{key} is wiped")
        wiped.append(key)


COMMAND = Command(
    name="invirt-host-tidy",
    section=8,
    summary="wipe disks that have ended, clear away what guests left",
    description="Run every five minutes by invirt-host-tidy.timer. "
    "A removed disk lies in the trash until the remote server ends it: then it is wiped. "
    "What is left of machines that the database has no more, or under another name, is removed.",
    example="invirt-host-tidy",
    run=tidy,
    shown=lambda wiped: "",  # each was told at once
)
