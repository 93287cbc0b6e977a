"""A throw-away Kerberos realm and remctlds, all on loopback addresses of their own.

Fixtures: `realm` (a KDC for the whole session) and `remctlds` (starts remctld
once a connection, as the systemd sockets do).  Everything lives in one
temporary folder; every process is ended by its own pid.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NAME = "INVIRT.TEST"
PASSWORD = "open-sesame"  # everybody's: sign-on by password and by keytab don't exclude each other
DEADLINE = 20.0  # seconds: ten times what anything here takes
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
UNIT = Path(__file__).parents[2] / "invirt-remote/systemd/invirt-remctld.socket"

KRB5_CONF = """\
[libdefaults]
    default_realm = {name}
    dns_canonicalize_hostname = false
    rdns = false
    dns_lookup_kdc = false
    dns_lookup_realm = false
    qualify_shortname = ""
    udp_preference_limit = 1
[realms]
    {name} = {{
        kdc = {address}:{port}
    }}
[domain_realm]
    .invirt.test = {name}
"""

KDC_CONF = """\
[kdcdefaults]
    kdc_listen = {address}:{port}
    kdc_tcp_listen = {address}:{port}
[realms]
    {name} = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
        acl_file = {folder}/kadm5.acl
        supported_enctypes = aes256-cts-hmac-sha1-96:normal
    }}
[logging]
    kdc = FILE:{folder}/kdc.log
"""


def loopback() -> str:
    """An address of 127/8 that no other run is likely to use."""
    return "127." + ".".join(str(secrets.randbelow(253) + 1) for _ in range(3))


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask process to end; kill it when it doesn't within the deadline."""
    process.terminate()
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(DEADLINE)


@dataclass
class Realm:
    """A running KDC. folder holds its files; name is the realm's."""

    folder: Path
    address: str
    port: int = 88
    name: str = NAME
    kdc: subprocess.Popen[bytes] | None = None
    making: threading.RLock = field(default_factory=threading.RLock)  # a keytab or a ticket

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to speak to this realm (no ticket, no keytab)."""
        return {
            "PATH": PATH,
            "LC_ALL": "C.UTF-8",
            "KRB5_CONFIG": str(self.folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
        }

    def _tool(self, *argv: str, input: str = "") -> None:
        done = subprocess.run(
            argv,
            check=False,
            input=input,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"

    def create(self) -> None:
        """Write the realm's files and its empty database."""
        for name, text in (("krb5.conf", KRB5_CONF), ("kdc.conf", KDC_CONF)):
            filled = text.format(name=self.name, address=self.address, port=self.port, folder=self.folder)
            (self.folder / name).write_text(filled)
        self._tool("kdb5_util", "create", "-s", "-r", self.name, "-P", secrets.token_hex(8))

    def start(self) -> None:
        """Start the KDC and wait until it answers."""
        self.kdc = subprocess.Popen(
            ["krb5kdc", "-n", "-r", self.name], env=self.environment, stderr=subprocess.DEVNULL
        )
        limit = time.monotonic() + DEADLINE
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((self.address, self.port)) == 0:
                    return
            assert self.kdc.poll() is None and time.monotonic() < limit, "the KDC doesn't start"
            time.sleep(0.02)

    def stop(self) -> None:
        """End the KDC; tickets that were issued stay good."""
        if self.kdc:
            end(self.kdc)
            self.kdc = None

    def principal(self, name: str) -> str:
        """name with the realm: alice -> alice@INVIRT.TEST."""
        return name if "@" in name else f"{name}@{self.name}"

    def keytab(self, *names: str, file: Path | None = None) -> Path:
        """Create the principals (if new) and return a keytab that holds them."""
        path = file or self.folder / (names[0].replace("/", "-") + ".keytab")
        with self.making:
            if not path.exists():
                lines = "".join(
                    f"addprinc -pw {PASSWORD} {n}\nktadd -k {path} -norandkey {n}\n" for n in names
                )
                self._tool("kadmin.local", "-r", self.name, input=lines)
                assert path.exists(), f"no keytab for {names}"
        return path

    def password(self, name: str) -> str:
        """That of a principal, which is created if new; its keytab holds the same key."""
        self.keytab(name)
        return PASSWORD

    def limit(self, name: str, seconds: int) -> None:
        """Tickets of the principal end after so many seconds."""
        self.administer(f'modprinc -maxlife "{seconds} seconds" {name}')

    def administer(self, words: str) -> None:
        """A line of kadmin's."""
        self._tool("kadmin.local", "-r", self.name, input=f"{words}\n")

    def asked(self, name: str) -> int:
        """How many tickets of its own the principal has got by now."""
        lines = (self.folder / "kdc.log").read_text().splitlines()
        client = f" {self.principal(name)} for krbtgt/"
        return sum("AS_REQ" in line and "ISSUE" in line and client in line for line in lines)

    def ticket(self, name: str) -> Path:
        """A credential cache with a ticket of the principal, created if new."""
        cache = self.folder / (name.replace("/", "-") + ".ccache")
        with self.making:
            if not cache.exists():
                keytab = str(self.keytab(name))
                self._tool("kinit", "-c", str(cache), "-k", "-t", keytab, self.principal(name))
        return cache

    def as_user(self, name: str) -> dict[str, str]:
        """The environment of a process that holds name's ticket."""
        return {**self.environment, "KRB5CCNAME": f"FILE:{self.ticket(name)}"}


