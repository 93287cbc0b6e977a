"""A throw-away PostgreSQL: one cluster for the test run, a fresh database for each test.

A pytest plugin.  The cluster listens on a Unix socket only and lets anyone in
as any role, so that rights are tested by naming the role; who may be which
role is tested where the real sign-on is.
"""

from __future__ import annotations

import itertools
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy

from invirt import config
from invirt.database import connection, roles, schema
from invirt.database.session import session

TEMPLATE = "invirt_template"
ROOM = 2 << 30  # bytes: what the clusters of all workers take, and more

# Speed instead of safety: nothing here outlives the test run.  The last two are as at a site.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "max_connections": "300",
    "jit": "off",
}

CONFIG = """\
site:
  domain: invirt.test
  realm: INVIRT.TEST
database:
  hostname: {socket}
  name: {name}
  connect_timeout: 3
  statement_timeout: 10
remote:
  hostname: remote.invirt.test
"""


@dataclass(frozen=True)
class Database:
    """One test's database: its name, its socket's folder and its configuration file."""

    name: str
    socket: str
    config: Path
    kept: dict[tuple[int, str], psycopg2.extensions.connection] = field(
        default_factory=dict, repr=False, compare=False
    )

    def connect(self, user: str = "invirt") -> psycopg2.extensions.connection:
        """A plain connection as user, committing each statement by itself."""
        made = psycopg2.connect(host=self.socket, dbname=self.name, user=user)
        made.autocommit = True
        return made

    def execute(
        self, query: str, values: Sequence[object] | None = None, user: str = "invirt"
    ) -> list[tuple[object, ...]]:
        """Run one statement as user and return its rows, if it has any.

        On a connection that this thread keeps: to sign on takes longer than most statements.
        """
        key = threading.get_ident(), user
        if key not in self.kept or _has_ended(self.kept[key]):
            self.kept[key] = self.connect(user)
        with self.kept[key].cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        """End what was kept."""
        for connected in self.kept.values():
            connected.close()


def _has_ended(idle: psycopg2.extensions.connection) -> bool:
    """Whether it was closed on either side: the server says nothing to one that idles, but its last words."""
    return bool(idle.closed) or bool(select.select([idle], [], [], 0)[0])


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL: its folder, which holds the socket too, its first process and port."""

    folder: Path
    process: subprocess.Popen[bytes]
    port: int = 5432

    def superuser(self, dbname: str = "postgres") -> psycopg2.extensions.connection:
        """A connection as postgres, committing each statement by itself."""
        made = psycopg2.connect(host=str(self.folder), port=self.port, dbname=dbname, user="postgres")
        made.autocommit = True
        return made

    def run(self, query: str, dbname: str = "postgres") -> None:
        """Run one statement as postgres."""
        with closing(self.superuser(dbname)) as connected, connected.cursor() as cursor:
            cursor.execute(query)


def bin_folder() -> Path:
    """The newest PostgreSQL's programs, which Debian keeps out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        pytest.skip("no PostgreSQL: apt install postgresql")
    return found[-1].parent


def new_folder() -> Path:
    """A folder for a cluster, in memory where there is room.

    On a disk a new database takes five times as long: where many files have just
    been removed, ext4 looks long for numbers of new ones.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    return Path(tempfile.mkdtemp(prefix="invirt-pg-", dir=memory if roomy else None))


def start(
    folder: Path,
    settings: Mapping[str, str],
    hba: str = "local all all trust\n",
    environment: Mapping[str, str] | None = None,
    port: int = 5432,
    backup: Sequence[str] = (),
) -> Cluster:
    """Make a cluster in folder, as user postgres, and wait until it answers (30 seconds).

    environment: what the server's own is to have, instead of ours.  backup: options of
    pg_basebackup, for one that is a copy of another.
    """
    programs, account = bin_folder(), pwd.getpwnam("postgres")
    shutil.chown(folder, account.pw_uid, account.pw_gid)
    data = folder / "data"
    flags = "--no-sync --auth=trust --encoding=UTF8 --locale=C.UTF-8"
    initdb = [str(programs / "initdb"), *flags.split(), "-D", str(data)]
    copy = [str(programs / "pg_basebackup"), *backup, "--no-sync", "-D", str(data)]
    whose: dict[str, Any] = {"user": account.pw_uid, "group": account.pw_gid, "cwd": "/"}
    subprocess.run(copy if backup else initdb, check=True, stdout=subprocess.DEVNULL, **whose)
    (data / "pg_hba.conf").write_text(hba)
    options = [
        f"-c{key}={value}"
        for key, value in {**settings, "port": str(port), "unix_socket_directories": str(folder)}.items()
    ]
    with (folder / "log").open("wb") as log:
        argv = [str(programs / "postgres"), "-D", str(data), *options]
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, **whose
        )
    cluster = Cluster(folder, process, port)
    _wait_for(cluster)
    return cluster


def _wait_for(cluster: Cluster) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            cluster.superuser().close()
            return
        except psycopg2.OperationalError:
            if cluster.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((cluster.folder / "log").read_text()) from None
            time.sleep(0.05)


def stop(cluster: Cluster) -> None:
    """End it at once, sessions and all, and remove its folder."""
    cluster.process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
    try:
        cluster.process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        cluster.process.send_signal(signal.SIGQUIT)
        cluster.process.wait(timeout=20)
    shutil.rmtree(cluster.folder)


@contextmanager
def frozen(cluster: Cluster) -> Iterator[None]:
    """Every process of it stands still, connections open."""
    first = cluster.process.pid
    children = Path(f"/proc/{first}/task/{first}/children")
    stopped: list[int] = []
    try:
        while new := [pid for pid in (first, *map(int, children.read_text().split())) if pid not in stopped]:
            for pid in new:
                stopped.append(pid)
                with suppress(ProcessLookupError):  # it ended before it could be stopped
                    os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def migrate(cluster: Cluster, name: str) -> None:
    """Make a database with the newest schema, owned by invirt."""
    with closing(cluster.superuser()) as connected, connected.cursor() as cursor:
        cursor.execute(roles.script())
        cursor.execute(f"CREATE DATABASE {name} OWNER invirt")
    engine = sqlalchemy.create_engine(
        f"postgresql://invirt@/{name}?host={cluster.folder}&port={cluster.port}"
    )
    with engine.begin() as beginning:
        schema.upgrade(beginning)
    engine.dispose()
    cluster.run(roles.restrict(), name)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL that holds a migrated template."""
    folder = new_folder()
    made = start(folder, SETTINGS)
    try:
        migrate(made, TEMPLATE)
        yield made
    finally:
        stop(made)


_numbers = itertools.count()


@contextmanager
def fresh(cluster: Cluster, folder: Path) -> Iterator[Database]:
    """A new database, while $INVIRT_CONFIG, a file in folder, and invirt.config lead to it."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    cluster.run(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER invirt STRATEGY file_copy")
    cluster.run(f"REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC")
    file = folder / "invirt.yaml"
    file.write_text(CONFIG.format(socket=cluster.folder, name=name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVIRT_CONFIG", str(file))
        config.reload()
        connection.role = None
        made = Database(name, str(cluster.folder), file)
        yield made
        made.close()
        session.remove()
        connection.role = None
        cluster.run(f"DROP DATABASE {name} WITH (FORCE)")
    config.reload()


@pytest.fixture
def database(cluster: Cluster, tmp_path: Path) -> Iterator[Database]:
    """A database of this test's own; $INVIRT_CONFIG and invirt.config lead to it."""
    with fresh(cluster, tmp_path) as made:
        yield made
