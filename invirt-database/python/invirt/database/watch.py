"""Keeps the list of servers, and ends sessions of theirs that go beyond what any of them needs.

What PostgreSQL can't forbid, a role may try: to sit in a transaction, to fill the
table of locks.  That is over within seconds.  Who only listens, outside of
transactions, is left alone, and so are administrators, backups and
migrations, which come as other roles.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from typing import Any, NoReturn

import psycopg2

from invirt import config
from invirt.base import log
from invirt.base.errors import InvirtError
from invirt.base.notify import notify
from invirt.database import administrators, connection, roles, servers, usage
from invirt.database.sealing import Sealer

PROGRAM = "invirt-database-watch"
EVERY = 0.5  # seconds
KEPT = 600.0  # seconds between two looks at what machines used
LOCKS = 300  # that one session may hold; ours hold some 100
STATEMENTS = 3  # times database.statement_timeout that one statement may take
TRANSACTIONS = 6  # the same of a transaction

OURS = f"^{roles.OWNER}_({'|'.join(roles.SERVERS)})($|[.])"
CLOSE = "SELECT closed, count(*) FROM close_sources(%s, %s) AS closed GROUP BY closed"
BEYOND = """
SELECT pid, usename, client_addr, reason, pg_terminate_backend(pid) FROM (
    SELECT a.pid, a.usename, a.client_addr, CASE
        WHEN a.xact_start < clock_timestamp() - %(transaction)s * interval '1 second' THEN 'a transaction'
        WHEN a.state = 'active' AND a.query_start < clock_timestamp() - %(statement)s * interval '1 second'
            THEN 'a statement'
        WHEN l.held > %(locks)s THEN 'locks' END AS reason
    FROM pg_stat_activity a
    LEFT JOIN (SELECT pid, count(*) AS held FROM pg_locks GROUP BY pid) AS l USING (pid)
    WHERE a.usename ~ %(ours)s
) AS sessions WHERE reason IS NOT NULL
"""


def look(cursor: Any) -> None:
    """End every session that is beyond a bound, and say so."""
    timeout = config.database.statement_timeout
    bounds = {"statement": STATEMENTS * timeout, "transaction": TRANSACTIONS * timeout, "locks": LOCKS}
    cursor.execute(BEYOND, {**bounds, "ours": OURS})
    for pid, role, address, reason, _ in cursor.fetchall():
        log.write(
            f"ended session {pid} of {role} from {address}: {reason} beyond bounds",
            log.WARNING,
            program=PROGRAM,
        )


def close_sources(cursor: Any) -> None:
    """Take from members whose source is silent for too long, or is none any more, what it told; say so."""
    cursor.execute(CLOSE, (config.owners.patience, list(config.owners.sources)))
    for source, members in cursor.fetchall():
        log.write(f"{source} is silent for too long: {members} members less", log.WARNING, program=PROGRAM)


class Watch:
    """One connection's looks.  What invirt.yaml says is read again when that is another file."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        self.anew = True
        self.sealer = Sealer(PROGRAM)
        self.read = os.stat(config.counting()).st_mtime_ns

    def turn(self) -> None:
        """Look once."""
        if (now := os.stat(config.counting()).st_mtime_ns) != self.read:
            config.reload()
            self.read = now
        self.cursor.execute("SELECT pg_is_in_recovery()")
        if self.cursor.fetchone()[0]:
            servers.follow(self.cursor)
            return
        changed = servers.settle(self.cursor, self.anew)
        administrators.settle(self.cursor)
        close_sources(self.cursor)
        self.sealer.turn(self.cursor)
        self.anew = False
        if changed:
            log.write("the list of servers that may sign on is up to date", program=PROGRAM)
        look(self.cursor)


def _keep_usage() -> NoReturn:
    """Again and again: sum up what machines used, and drop what is old; at its own pace."""
    while True:
        try:
            with closing(connection.connect(user="postgres")) as connected:
                connected.autocommit = True
                connected.patience = None
                with connected.cursor() as cursor:
                    cursor.execute("SET statement_timeout = 0")
                    cursor.execute("SELECT pg_is_in_recovery()")
                    if cursor.fetchone() == (False,):
                        cursor.execute(usage.KEEP)
        except (InvirtError, psycopg2.Error) as error:
            log.write(f"usage is not summed up: {str(error).splitlines()[0]}", log.WARNING, program=PROGRAM)
        time.sleep(KEPT)


def run() -> NoReturn:
    """Watch for ever; systemd starts it again when PostgreSQL was lost."""
    threading.Thread(target=_keep_usage, daemon=True).start()
    trouble = log.Lasting(PROGRAM)
    ready = len(config.database.all) > 1  # another may have it, and none run here: nobody waits for it
    if ready:
        notify("READY=1")
    while True:
        try:
            with closing(connection.connect(user="postgres")) as connected:
                connected.autocommit = True
                with connected.cursor() as cursor:
                    watch = Watch(cursor)
                    while True:
                        watch.turn()
                        trouble.over()
                        if not ready:
                            notify("READY=1")
                            ready = True
                        time.sleep(EVERY)
        except (InvirtError, psycopg2.Error, OSError) as error:
            trouble.write(f"trying again: {str(error).splitlines()[0]}")
            time.sleep(1)
