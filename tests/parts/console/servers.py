"""A console server and a host on loopback: real sshd, conserver, PAM and NSS, each in a mount namespace.

In it, /etc is an overlay that the test writes to, the checkout's programs and
modules lie over Debian's, /run is the server's own, and what it mounts at
/consolefs no other server sees, so that everything runs at the very paths that
it has when it is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect

from tests.parts.postgres import Database
from tests.parts.realm import DEADLINE, Realm, end, loopback

ROOT = Path(__file__).parents[3]
CONSOLE, HOST = "console.invirt.test", "host1.invirt.test"
HOMES = Path("/consolefs")
SSH_PORT, PORT = 2222, 7820

SET_UP = """\
set -e
root=$1 role=$2
hostname "$4"
over() { mount -t overlay -o "lowerdir=$1:$2" overlay "$2"; }
mount -t overlay -o "lowerdir=/etc,upperdir=$root/etc,workdir=$root/work" overlay /etc
for dir in bin sbin; do
    layers=$root/$dir
    [ ! -d "$role/$dir" ] || layers=$layers:$role/$dir
    over "$layers" /usr/$dir
done
over "$3" /usr/lib/python3/dist-packages
mount --bind "$root/log" /var/log/conserver
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/systemd/userdb /run/conserver /run/invirt/conserver
echo ready
exec sleep infinity
"""

# A guest: says what it is, then gives back what is typed.
XM = """\
#!/bin/sh
[ -e "/run/guests/$2" ] || exit 3
echo "this is $2, booted"
exec cat
"""

CA = """\
set -e
cd "$0"
new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "$@" 2>/dev/null; }
for ca in ca other; do new -subj "/CN=$ca" -keyout $ca.key -out $ca.pem; done
for name in console host; do
    new -subj "/CN=$name" -keyout $name.key -out $name.crt -CA ca.pem -CAkey ca.key
    cat $name.crt $name.key >$name.pem
done
new -subj /CN=stranger -keyout stranger.key -out stranger.crt -CA other.pem -CAkey other.key
cat stranger.crt stranger.key >stranger.pem
"""


@dataclass
class Server:
    """One server: its role, its folder, its processes."""

    role: str
    name: str
    folder: Path
    environment: Mapping[str, str]
    holder: subprocess.Popen[bytes] | None = None
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def enter(self) -> list[str]:
        """What is put before an argv that is to run in here."""
        assert self.holder
        return ["nsenter", "-t", str(self.holder.pid), "-m", "-u"]

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file below etc (or, before the server is up, sbin)."""
        root = Path(f"/proc/{self.holder.pid}/root") if self.holder else self.folder
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def up(self) -> None:
        """Make the namespace."""
        modules = sorted(ROOT.glob("invirt-*/python"))
        role = str(ROOT / f"invirt-{self.role}")
        argv = ["unshare", "-m", "-u", "--propagation", "private", "sh", "-c", SET_UP, "sh"]
        self.holder = subprocess.Popen(
            [*argv, str(self.folder), role, ":".join(map(str, modules)), self.name], stdout=subprocess.PIPE
        )
        assert self.holder.stdout and self.holder.stdout.readline() == b"ready\n", "no mount namespace"

    def down(self) -> None:
        """End all processes."""
        for child in reversed(self.children):
            end(child)
        if self.holder:
            assert self.holder.stdout
            self.holder.stdout.close()
            end(self.holder)

    def start(self, *argv: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a process that ends with the server."""
        with (self.folder / "output").open("ab") as log:
            child = subprocess.Popen(
                [*self.enter, *argv],
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.children.append(child)
        return child

    def run(
        self, *argv: str, timeout: float = DEADLINE, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in here."""
        return subprocess.run(
            [*self.enter, *argv],
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=timeout,
        )

    def output(self) -> str:
        """What its processes have said."""
        return (self.folder / "output").read_text(errors="replace")

    def await_(self, what: str, *argv: str) -> None:
        """Until a command succeeds in here."""
        wait(lambda: self.run(*argv).returncode == 0, what, self.output)

    def reached(self, address: str, port: int) -> None:
        """Until something listens there."""
        self.await_(f"{address}:{port}", "bash", "-c", f"</dev/tcp/{address}/{port}")


def wait(
    true: Callable[[], bool], what: str, why: Callable[[], str] = str, seconds: float = DEADLINE
) -> None:
    """Until true() is."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, f"in vain: {what}\n{why()[-3000:]}"
        time.sleep(0.02)


@dataclass
class Site:
    """Both servers, and what they stand on."""

    database: Database
    realm: Realm
    console: Server
    host: Server
    addresses: Mapping[str, str]
    keys: Path

    def ssh(
        self,
        user: str,
        login: str,
        *options: str,
        port: int = SSH_PORT,
        program: str = "ssh",
        key: Path | None = None,
    ) -> list[str]:
        """The argv of ssh (or sftp, scp), as user, to a login of the console server.

        options: the login's name stands before those after "--".
        """
        settings = (
            *("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"),
            *("GSSAPIAuthentication=yes", f"Port={port}"),
            f"PreferredAuthentications={'publickey' if key else 'gssapi-with-mic'}",
            f"IdentityFile={key or '/dev/null'}",
        )
        set_ = [word for setting in settings for word in ("-o", setting)]
        ticket = f"KRB5CCNAME=FILE:{self.realm.ticket(user)}"
        krb5 = f"KRB5_CONFIG={self.realm.folder / 'krb5.conf'}"
        before = list(options[: options.index("--")] if "--" in options else options)
        after = list(options[len(before) + 1 :])
        where = [] if program == "scp" else [f"{login}@{CONSOLE}"]
        ssh = [program, "-F", "/dev/null", *set_, *before, *where, *after]
        return [*self.console.enter, "env", "-i", "PATH=/usr/bin:/bin", "TERM=xterm", ticket, krb5, *ssh]

    def call(self, user: str, login: str, *options: str, **where: Any) -> subprocess.CompletedProcess[str]:
        """ssh that isn't interactive, and what it brought back."""
        argv = self.ssh(user, login, *options, **where)
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False
        )

    def spawn(self, argv: list[str], **named: Any) -> pexpect.spawn:
        """A program on a terminal of its own."""
        return pexpect.spawn(argv[0], argv[1:], timeout=15, encoding="utf-8", codec_errors="replace", **named)

    def terminal(self, user: str, login: str, *options: str, **where: Any) -> pexpect.spawn:
        """An interactive ssh."""
        return self.spawn(self.ssh(user, login, *options, **where))

    def boot(self, name: str) -> None:
        """The machine runs on the host."""
        subprocess.run(
            [*self.host.enter, "sh", "-c", f"mkdir -p /run/guests; touch /run/guests/d_{name}"], check=True
        )
        self.database.execute(
            "UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE hostname = %s) WHERE name = %s",
            (HOST, name),
        )

    def halt(self, name: str) -> None:
        """The machine is off."""
        subprocess.run([*self.host.enter, "rm", "-f", f"/run/guests/d_{name}"], check=True)
        self.database.execute("UPDATE machines SET host_id = NULL WHERE name = %s", (name,))