@dataclass
class Answer:
    """What remctl brought back."""

    status: int
    stdout: str
    stderr: str


@dataclass
class Remctld:
    """remctld started anew for each connection to address:port (as Accept=yes does)."""

    realm: Realm
    hostname: str  # its principal is host/HOSTNAME
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    address: str = field(default_factory=loopback)
    port: int = 4373

    def __post_init__(self) -> None:
        self._listener = socket.create_server((self.address, self.port))
        self._listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, "\nNoDelay=yes\n" in UNIT.read_text()
        )
        self._listener.settimeout(0.1)
        self._ended = threading.Event()
        self._children: list[subprocess.Popen[bytes]] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            with connection, self.log.open("ab") as log:
                connection.setblocking(True)
                child = subprocess.Popen(
                    self.argv,
                    stdin=connection.fileno(),
                    stdout=log,
                    stderr=log,
                    env=dict(self.environment),
                    start_new_session=True,
                )
            self._children = [c for c in self._children if c.poll() is None] + [child]

    def pids(self) -> list[int]:
        """The processes that were started for connections, some of which may have ended."""
        return [child.pid for child in self._children]

    def stop(self) -> None:
        """Take no more connections and end those that are open; it may have been stopped before."""
        self._ended.set()
        self._thread.join(DEADLINE)
        self._listener.close()
        while self._children:
            child = self._children.pop()
            os.killpg(child.pid, signal.SIGKILL)  # its command, too
            child.wait(DEADLINE)

    def call(self, user: str, *command: str, timeout: float = 60) -> Answer:
        """Run a remctl command as user (who gets a ticket), by Debian's own client."""
        argv = ["remctl", "-p", str(self.port), "-s", f"host/{self.hostname}", self.address, *command]
        done = subprocess.run(
            argv,
            check=False,
            env=self.realm.as_user(user),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        return Answer(done.returncode, done.stdout, done.stderr)


class Remctlds:
    """Starts remctlds and ends them all."""

    def __init__(self, realm: Realm) -> None:
        self.realm = realm
        self.started: list[Remctld] = []

    def start(
        self,
        hostname: str,
        conf: Path | None = None,
        *,
        argv: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        enter: Sequence[str] = (),
        address: str = "",
        port: int = 4373,
    ) -> Remctld:
        """A remctld with hostname's keytab that reads conf, or whatever else argv starts for a connection.

        environment is added for it and its commands; enter is put before its
        argv (say nsenter, for a mount namespace).
        """
        server = Remctld(
            self.realm,
            hostname,
            [*enter, *(argv or ("/usr/sbin/remctld", "-S", "-f", str(conf)))],
            {
                **self.realm.environment,
                "KRB5_KTNAME": str(self.realm.keytab(f"host/{hostname}")),
                **(environment or {}),
            },
            self.realm.folder / f"{hostname}.log",
            address or loopback(),
            port,
        )
        self.started.append(server)
        return server

    def stop(self) -> None:
        """End all."""
        for server in self.started:
            server.stop()


@contextmanager
def running(folder: Path) -> Iterator[Realm]:
    """A realm in folder for as long as the context lasts."""
    realm = Realm(folder, loopback())
    realm.create()
    realm.start()
    try:
        yield realm
    finally:
        realm.stop()


@pytest.fixture(scope="session")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """The session's KDC."""
    if os.getuid() != 0:
        pytest.skip("a KDC on port 88 needs root")
    with running(tmp_path_factory.mktemp("realm")) as started:
        yield started


@pytest.fixture
def remctlds(realm: Realm) -> Iterator[Remctlds]:
    """Starts remctlds that are ended with the test."""
    started = Remctlds(realm)
    try:
        yield started
    finally:
        started.stop()
