"""A console server and a host on loopback, and how users come to them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect

from tests.parts.console.rows import CONSOLE, HOST, WEB
from tests.parts.console.server import ROOT, Server
from tests.parts.postgres import Database
from tests.parts.realm import DEADLINE, Realm, loopback

HOMES = Path("/consolefs")
SSH_PORT = 2222

# A guest: says what it is, then gives back what is typed, or runs what it was booted with.
XL = """\
#!/bin/sh
[ -e "/run/guests/$2" ] || exit 3
[ ! -s "/run/guests/$2" ] || exec sh "/run/guests/$2"
echo "this is $2, booted"
exec cat
"""

CA = f"""\
set -e
cd "$0"
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
new() {{ openssl req -x509 $key -days 2 "$@" 2>/dev/null; }}
signed() {{ # FILE NAME CA [EXTENSION…]
    file=$1 name=$2 ca=$3
    shift 3
    new -subj "/CN=$name" -keyout $file.key -out $file.crt -CA $ca.pem -CAkey $ca.key "$@"
    cat $file.crt $file.key >$file.pem
}}
for ca in ca other; do new -subj "/CN=$ca" -keyout $ca.key -out $ca.pem; done
leaf="-addext basicConstraints=critical,CA:FALSE"
signed console {CONSOLE} ca $leaf -addext extendedKeyUsage=clientAuth
signed host {HOST} ca $leaf -addext extendedKeyUsage=serverAuth -addext subjectAltName=DNS:{HOST}
signed web {WEB} ca $leaf -addext extendedKeyUsage=clientAuth
signed console-as-server {CONSOLE} ca $leaf -addext extendedKeyUsage=serverAuth
signed host-as-client {HOST} ca $leaf -addext extendedKeyUsage=clientAuth
signed host2 host2.invirt.test ca $leaf -addext extendedKeyUsage=serverAuth
# As the guide had them: without usage, and good to sign others.
signed old-console {CONSOLE} ca
signed old-host {HOST} ca
signed old-host2 host2.invirt.test ca
signed forged {CONSOLE} old-host2
cat old-host2.crt >>forged.pem
signed stranger {CONSOLE} other
"""


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
        return pexpect.spawn(argv[0], argv[1:], timeout=60, encoding="utf-8", codec_errors="replace", **named)

    def terminal(self, user: str, login: str, *options: str, **where: Any) -> pexpect.spawn:
        """An interactive ssh."""
        return self.spawn(self.ssh(user, login, *options, **where))

    def boot(self, name: str, program: str = "") -> None:
        """The machine runs on the host; program: what is on its console, a script."""
        script = f'mkdir -p /run/guests; printf %s "$0" >/run/guests/d_{name}'
        subprocess.run([*self.host.enter, "sh", "-c", script, program], check=True)
        self.database.execute(
            "UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE hostname = %s) WHERE name = %s",
            (HOST, name),
        )

    def halt(self, name: str) -> None:
        """The machine is off."""
        subprocess.run([*self.host.enter, "rm", "-f", f"/run/guests/d_{name}"], check=True)
        self.database.execute("UPDATE machines SET host_id = NULL WHERE name = %s", (name,))

    def log(self, name: str) -> Path:
        """What the console of the machine that has this name now has said on the host."""
        (number,) = self.database.execute("SELECT machine_id FROM machines WHERE name = %s", (name,))[0]
        return self.host.folder / f"log/invirt/consoles/{number}.log"


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
    server.write("etc/group", Path("/etc/group").read_text() + "invirt-console:x:990:\n")
    server.write(
        "etc/nsswitch.conf",
        "passwd: files systemd\ngroup: files systemd\nshadow: files systemd\nhosts: files\n",
    )


@contextmanager
def mount_point() -> Iterator[None]:
    """/consolefs on this machine, which goes with its last user.

    To remove it would unmount what other runs have mounted there, in whatever namespace.
    """
    users = os.open(HOMES.parent, os.O_RDONLY)
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        HOMES.mkdir(exist_ok=True)
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            HOMES.rmdir()
        os.close(users)


@contextmanager
def running(database: Database, realm: Realm, folder: Path, xl: str = XL) -> Iterator[Site]:
    """Both servers, up, without their daemons.  xl: what is there instead of the host's own."""
    addresses = {CONSOLE: loopback(), HOST: loopback()}
    keys = folder / "keys"
    keys.mkdir(parents=True)
    subprocess.run(["sh", "-c", CA, str(keys)], check=True, timeout=DEADLINE)
    environment = {
        "PATH": os.environ["PATH"],
        "INVIRT_CONFIG": str(database.config),
        "SSL_CERT_DIR": "/nonexistent",
        "SSL_CERT_FILE": "/nonexistent",
        "INVIRT_STATE": str(folder / "state"),
        "INVIRT_GUEST_USER": "nobody",
        "KRB5_KTNAME": str(realm.keytab(f"host/{CONSOLE}")),
    }
    console = Server("console", CONSOLE, folder / "console", environment)
    keytab = {"KRB5_CLIENT_KTNAME": str(realm.keytab(f"host/{HOST}"))}  # by which it knows itself
    host = Server("host", HOST, folder / "host", environment | keytab)
    for server in (console, host):
        prepare(server, addresses, keys, realm)
    console_server(console)
    if xl:
        host.write("sbin/xl", xl, 0o755)
    host.write("etc/conserver/invirt-host.cf", render("invirt-host/files/etc/conserver/invirt-host.cf.mako"))
    for server in (console, host):
        server.write("etc/invirt/console/server.pem", (keys / f"{server.role}.pem").read_text(), 0o600)
    with mount_point(), ExitStack() as stack:
        for server in (console, host):
            stack.callback(server.down)
            server.up()
        yield Site(database, realm, console, host, addresses, keys)