def owner(database: Database, name: str) -> None:
    """An owner with one member, name@INVIRT.TEST."""
    database.execute(
        "INSERT INTO owners (name, memory, disk, machines) VALUES (%s, 4000000, 100, 20000)", (name,)
    )
    database.execute(
        "INSERT INTO members SELECT owner_id, %s FROM owners WHERE name = %s", (f"{name}@INVIRT.TEST", name)
    )


def machine(database: Database, name: str, owner_name: str = "alice") -> None:
    """A machine that is off."""
    database.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory)"
        " SELECT %s, owner_id, type_id, 128 FROM owners, types"
        " WHERE owners.name = %s AND types.name = 'linux'",
        (name, owner_name),
    )


def fill(database: Database) -> None:
    """alice has remus and romulus, bob has castor; one host."""
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    database.execute("INSERT INTO hosts (name, hostname, memory) VALUES ('host1', %s, 4000000)", (HOST,))
    for name in ("alice", "bob"):
        owner(database, name)
    for name, whose in (("remus", "alice"), ("romulus", "alice"), ("castor", "bob")):
        machine(database, name, whose)


def settings(database: Database, address: str = "127.0.0.1") -> None:
    """The section console of invirt.yaml; address: where hosts see the console server come from."""
    with database.config.open("a") as file:
        file.write(f"console:\n  hostname: {CONSOLE}\n  address: {address}\n  port: {PORT}\n")


def render(template: str) -> str:
    """A template of the checkout, as invirt-config compiles it."""
    from invirt.base import templates

    return templates.render(ROOT / template)


def prepare(server: Server, addresses: Mapping[str, str], keys: Path, realm: Realm) -> None:
    """The files that every server has."""
    for name in ("etc", "work", "sbin", "bin", "log"):
        (server.folder / name).mkdir(parents=True)
    server.write("etc/hosts", "127.0.0.1 localhost\n" + "".join(f"{a} {n}\n" for n, a in addresses.items()))
    server.write("etc/invirt/console/ca.pem", (keys / "ca.pem").read_text())
    server.write("etc/krb5.conf", (realm.folder / "krb5.conf").read_text())


def console_server(server: Server) -> None:
    """What the package and its postinst put in place."""
    source = ROOT / "invirt-console/files/etc"
    shutil.copytree(source / "ssh", server.folder / "etc/ssh", dirs_exist_ok=True)
    server.write("etc/invirt/console/krb5.conf", (source / "invirt/console/krb5.conf").read_text())
    server.write("etc/conserver/console.cf", render("invirt-console/files/etc/conserver/console.cf.mako"))
    server.write(
        "etc/conserver/invirt-console.cf", render("invirt-console/files/etc/conserver/invirt-console.cf.mako")
    )
    server.write("etc/group", Path("/etc/group").read_text() + "invirt-console:x:990:\n")
    server.write(
        "etc/nsswitch.conf",
        "passwd: files systemd\ngroup: files systemd\nshadow: files systemd\nhosts: files\n",
    )


