"""The database of this server: dumped as its owner, and put back beside what there is, then in its place."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from invirt import config
from invirt.backup.archive import Content
from invirt.base.errors import CommandFailed, InvirtError, NotFound
from invirt.base.process import run
from invirt.database import connection, schema, server

DUMP = "database/invirt.dump"
TIMEOUT = 4 * 3600  # seconds
SETUP = "invirt-database-setup"
UNIT = f"{SETUP}.service"

# Is there anything that somebody would miss?
LIVES = "SELECT EXISTS (SELECT FROM machines) OR EXISTS (SELECT FROM hosts)"
MAKE = """
DROP DATABASE IF EXISTS {new};
CREATE DATABASE {new} OWNER invirt TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';
REVOKE ALL ON DATABASE {new} FROM PUBLIC;
"""
# Hosts have to tell anew what runs there: until they have, all are asked before a machine is booted, so
# that none is that runs where the backup doesn't know.  Numbers that were given since must not come again.
FORGET = """
DELETE FROM guest_states;
DELETE FROM host_signs;
SELECT setval('machines_machine_id_seq', nextval('machines_machine_id_seq') + 1000),
    setval('nics_nic_id_seq', nextval('nics_nic_id_seq') + 1000),
    setval('operations_operation_id_seq', nextval('operations_operation_id_seq') + 1000);
"""
# Both names at once, with nobody connected, though servers try again and again: a crash leaves the one
# or the other, closed at the worst, which the next restore opens.
SWAP = """
ALTER DATABASE {name} ALLOW_CONNECTIONS false;
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname IN ('{name}', '{new}');
BEGIN;
ALTER DATABASE {name} RENAME TO {old};
ALTER DATABASE {new} RENAME TO {name};
COMMIT;
ALTER DATABASE {old} ALLOW_CONNECTIONS true;
"""
TRIES = 5  # a session may have begun before, and not be seen yet


def is_here() -> bool:
    """Whether this server is the database's."""
    return shutil.which(SETUP) is not None


def _where() -> list[str]:
    return ["-h", connection.LOCAL_SOCKET, "-p", str(config.database.port)]


def exists() -> bool:
    """Whether PostgreSQL here has Invirt's database."""
    name = config.database.name
    return is_here() and server.psql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'") == "1"


def lives() -> bool:
    """Whether there is a database here with machines or hosts in it."""
    if not exists():
        return False
    server.psql(f"ALTER DATABASE {config.database.name} ALLOW_CONNECTIONS true")  # see SWAP
    made = server.psql("SELECT to_regclass('machines') IS NOT NULL", config.database.name)
    return made == "t" and server.psql(LIVES, config.database.name) == "t"


def save(content: Content, work: Path) -> None:
    """A dump of one moment."""
    dump = work / "invirt.dump"
    name = config.database.name
    how = ["--format=custom", "--username=invirt", *_where(), f"--file={dump}", name]
    run(["pg_dump", *how], timeout=TIMEOUT)
    content.files[DUMP] = dump
    content.about["schema"] = server.psql("SELECT version_num FROM alembic_version", name)


def fits(about: dict[str, str]) -> None:
    """Raises InvirtError for tables of a newer version than this server's; NotFound where it has none."""
    if not is_here():
        raise NotFound("this server is no database server", hint="apt-get install invirt-database-server")
    if about["schema"] > (schema.newest() or ""):
        raise InvirtError(
            f"the backup's tables are of version {about['schema']}, this server's programs know less",
            hint="Upgrade invirt-database-server first.",
        )


def restore(source: Path) -> str:
    """Put it in place of what there is; returns what that is called now, or nothing if it was empty."""
    run(["systemctl", "start", UNIT], timeout=TIMEOUT)  # settings and roles
    empty = not lives()
    old = put(source)
    # Rights, tables of this version, tokens beyond all that hosts have seen.
    run(["systemctl", "restart", UNIT], timeout=TIMEOUT)
    run(["systemctl", "try-restart", "invirt-database-watch.service"], timeout=120, check=False)
    if empty:
        server.psql(f"DROP DATABASE {old}")
    return "" if empty else old


def put(source: Path) -> str:
    """The same, with the roles that there are; returns what the one before is called from now on."""
    name = config.database.name
    new, old = f"{name}_restored", f"{name}_before_{time.strftime('%Y%m%d_%H%M%S', time.gmtime())}"
    server.psql(MAKE.format(new=new))
    _load(source / DUMP, new)
    server.psql(FORGET, new)
    _swap(SWAP.format(name=name, new=new, old=old))
    return old


def _load(dump: Path, database: str) -> None:
    """As postgres, who can't enter the folder that it lies in."""
    argv = ["pg_restore", "--exit-on-error", "--single-transaction", *_where(), f"--dbname={database}"]
    lent = ["sh", "-c", 'exec <"$0" runuser -u postgres -- "$@"', str(dump), *argv]
    run(lent, timeout=TIMEOUT)


def _swap(script: str) -> None:
    for left in reversed(range(TRIES)):
        try:
            server.psql(script)
            return
        except CommandFailed:
            if not left:
                raise
            time.sleep(1)
