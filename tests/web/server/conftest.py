"""A web server: the real Apache and gunicorn before a remote server, on loopback.

Its processes share a mount namespace in which /etc is the test's own to write: Debian's
Apache is set up at its real paths, as the package does it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from invirt import config
from invirt.base import templates
from invirt_lab.browser import Browser
from tests.parts.console.rows import CONSOLE, PORT
from tests.parts.namespace import python
from tests.parts.owned import owner
from tests.parts.postgres import Cluster, Database, fresh
from tests.parts.realm import PASSWORD, Realm, Remctlds, end, loopback
from tests.parts.remote.conftest import REMOTE, WEB, RemoteServer, host, running
from tests.parts.waiting import until

ROOT = Path(__file__).parents[3]
WEB_FILES = ROOT / "invirt-web/files/etc"
SITE = WEB_FILES / "invirt/web/apache.conf.mako"
SET_UP = """\
set -e
mount -t tmpfs tmpfs "$1"
for folder in etc var; do
    mkdir -p "$1/$folder" "$1/$folder.work"
    mount -t overlay -o "lowerdir=/$folder,upperdir=$1/$folder,workdir=$1/$folder.work" overlay "/$folder"
done
mount -t tmpfs tmpfs /run
mkdir -p /etc/invirt/web /run/apache2 /run/invirt-web /var/log/apache2
cp "$2/krb5.conf" /etc/krb5.conf
cp "$2/hosts" /etc/hosts
install -m 640 -g www-data "$2/http.keytab" /etc/invirt/web/http.keytab
cp "$2/server.pem" /etc/invirt/web/server.pem
[ -z "$4" ] || cp -p "$4"/* /etc/invirt/web
cp "$2/apache.conf" /etc/invirt/web/apache.conf
cp "$2/invirt-web.conf" /etc/apache2/sites-available/invirt-web.conf
cp "$2/ports.conf" /etc/apache2/ports.conf
sed -n '/^ *a2/p' "$3" | sh -e
echo ready
exec sleep infinity
"""
# As the sockets' units have it.
LIKE_THE_UNIT = 'cd /run/invirt-web && [ -S "$0" ] && chgrp www-data "$0" && chmod 660 "$0"'
APACHE = {
    "APACHE_RUN_USER": "www-data",
    "APACHE_RUN_GROUP": "www-data",
    "APACHE_PID_FILE": "/run/apache2/apache2.pid",
    "APACHE_RUN_DIR": "/run/apache2",
    "APACHE_LOCK_DIR": "/run/apache2",
    "APACHE_LOG_DIR": "/var/log/apache2",
}


@dataclass
class WebServer:
    """Where it is, its parts, and what is behind it."""

    folder: Path
    address: str
    realm: Realm
    database: Database
    remote: RemoteServer | None = None
    enter: list[str] = field(default_factory=list)
    apache: subprocess.Popen[bytes] | None = None
    pages: subprocess.Popen[bytes] | None = None
    streams: subprocess.Popen[bytes] | None = None

    def start(self, name: str, environment: dict[str, str], *argv: str) -> subprocess.Popen[bytes]:
        """A process of its own, in its namespace."""
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*self.enter, *argv],
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def log(self) -> str:
        """What its processes and Apache said."""
        said = [file.read_text() for file in sorted(self.folder.glob("*.log"))]
        argv = [*self.enter, "sh", "-c", "tail -n 30 /var/log/apache2/error.log"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        return "\n".join([*said, done.stdout])

    def browser(self, user: str = "") -> Browser:
        """One without a session; or with user's, who signs on by password."""
        made = Browser(self.address, WEB, str(self.folder / "server.crt"))
        if user:
            answer = made.sign_on(user, PASSWORD)
            assert answer.status == 303, (answer, self.log())
        return made


@dataclass
class Doors:
    """How people sign on: words of invirt.yaml's section web; files that go into /etc/invirt/web.

    names: further names, and their addresses.
    """

    words: str = ""
    files: Path | None = None
    names: dict[str, str] = field(default_factory=dict)


def _files(folder: Path, realm: Realm, address: str, hosts: dict[str, str]) -> None:
    """What the namespace's /etc is to hold."""
    (folder / "krb5.conf").write_text((realm.folder / "krb5.conf").read_text())
    (folder / "hosts").write_text("".join(f"{ip} {name}\n" for name, ip in hosts.items()))
    (folder / "http.keytab").write_bytes(realm.keytab(f"HTTP/{WEB}").read_bytes())
    (folder / "ports.conf").write_text(f"Listen {address}:80\nListen {address}:443\n")
    site = templates.render(SITE).replace("\nListen ", f"\nListen {address}:")
    (folder / "apache.conf").write_text(site)
    shutil.copy(WEB_FILES / "apache2/sites-available/invirt-web.conf", folder)
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = f"-subj /CN={WEB} -addext subjectAltName=DNS:{WEB}"
    files = f"-keyout {folder}/server.key -out {folder}/server.crt"
    subprocess.run(
        [*made.split(), *names.split(), *files.split()], check=True, capture_output=True, timeout=60
    )
    whole = (folder / "server.crt").read_text() + (folder / "server.key").read_text()
    (folder / "server.pem").write_text(whole)


@contextmanager
def _namespace(server: WebServer, doors: Doors) -> Iterator[None]:
    private = server.folder / "private"
    private.mkdir()
    script = ROOT / "debian/invirt-web-server.postinst"
    argv = ["unshare", "-m", "--propagation", "private", "sh", "-c", SET_UP, "sh"]
    argv += [str(private), str(server.folder), str(script), str(doors.files or "")]
    holder = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert holder.stdout
    try:
        for line in holder.stdout:
            if line == b"ready\n":
                break
        assert holder.poll() is None, "no mount namespace"
        server.enter = ["nsenter", "-t", str(holder.pid), "-m"]
        yield
    finally:
        holder.stdout.close()
        end(holder)


def passed(server: WebServer, name: str, program: Path | None = None) -> subprocess.Popen[bytes]:
    """invirt-web-NAME, or program, on a socket that systemd's own passes, in place of one that has ended."""
    environment = {
        **server.realm.environment,
        **python(),
        "INVIRT_CONFIG": str(server.database.config),
        "KRB5_CLIENT_KTNAME": str(server.realm.keytab(f"host/{WEB}")),
        "KRB5CCNAME": f"FILE:{server.folder}/{name}.ccache",
        "STATE_DIRECTORY": str(server.folder),
    }
    subprocess.run([*server.enter, "rm", "-f", f"/run/invirt-web/{name}"], check=True)
    activated = ["systemd-socket-activate", "-l", f"/run/invirt-web/{name}"]
    activated += [word for variable in environment for word in ("-E", variable)]
    program = program or ROOT / f"invirt-web/sbin/invirt-web-{name}"
    made = server.start(name, environment, *activated, str(program))
    rights = [*server.enter, "sh", "-c", LIKE_THE_UNIT, name]
    until(lambda: subprocess.run(rights, check=False).returncode == 0, server.log)
    return made


@contextmanager
def _started(server: WebServer) -> Iterator[None]:
    """gunicorn, aiohttp, and Apache."""
    with ExitStack() as stack:
        stack.callback(lambda: [end(one) for one in (server.pages, server.streams) if one])
        server.pages = passed(server, "pages")
        server.streams = passed(server, "streams")
        server.apache = server.start("apache", APACHE, "/usr/sbin/apache2", "-DFOREGROUND")
        stack.callback(end, server.apache)
        until(lambda: server.browser().answers(), server.log, 8)
        yield


def _site(database: Database, folder: Path, doors: Doors) -> None:
    """Owners alice and bob, an administrator carol, a type, addresses."""
    Path(database.socket).chmod(0o755)
    (folder / "volumes").mkdir()
    with database.config.open("a") as file:
        file.write(
            "  host_timeout: 15\n  work_timeout: 30\n  shutdown_timeout: 3\n"
            f"web:\n  hostname: {WEB}\n{doors.words}"
            f"console: {{hostname: {CONSOLE}, port: {PORT}, sessions_a_machine: 4}}\n"
            "machines: {memory: 128, disk: 1, min_memory: 64}\n"
            "hypervisor:\n  driver: fake\n"
            f"storage:\n  driver: fake\n  directory: {folder / 'volumes'}\n"
        )
    config.reload()
    for name in ("alice", "bob"):
        owner(database, name)
    database.execute("INSERT INTO administrators (principal) VALUES ('carol@INVIRT.TEST')")
    database.execute("INSERT INTO types (name, virt, kernel) VALUES ('linux', 'pvh', '/boot/vmlinuz')")
    database.execute(
        "INSERT INTO address_ranges (first, last, prefix, gateway)"
        " VALUES ('192.0.2.10', '192.0.2.250', 24, '192.0.2.1')"
    )


@pytest.fixture(scope="module")
def doors() -> Doors:
    """As invirt.yaml has them when it says nothing; a file of tests may say other."""
    return Doors()


@pytest.fixture(scope="module")
def web(
    cluster: Cluster, realm: Realm, tmp_path_factory: pytest.TempPathFactory, doors: Doors
) -> Iterator[WebServer]:
    """A web server, behind it a remote server and a host of fakes; alice, bob and carol have a password."""
    folder = tmp_path_factory.mktemp("web")
    remctlds = Remctlds(realm)
    with ExitStack() as stack:
        stack.callback(remctlds.stop)
        database = stack.enter_context(fresh(cluster, folder))
        _site(database, folder, doors)
        made = stack.enter_context(host(database, realm, remctlds, folder / "host1", "host1"))
        database.execute(
            "INSERT INTO hosts (name, hostname, memory) VALUES ('host1', %s, 1024)", (made.hostname,)
        )
        addresses = {made.hostname: made.remctld.address}
        remote = stack.enter_context(running(database, realm, remctlds, folder / "remote", addresses))
        working = remote.namespace.start("/usr/sbin/invirt-operations", "watch")
        stack.callback(end, working)
        for name in ("alice", "bob", "carol"):
            realm.password(name)
        server = WebServer(folder, loopback(), realm, database, remote)
        hosts = {REMOTE: remote.remctld.address, WEB: server.address, "localhost": "127.0.0.1", **doors.names}
        _files(folder, realm, server.address, hosts)
        stack.enter_context(_namespace(server, doors))
        stack.enter_context(_started(server))
        yield server
