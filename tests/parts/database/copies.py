"""Two servers with Debian's own PostgreSQL, beside each other on loopback: each may have the database."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from invirt import config
from invirt.base import templates
from invirt.database import connection, server, servers
from invirt.database.commands import setup
from tests.parts import postgres
from tests.parts.realm import Realm, loopback

CONFIG = """\
site: {{domain: invirt.test, realm: INVIRT.TEST}}
database: {{hostname: {first}, copies: [{second}], port: {port}, synchronous: true}}
remote: {{hostname: remote.invirt.test}}
"""
# As systemd would, by the unit and its drop-in.
SYSTEMCTL = """\
#!/bin/sh
set -e
case $1 in
stop|restart) pg_ctlcluster --skip-systemctl-redirect -m fast {version} main stop || [ $? = 2 ] ;;
esac
case $1 in
start|restart) pg_ctlcluster --skip-systemctl-redirect {version} main start ;;
esac
"""


@dataclass(frozen=True)
class Place:
    """One server: where its files are, and its address, which is its name."""

    folder: Path
    address: str
    version: str
    port: int

    @property
    def cluster(self) -> server.Cluster:
        """Its PostgreSQL, as Debian has it."""
        return server.Cluster(self.version, "main")

    @contextmanager
    def here(self) -> Iterator[server.Cluster]:
        """While programs believe that they run there."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PG_CLUSTER_CONF_ROOT", str(self.folder / "etc"))
            patch.setenv("INVIRT_CONFIG", str(self.folder / "invirt.yaml"))
            patch.setenv("KRB5_CONFIG", str(self.folder / "krb5.conf"))
            patch.setenv("KRB5_CLIENT_KTNAME", str(self.folder / "postgres.keytab"))
            patch.setenv("KRB5CCNAME", f"FILE:{self.folder}/cache")
            patch.setenv("PATH", f"{self.folder}/bin:{os.environ['PATH']}")
            patch.setattr(server, "CLUSTERS", self.folder / "etc")
            patch.setattr(server, "SETTINGS", self.folder / "settings")
            patch.setattr(server, "FOLLOWED", self.folder / "followed")
            patch.setattr(server, "ENVIRONMENT", self.environment)
            patch.setattr(servers, "IDENT", self.folder / "state/pg_ident.conf")
            patch.setattr(connection, "LOCAL_SOCKET", str(self.folder))
            patch.setattr(connection, "role", None)
            config.reload()
            yield self.cluster
        config.reload()

    @property
    def environment(self) -> dict[str, str]:
        """What a server of its own would have by its own krb5.conf and keytab."""
        keytab = self.folder / "postgres.keytab"
        return {
            "KRB5_CLIENT_KTNAME": str(keytab),
            "KRB5CCNAME": "MEMORY:",
            "KRB5_CONFIG": str(self.folder / "krb5.conf"),
        }

    def ask(self, query: str, dbname: str = "invirt") -> list[tuple[object, ...]]:
        """The rows of query, asked as postgres through the socket."""
        psycopg2.extensions.set_wait_callback(None)
        made = psycopg2.connect(host=str(self.folder), port=self.port, dbname=dbname, user="postgres")
        made.autocommit = True
        with closing(made) as connected, connected.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []

    def control(self, verb: str, how: str = "fast") -> None:
        """pg_ctlcluster, on whatever is there."""
        with self.here():
            words = ["--skip-systemctl-redirect", *(("-m", how) if verb == "stop" else ())]
            argv = ["pg_ctlcluster", *words, self.version, "main", verb]
            done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 2), done.stderr  # 2: it is so already

    def pid(self) -> int:
        """PostgreSQL's first process."""
        with self.here() as cluster:
            return int((cluster.data / "postmaster.pid").read_text().split()[0])


def place(realm: Realm, checkout: Path, text: str, address: str, port: int) -> Place:
    """A server with an empty PostgreSQL, and what invirt-config would make; text: its invirt.yaml."""
    folder, version = postgres.new_folder(), postgres.bin_folder().parts[-2]
    made = Place(folder, address, version, port)
    for name in ("settings", "state", "bin", "etc"):
        (folder / name).mkdir()
    (folder / "invirt.yaml").write_text(text)
    shutil.copy(realm.folder / "krb5.conf", folder)
    shutil.copy(realm.keytab(f"postgres/{address}"), folder / "postgres.keytab")
    systemctl = folder / "bin/systemctl"
    systemctl.write_text(SYSTEMCTL.format(version=version))
    systemctl.chmod(0o755)
    for file in (folder, *folder.rglob("*")):
        shutil.chown(file, "postgres", "postgres")
    with made.here():
        _settings(made, checkout)
        where = f"-d {folder}/data -l {folder}/log -s {folder} -p {port}".split()
        how = ["--locale", "C.UTF-8", "--start-conf", "manual", version, "main", "--", "--no-sync"]
        subprocess.run(["pg_createcluster", *where, *how], check=True, capture_output=True, timeout=60)
        (folder / f"etc/{version}/main/pg_hba.conf").write_text("local all all trust\n")
        own = f"listen_addresses = '{address}'\nexternal_pid_file = '{folder}/pid'\n"
        (folder / f"etc/{version}/main/conf.d/test.conf").write_text(own)
    made.control("start")
    return made


def _settings(made: Place, checkout: Path) -> None:
    folder = made.folder
    for name in ("postgresql.conf", "pg_hba.conf", "site.sql"):
        text = templates.render(checkout / f"invirt-database/files/etc/invirt/postgresql/{name}.mako")
        text = text.replace("/etc/invirt/postgresql", f"{folder}/settings")
        text = text.replace("/var/lib/invirt-database", f"{folder}/state").replace("'*'", f"'{made.address}'")
        if name == "pg_hba.conf":  # root of a test comes as postgres, too
            text = f"local all postgres trust\n{text}"
        if name == "postgresql.conf":
            text += f"krb_server_keyfile = '{folder}/postgres.keytab'\nmax_connections = 60\n"
            text += "superuser_reserved_connections = 3\nshared_buffers = 32MB\n"
        (folder / "settings" / name).write_text(text)


@contextmanager
def two(realm: Realm, checkout: Path, port: int) -> Iterator[tuple[Place, Place]]:
    """The first has the database, made by invirt-database-setup; the second has nothing yet."""
    first, second = loopback(), loopback()
    text = CONFIG.format(first=first, second=second, port=port)
    made: list[Place] = []
    try:
        for address in (first, second):
            made.append(place(realm, checkout, text, address, port))
        with made[0].here():
            setup.COMMAND.run(migrate_only=False)
        yield made[0], made[1]
    finally:
        for one in made:
            one.control("stop", "immediate")
            shutil.rmtree(one.folder)
