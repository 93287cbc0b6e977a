"""A real slapd on loopback, with people and groups, which speaks TLS alone."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from invirt import config
from tests.parts.postgres import Database

SECRET = "of-no-use"
CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCACertificateFile {folder}/cert.pem
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
sizelimit size.soft=500 size.hard=500 size.prtotal=unlimited
pidfile {folder}/pid
database mdb
suffix "dc=invirt,dc=test"
rootdn "cn=admin,dc=invirt,dc=test"
rootpw {secret}
directory {folder}/db
maxsize 33554432
access to * by users read by anonymous auth
"""
TREE = """\
dn: dc=invirt,dc=test
objectClass: dcObject
objectClass: organization
o: test
dc: invirt

dn: cn=reader,dc=invirt,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: {secret}

dn: ou=people,dc=invirt,dc=test
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=invirt,dc=test
objectClass: organizationalUnit
ou: groups
"""


@dataclass(frozen=True)
class Ldap:
    """A running slapd: its port, and what writes into it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def add(self, ldif: str, *options: str) -> None:
        """Entries, or changes."""
        argv = ["ldapmodify", *options, "-x", "-H", f"ldaps://127.0.0.1:{self.port}", "-w", SECRET]
        environment = {"LDAPTLS_CACERT": str(self.folder / "cert.pem"), "PATH": "/usr/bin"}
        who = ["-D", "cn=admin,dc=invirt,dc=test"]
        done = subprocess.run(
            [*argv, *who], input=ldif, text=True, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def person(self, login: str) -> str:
        """Their DN; they are made."""
        dn = f"uid={login},ou=people,dc=invirt,dc=test"
        self.add(f"dn: {dn}\nobjectClass: account\nuid: {login}\n", "-a")
        return dn

    def group(self, name: str, *members: str) -> str:
        """Its DN; it is made."""
        dn = f"cn={name},ou=groups,dc=invirt,dc=test"
        each = "".join(f"member: {one}\n" for one in members)
        self.add(f"dn: {dn}\nobjectClass: groupOfNames\ncn: {name}\n{each}", "-a")
        return dn


def _certificate(folder: Path) -> None:
    argv = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*argv.split(), *names, *files], check=True, capture_output=True)


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ldap]:
    """With a tree that has neither people nor groups."""
    folder = tmp_path_factory.mktemp("slapd")
    (folder / "db").mkdir()
    _certificate(folder)
    (folder / "slapd.conf").write_text(CONF.format(folder=folder, secret=SECRET))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    argv = ["/usr/sbin/slapd", "-f", str(folder / "slapd.conf"), "-d", "0", "-h", f"ldaps://127.0.0.1:{port}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        made = Ldap(folder, port, process)
        made.add(TREE.format(secret=SECRET), "-a")
        yield made
    finally:
        process.kill()
        process.wait(20)


OWNERS = """\
owners:
  sources: [unix, ldap, hr]
  refresh: 60
  patience: 300
  deadline: {deadline}
  ldap:
    server: {server}
    base: ou=groups,dc=invirt,dc=test
    ca: {ca}
    bind: cn=reader,dc=invirt,dc=test
    password: {password}
"""


def configure(database: Database, server: str, ca: Path, password: Path, deadline: int = 20) -> None:
    """Name the sources in invirt.yaml."""
    before = database.config.read_text().partition("owners:")[0]
    told = OWNERS.format(server=server, ca=ca, password=password, deadline=deadline)
    database.config.write_text(before + told)
    config.reload()


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Database:
    """The database of a site that asks sources; nobody answers as LDAP."""
    (tmp_path / "password").write_text(f"{SECRET}\n")
    configure(database, "ldaps://localhost:1", tmp_path / "cert.pem", tmp_path / "password")
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    return database


@pytest.fixture
def directory(site: Database, slapd: Ldap, tmp_path: Path) -> Ldap:
    """The slapd, which invirt.yaml names."""
    configure(site, f"ldaps://127.0.0.1:{slapd.port}", slapd.folder / "cert.pem", tmp_path / "password")
    return slapd
