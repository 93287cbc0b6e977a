"""Makes a Debian PostgreSQL Invirt's: its configuration, roles, database and schema.

Each step looks at what is there and does what is missing, so all of it can
run at every boot and every upgrade.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from invirt import config
from invirt.base import files
from invirt.base.errors import BadConfig, CommandFailed, NotFound, Unreachable
from invirt.base.process import run
from invirt.database import connection, roles, schema, servers

SETTINGS = Path("/etc/invirt/postgresql")
READY = 60  # seconds for PostgreSQL to answer after a restart
CLUSTERS = Path("/etc/postgresql")

# psql's \gexec runs what a query returns: CREATE DATABASE has no IF NOT EXISTS.
CREATE_DATABASE = r"""
SELECT 'CREATE DATABASE {name} OWNER invirt TEMPLATE template0 ENCODING ''UTF8'' '
    'LC_COLLATE ''C.UTF-8'' LC_CTYPE ''C.UTF-8'''
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{name}') \gexec
REVOKE ALL ON DATABASE {name}, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE {name} TO {servers};
"""
NO_WAIT = "ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();"
FOLLOWED = Path("/var/lib/invirt-database/followed")  # there since a copy has followed this server
HAS = "SELECT count(*) FROM pg_database WHERE datname = '{name}'"
# Debian's pg_ctlcluster gives PostgreSQL this environment, and no other: a copy signs on by it.
ENVIRONMENT = {"KRB5_CLIENT_KTNAME": "/etc/postgresql-common/krb5.keytab", "KRB5CCNAME": "MEMORY:"}
NEEDS_RESTART = "SELECT count(*) FROM pg_file_settings WHERE error = 'setting could not be applied'"
WRONG_LINES = """
SELECT 'pg_hba.conf:' || line_number || ': ' || error FROM pg_hba_file_rules WHERE error IS NOT NULL
UNION ALL
SELECT 'pg_ident.conf:' || line_number || ': ' || error FROM pg_ident_file_mappings WHERE error IS NOT NULL
"""
# By which invirt-check tells whether another server's packages are in step.
VERSION = ["dpkg-query", "--show", "--showformat=${Version}", "invirt-database-server"]
# Hosts obey only tokens higher than all that they have seen, so those of a database
# that came from a backup begin at the clock's milliseconds: never were there more.
HIGHER_TOKENS = """
SELECT setval('operation_token', milliseconds) FROM operation_token,
    (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS milliseconds) AS clock
    WHERE milliseconds > last_value
"""


@dataclass(frozen=True)
class Cluster:
    """One of Debian's PostgreSQL servers, e.g. 15/main."""

    version: str
    name: str

    @property
    def drop_in(self) -> Path:
        """Where it reads our settings."""
        return CLUSTERS / self.version / self.name / "conf.d" / "invirt.conf"

    @property
    def environment(self) -> Path:
        """What the environment of its processes is."""
        return CLUSTERS / self.version / self.name / "environment"

    @property
    def data(self) -> Path:
        """The folder that has all that is in it."""
        return Path(
            run(["pg_conftool", "-s", self.version, self.name, "show", "data_directory"]).stdout.strip()
        )

    @property
    def unit(self) -> str:
        """Its systemd unit."""
        return f"postgresql@{self.version}-{self.name}.service"


def find_cluster() -> Cluster:
    """The cluster that is Invirt's already, else the one on the configured port.

    Raises NotFound when there is none.
    """
    known = json.loads(run(["pg_lsclusters", "--json"]).stdout)
    clusters = [(Cluster(str(found["version"]), found["cluster"]), int(found["port"])) for found in known]
    for cluster, _ in clusters:
        if cluster.drop_in.is_symlink():
            return cluster
    for cluster, port in clusters:
        if port == config.database.port:
            return cluster
    raise NotFound(
        f"there is no PostgreSQL cluster on port {config.database.port}",
        hint="Look at pg_lsclusters; make one with pg_createcluster, or set database.port in invirt.yaml.",
    )


def psql(script: str, database: str = "postgres") -> str:
    """Run SQL as postgres, through the socket; returns what it printed.

    The child closes the connection, and stops at the first error.  Raises Unreachable if
    PostgreSQL doesn't run.
    """
    argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"]
    try:
        return run([*argv, *_where(), "-d", database], input=script).stdout.strip()
    except CommandFailed as error:
        if _answers():
            raise
        raise Unreachable(
            f"PostgreSQL doesn't run on this server, or lets nobody in: {error.hint or error.message}",
            "systemctl start postgresql; if it doesn't start, journalctl -u 'postgresql@*' says why.",
        ) from error