@contextmanager
def running(database: Database, realm: Realm, folder: Path) -> Iterator[Site]:
    """Both servers, up, without their daemons."""
    addresses = {CONSOLE: loopback(), HOST: loopback()}
    keys = folder / "keys"
    keys.mkdir(parents=True)
    subprocess.run(["sh", "-c", CA, str(keys)], check=True, timeout=DEADLINE)
    HOMES.mkdir(exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "INVIRT_CONFIG": str(database.config),
        "SSL_CERT_DIR": "/nonexistent",
        "SSL_CERT_FILE": "/nonexistent",
        "KRB5_KTNAME": str(realm.keytab(f"host/{CONSOLE}")),
    }
    console = Server("console", CONSOLE, folder / "console", environment)
    host = Server("host", HOST, folder / "host", environment)
    for server in (console, host):
        prepare(server, addresses, keys, realm)
    console_server(console)
    host.write("sbin/xm", XM, 0o755)
    host.write("etc/conserver/invirt-host.cf", render("invirt-host/files/etc/conserver/invirt-host.cf.mako"))
    for server in (console, host):
        server.write("etc/invirt/console/server.pem", (keys / f"{server.role}.pem").read_text(), 0o640)
    with ExitStack() as stack:
        for server in (console, host):
            stack.callback(server.down)
            server.up()
        console.run("chgrp", "invirt-console", "/etc/invirt/console/server.pem")
        yield Site(database, realm, console, host, addresses, keys)
    with suppress(OSError):  # another run may be at work
        HOMES.rmdir()


def start_logins(site: Site) -> None:
    """consolefs, userdb and sshd."""
    console = site.console
    console.start("/usr/sbin/invirt-consolefs")
    console.start("/usr/sbin/invirt-userdb")
    console.await_("consolefs", "grep", "-q", "/consolefs fuse", "/proc/mounts")
    console.await_("userdb", "getent", "passwd", "remus")
    start_sshd(site)


def start_sshd(
    site: Site, krb5: str = "/etc/invirt/console/krb5.conf:/etc/krb5.conf"
) -> subprocess.Popen[bytes]:
    """sshd as its unit starts it."""
    address = site.addresses[CONSOLE]
    daemon = site.console.start(
        *("/usr/sbin/sshd", "-D", "-e", "-p", str(SSH_PORT), "-o", f"ListenAddress={address}"),
        KRB5_CONFIG=krb5,
    )
    site.console.reached(address, SSH_PORT)
    return daemon


SEED_SSH = """\
GSSAPIAuthentication yes
UsePAM yes
AcceptEnv *
Subsystem sftp internal-sftp
"""
SEED_SHELL = 'mount --bind /bin/bash /usr/bin/invirt-console-shell; exec "$@"'
SEED_PORT = 2223


def start_seed_sshd(site: Site) -> None:
    """sshd without what protects it: the logins' shell is a shell, and nothing is forced."""
    console, address = site.console, site.addresses[CONSOLE]
    console.write("etc/ssh/seed", SEED_SSH)
    console.start(
        *("unshare", "-m", "sh", "-c", SEED_SHELL, "sh", "/usr/sbin/sshd", "-f", "/etc/ssh/seed"),
        *("-D", "-e", "-p", str(SEED_PORT), "-o", f"ListenAddress={address}"),
        KRB5_CONFIG="/etc/krb5.conf",
    )
    console.reached(address, SEED_PORT)


SEED_CONSERVER = """\
config * { primaryport 7821; sslrequired no; }
access * { trusted 127.0.0.1; }
default * { master 127.0.0.1; type exec; exec "xm console d_Q"; execsubst Q=cs; rw *; }
console remus { }
console castor { }
"""


def start_seed_conserver(site: Site) -> None:
    """conserver with open access and many consoles a process, as the talk had it."""
    host, address = site.host, site.addresses[HOST]
    host.write("etc/conserver/seed.cf", SEED_CONSERVER)
    own = 'mount -t tmpfs tmpfs /run/conserver; exec "$@"'  # its PID file
    host.start(
        *("unshare", "-m", "sh", "-c", own, "sh", "/usr/sbin/conserver", "-C", "/etc/conserver/seed.cf"),
        *("-P", "/nonexistent", "-M", address),
    )
    host.reached(address, 7821)


def start_consoles(site: Site) -> None:
    """The host's list and its conserver."""
    host = site.host
    host.start("/usr/sbin/invirt-host-conserver", HOST)
    host.await_("the list", "test", "-e", "/run/invirt/conserver/consoles.cf")
    path = "/proc/self/task/$$/root/etc/conserver/invirt-host.cf"
    start = f'exec /usr/sbin/conserver -C {path} -P /nonexistent -M "$0" -m 1'
    host.start("sh", "-c", start, site.addresses[HOST])
    host.reached(site.addresses[HOST], PORT)
