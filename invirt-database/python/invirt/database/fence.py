"""Sees to it that one server has the database: who finds one promoted later stops, or doesn't start.

It does so only where database.copies names others.  A primary that was frozen, or cut off,
while a copy was promoted goes on for up to two seconds; with synchronous replication nothing
that it is told in them is acknowledged.
"""

from __future__ import annotations

import re
import time
from contextlib import closing
from typing import NoReturn

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from invirt import config
from invirt.base import log
from invirt.base.errors import Busy, Denied, InvirtError, Unreachable
from invirt.base.notify import notify
from invirt.base.process import run
from invirt.database import connection, peers, roles, server
from invirt.database.server import Cluster, find_cluster

PROGRAM = "invirt-database-fence"
EVERY = 2.0  # seconds
OF_CHECKPOINT = re.compile(r"^Latest checkpoint's TimeLineID: +(\d+)$", re.MULTILINE)

ASKED = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND application_name = %s"
# By invirt.yaml; what this program sets stands in postgresql.auto.conf.
CONFIGURED = """
SELECT setting FROM pg_file_settings
WHERE name = 'primary_conninfo' AND sourcefile NOT LIKE '%/postgresql.auto.conf'
"""
# A promotion sets it to '', so as not to wait for copies that don't follow yet.
WAITS_LATER = """
SELECT count(*) FROM pg_file_settings
WHERE name = 'synchronous_standby_names' AND sourcefile LIKE '%/postgresql.auto.conf'
"""


def may_start(instance: str) -> None:
    """Raise Denied or Unreachable unless this cluster, e.g. 15-main, may have the database.

    A copy may always start.
    """
    cluster = Cluster(*instance.split("-", 1))
    if (
        not (cluster.drop_in.is_symlink() and server.FOLLOWED.exists())
        or (cluster.data / "standby.signal").exists()
    ):
        return
    if not (names := peers.others()):
        return
    found = peers.answering(peers.look(names))
    if later := _later(timeline(cluster), found):
        raise Denied(f"{later.hostname} has the database now", "Here: invirt-database-standby make --yes")
    if not found:
        raise Unreachable(
            f"none of {', '.join(names)} tells whether it has the database now",
            "They are asked again. If they are lost for good: invirt-database-standby alone",
        )


def timeline(cluster: Cluster) -> int:
    """How often what this stopped cluster has was promoted, and 1."""
    program = f"/usr/lib/postgresql/{cluster.version}/bin/pg_controldata"
    said = run([program, str(cluster.data)], env={"LC_ALL": "C"}).stdout
    found = OF_CHECKPOINT.search(said)
    began = [int(file.stem, 16) for file in (cluster.data / "pg_wal").glob("*.history")]
    return max([int(found[1]) if found else 0, *began])


def _later(timeline: int, found: list[peers.Peer]) -> peers.Peer | None:
    """Who has the database, and was promoted later than this server."""
    mine = peers.rank(peers.own(), timeline)
    return next((one for one in found if not one.copy and one.rank > mine), None)


def turn() -> str:
    """Look once; returns why this server's PostgreSQL is to stop, if it is."""
    if not (names := peers.others()):
        return ""
    with closing(connection.connect(user="postgres")) as connected:
        connected.autocommit = True
        here = peers.told(connected, peers.own())
        with connected.cursor() as cursor:
            if here.copy:
                _go_on(cursor, names)
                return ""
            if _is_asked(cursor, peers.STEP_DOWN):
                return "a copy is about to be promoted"
            if here.followers:
                _followed(cursor)
    later = _later(here.timeline, peers.answering(peers.look(names)))
    return f"{later.hostname} has the database now" if later else ""


def _is_asked(cursor: psycopg2.extensions.cursor, what: str) -> bool:
    """Whether another of the database's servers asks for that just now."""
    cursor.execute(ASKED, (roles.STANDBY, what))
    return bool(cursor.fetchone() != (0,))


def _go_on(cursor: psycopg2.extensions.cursor, names: list[str]) -> None:
    """A copy: follow who has the database, whom it asks first; and nobody while one is promoted.

    PostgreSQL waits for ever for a frozen one to let it in, so that one must not be the first.
    """
    if _is_asked(cursor, peers.LET_GO):
        _follow(cursor, "")
        return
    having = [one for one in peers.answering(peers.look(names)) if not one.copy]
    first = max(having, key=lambda one: one.rank, default=None)
    if first is None or peers.own() in first.followers:
        return
    cursor.execute(CONFIGURED)
    if found := cursor.fetchone():
        wanted = parse_dsn(found[0])
        hosts = sorted(wanted["host"].split(","), key=lambda host: host != first.hostname)
        _follow(cursor, make_dsn(**{**wanted, "host": ",".join(hosts)}))


def _follow(cursor: psycopg2.extensions.cursor, conninfo: str) -> None:
    """Go by that from now on, unless it is so already."""
    cursor.execute("SHOW primary_conninfo")
    if cursor.fetchone() != (conninfo,):
        cursor.execute("ALTER SYSTEM SET primary_conninfo = %s", (conninfo,))
        cursor.execute("SELECT pg_reload_conf()")


def _followed(cursor: psycopg2.extensions.cursor) -> None:
    """A copy follows: note it, and wait for it again, where that was put off."""
    server.FOLLOWED.touch()
    cursor.execute(WAITS_LATER)
    if cursor.fetchone() != (0,):
        cursor.execute("ALTER SYSTEM RESET synchronous_standby_names")
        cursor.execute("SELECT pg_reload_conf()")
        log.write("a copy follows again", program=PROGRAM)


def stop() -> None:
    """Stop this server's PostgreSQL, as postgres; copies that follow get all that it has first."""
    cluster = find_cluster()
    how = ["--skip-systemctl-redirect", "-m", "fast", cluster.version, cluster.name, "stop"]
    done = run(["pg_ctlcluster", *how], timeout=600, check=False)
    if done.returncode not in (0, 2):  # 2: it doesn't run
        raise Busy(f"PostgreSQL doesn't stop: {done.stderr.strip()}")


def watch() -> NoReturn:
    """Look for ever."""
    notify("READY=1")
    trouble = log.Lasting(PROGRAM)
    while True:
        try:
            config.reload()
            if why := turn():
                log.write(f"PostgreSQL is stopped: {why}", log.WARNING, program=PROGRAM)
                stop()
            trouble.over()
        except (InvirtError, psycopg2.Error, OSError) as error:
            trouble.write(f"trying again: {str(error).splitlines()[0]}")
        time.sleep(EVERY)
