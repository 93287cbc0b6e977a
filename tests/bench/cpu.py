"""What processes, a server and its PostgreSQL sessions among them, have used of the CPU.

A busy machine gives a server less time, but the server needs no more of it:
answers for a second of CPU compare two servers where answers a second can't.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from tests.parts.postgres import Cluster


def seconds(cluster: Cluster, database: str, server: int) -> float:
    """CPU seconds of the process server and of all sessions of the database, so far."""
    with closing(cluster.superuser()) as connected, connected.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = %s", (database,))
        processes = [server, *(pid for (pid,) in cursor.fetchall())]
    return used(*processes)


def used(*processes: int) -> float:
    """CPU seconds of these processes, so far."""
    ticks = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime, stime: proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")