def _where() -> list[str]:
    return ["-h", connection.LOCAL_SOCKET, "-p", str(config.database.port)]


def _answers() -> bool:
    """Whether PostgreSQL lets anybody in."""
    return run(["pg_isready", "-q", *_where()], check=False).returncode == 0


def _restart(cluster: Cluster) -> None:
    """Restart it, and wait until it answers: systemd may say earlier that it has started."""
    run(["systemctl", "restart", cluster.unit], timeout=120)
    for _ in range(READY):
        if _answers():
            return
        time.sleep(1)


def prepare(cluster: Cluster) -> bool:
    """Let the cluster read our settings when it starts the next time; tells whether it did not before."""
    if not servers.IDENT.exists():  # hosts are not known yet
        servers.IDENT.parent.mkdir(mode=0o755, exist_ok=True)
        shutil.chown(servers.IDENT.parent, "postgres", "postgres")
        servers.write(servers.ident(servers.known(())))
        shutil.chown(servers.IDENT, "postgres", "postgres")
    if len(config.database.all) > 1:
        _set_environment(cluster)
    if cluster.drop_in.is_symlink():
        return False
    cluster.drop_in.symlink_to(SETTINGS / "postgresql.conf")
    return True


def _set_environment(cluster: Cluster) -> None:
    """Add to the file what is missing; it counts at the next start, as what makes a copy of it does."""
    text = cluster.environment.read_text() if cluster.environment.exists() else ""
    missing = [f"{name} = '{value}'\n" for name, value in ENVIRONMENT.items() if name not in text]
    if missing:
        files.replace(cluster.environment, (text.rstrip("\n") + "\n" + "".join(missing)).encode())


def is_copy() -> bool:
    """Whether what runs here is a copy."""
    return psql("SELECT pg_is_in_recovery()") == "t"


def is_ours() -> bool:
    """Whether what runs here has Invirt's database, or a copy of it."""
    return psql(HAS.format(name=config.database.name)) == "1"


def wait_for_no_copy() -> None:
    """Acknowledge without a copy until invirt-database-fence sees one; else nobody could write."""
    psql(NO_WAIT)


def configure(cluster: Cluster) -> None:
    """Let the cluster read our settings; restarts it the first time.

    Raises BadConfig for lines of pg_hba.conf and pg_ident.conf that it refuses.
    """
    if prepare(cluster) or psql(NEEDS_RESTART) != "0":
        _restart(cluster)
    wrong = psql(WRONG_LINES)
    if wrong:
        raise BadConfig(f"PostgreSQL can't read {SETTINGS}", hint=wrong)


def create() -> None:
    """Make the roles and the empty database, as postgres."""
    if config.database.synchronous and not FOLLOWED.exists():
        wait_for_no_copy()
    kinds = ", ".join(f"{roles.OWNER}_{kind}" for kind in roles.SERVERS)
    standby = roles.standby(len(config.database.all) > 1)
    made = CREATE_DATABASE.format(
        name=config.database.name, servers=f"{kinds}, {roles.MEMBERS}, {roles.MAIL}, {roles.STANDBY}"
    )
    psql(roles.script() + standby + made)
    psql(roles.restrict(), config.database.name)


def migrate() -> tuple[str | None, str | None]:
    """Bring the schema to the newest version, and what it holds of invirt.yaml up to date.

    Returns the version before and after.  It is one transaction, and takes as long as it takes.
    """
    engine = create_engine("postgresql+psycopg2://", creator=_patient, poolclass=NullPool, future=True)
    with engine.begin() as migrating:
        migrating.execute(text("SELECT pg_advisory_xact_lock(hashtext('invirt migration'))"))
        before = schema.version(migrating)
        schema.upgrade(migrating)
        migrating.exec_driver_sql((SETTINGS / "site.sql").read_text())
        _tell_version(migrating, run(VERSION, check=False).stdout)
        migrating.exec_driver_sql(HIGHER_TOKENS)
        return before, schema.version(migrating)


def _tell_version(migrating: Connection, version: str) -> None:
    """Of the packages here; of programs that no package has brought there is none."""
    migrating.exec_driver_sql("DELETE FROM site.packages")
    if version:
        migrating.execute(text("INSERT INTO site.packages VALUES (:version)"), {"version": version})


def _patient() -> psycopg2.extensions.connection:
    made = connection.connect()
    made.patience = None
    with made, made.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0; SET lock_timeout = 0")
    return made
