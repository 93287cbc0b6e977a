"""Makes this server's PostgreSQL a copy of the database, by PostgreSQL's own means.

The copy is made beside what is there, and then swapped for it.  Whatever is killed on
the way, the next run goes on from what it finds:

    DATA.new without standby.signal   is not whole: it is made again
    DATA.new with it                  is whole: it is to be swapped in, unless it is too old
    no DATA                           DATA.old is what was there, DATA.new what is to be
    DATA.old beside a copy            is to be removed
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from invirt import config
from invirt.base.cli import say
from invirt.base.errors import BadConfig, BadInput, Busy, CommandFailed, NotFound, Unreachable
from invirt.base.process import run
from invirt.database import peers, roles, server
from invirt.database.server import Cluster

SIGNAL = "standby.signal"  # by which PostgreSQL knows that it is a copy
LONGEST = 24 * 3600  # seconds for all data to arrive
FOLLOWS = 60  # seconds for a copy to follow, once it runs
STREAMS = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'"


def make(yes: bool) -> str:
    """Make this server a copy; says whom it follows.  yes: even if what it has is lost by that."""
    if peers.own() not in config.database.all or not peers.others():
        raise BadConfig(
            f"invirt.yaml doesn't name {peers.own()} beside other servers of the database",
            "Add it to database.copies, and run invirt-config apply on all of them.",
        )
    cluster = server.find_cluster()
    if not _follows(cluster):
        primary = _primary(cluster)
        _refuse_to_lose(cluster, yes)
        _refuse_mounted(cluster.data)
        server.prepare(cluster)
        with _told(cluster):
            _fetch(cluster, primary)
            swap(cluster)
        _wait(cluster)
    with _told(cluster):
        _remove(_beside(cluster.data, "old"))
    return f"{peers.own()} has a copy, and follows"


def _refuse_mounted(data: Path) -> None:
    """Raise BadConfig where the folder can't be renamed."""
    for folder in (data, _beside(data, "new"), _beside(data, "old")):
        if folder.is_mount():
            raise BadConfig(
                f"{folder} is a file system of its own, and a copy is made beside it and then swapped in",
                f"Mount it at {data.parent}, or higher, and run this again.",
            )


@contextmanager
def _told(cluster: Cluster) -> Iterator[None]:
    """Say what a file system refused, and what to do; what ran before runs again, where it still can."""
    try:
        yield
    except OSError as error:
        if (cluster.data / "PG_VERSION").exists():
            run(["systemctl", "start", cluster.unit], timeout=600, check=False)
        raise Busy(
            f"{error.filename or cluster.data}: {error.strerror or error}",
            "Nothing that is needed is lost. Put that right (df, ls -ld, findmnt), and run this again.",
        ) from error


def _remove(folder: Path) -> None:
    """All that is in it, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)


def _beside(data: Path, what: str) -> Path:
    return data.with_name(f"{data.name}.{what}")


def _follows(cluster: Cluster) -> bool:
    """Whether that is so already."""
    with suppress(CommandFailed, Unreachable):
        return (cluster.data / SIGNAL).exists() and server.psql(STREAMS) == "1"
    return False


def _primary(cluster: Cluster) -> peers.Peer:
    """Who has the database, in its newest form."""
    found = peers.look(peers.others())
    having = [one for one in peers.answering(found) if not one.copy]
    if not having:
        raise Unreachable(
            "no other server says that it has the database",
            "\n".join(f"{name}: {said if not isinstance(said, peers.Peer) else 'has a copy'}"
                      for name, said in found.items()),
        )  # fmt: skip
    return max(having, key=lambda one: one.rank)


def _refuse_to_lose(cluster: Cluster, yes: bool) -> None:
    """Raise BadInput if what this server has is no copy, and may be the only one of its kind."""
    data = cluster.data
    if yes or not data.exists() or (data / SIGNAL).exists():
        return
    try:
        mine = server.is_ours()
    except (CommandFailed, Unreachable):  # it doesn't run: who knows what it has
        mine = cluster.drop_in.is_symlink()
    if mine:
        raise BadInput(
            f"this server has a database of its own, in {data}",
            "Another one has it, too. If what is here is to be lost: invirt-database-standby make --yes",
        )


def _fetch(cluster: Cluster, primary: peers.Peer) -> None:
    """All of the database into DATA.new, as postgres."""
    new = _beside(cluster.data, "new")
    if not cluster.data.exists() and (new / SIGNAL).exists():
        return  # killed amid the swap
    _remove(new)
    say(f"copying the database from {primary.hostname}")
    where = {
        "host": primary.hostname,
        "port": config.database.port,
        "user": roles.STANDBY,
        "gssencmode": "require",
    }
    target = " ".join(f"{name}={value}" for name, value in where.items())
    program = f"/usr/lib/postgresql/{cluster.version}/bin/pg_basebackup"
    if not Path(program).exists():
        raise NotFound(f"there is no {program}", "Install the version of PostgreSQL that this cluster has.")
    environment = [f"{name}={value}" for name, value in server.ENVIRONMENT.items()]
    how = ["-d", target, "-D", str(new), "--checkpoint=fast", "--wal-method=stream"]
    run(["runuser", "-u", "postgres", "--", "env", "-i", *environment, program, *how], timeout=LONGEST)
    shutil.copystat(cluster.data if cluster.data.exists() else new, new)
    _write_signal(new)


def _write_signal(new: Path) -> None:
    """What is there is whole from now on."""
    with (new / SIGNAL).open("wb") as file:
        os.fsync(file.fileno())
    shutil.chown(new / SIGNAL, "postgres", "postgres")
    _sync(new)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def swap(cluster: Cluster) -> None:
    """Stop PostgreSQL, put DATA.new where DATA is, and start it."""
    data = cluster.data
    if data.exists():
        run(["systemctl", "stop", cluster.unit], timeout=600)
        _remove(_beside(data, "old"))
        try:
            data.rename(_beside(data, "old"))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.rmtree(data)  # an overlay's lower folder can't be renamed; what it has is to go, anyway
    _beside(data, "new").rename(data)
    _sync(data.parent)
    run(["systemctl", "start", cluster.unit], timeout=600)


def _wait(cluster: Cluster) -> None:
    """Until it follows; raises Unreachable."""
    deadline = time.monotonic() + FOLLOWS
    while not _follows(cluster):
        if time.monotonic() > deadline:
            raise Unreachable(
                f"the copy runs, and doesn't follow within {FOLLOWS} seconds",
                f"/var/log/postgresql/postgresql-{cluster.version}-{cluster.name}.log says why.",
            )
        time.sleep(0.5)
