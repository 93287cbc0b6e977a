"""The daemons of the console server and the host, started as their units start them."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from tests.parts.console.rows import CONSOLE, HOST, PORT
from tests.parts.console.server import Server
from tests.parts.console.site import SSH_PORT, Site

LIST = "/run/invirt/conserver/consoles.cf"
NETWORK = "/run/network"  # who holds conserver's
GROUP = 990  # invirt-console


def start_logins(site: Site) -> None:
    """consolefs, userdb and sshd."""
    console = site.console
    console.start("/usr/sbin/invirt-consolefs")
    console.start("/usr/sbin/invirt-userdb")
    console.await_("consolefs", "grep", "-q", "/consolefs fuse", "/proc/mounts")
    console.await_("userdb", "getent", "passwd", "remus")
    start_relay(console)
    start_sshd(site)


def start_relay(console: Server) -> subprocess.Popen[bytes]:
    """The relay, on its socket."""
    assert console.holder
    path = Path(f"/proc/{console.holder.pid}/root/run/invirt-console/relay")
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen(128)
        os.chown(path, 0, GROUP)
        path.chmod(0o660)
        return console.start("/usr/sbin/invirt-console-relay", listening=listening)


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


def start_consoles(site: Site) -> None:
    """The host's list, its conserver, and what is before it."""
    start_list(site)
    start_conserver(site)
    start_door(site)


def start_list(site: Site) -> None:
    """Who keeps the list, and conserver's network."""
    host = site.host
    host.start("/usr/sbin/invirt-host-observer", "--only", "consoles", HOST)
    host.await_("the list", "test", "-e", LIST)
    host.start("unshare", "-n", "sh", "-c", f"ip link set lo up; echo $$ >{NETWORK}; exec sleep infinity")
    host.await_("a network", "test", "-s", NETWORK)


def within(*argv: str) -> list[str]:
    """A command in conserver's network."""
    return ["sh", "-c", f'exec nsenter -t "$(cat {NETWORK})" -n "$@"', "sh", *argv]


def start_door(site: Site) -> subprocess.Popen[bytes]:
    """What stands before conserver."""
    with socket.create_server((site.addresses[HOST], PORT)) as listening:
        return site.host.start(*within("/usr/sbin/invirt-host-consoles"), listening=listening)


def start_conserver(site: Site) -> subprocess.Popen[bytes]:
    """The host's conserver, which gets its list when it is there."""
    path = "/proc/self/task/$$/root/etc/conserver/invirt-host.cf"
    start = f"umask 077; truncate --size=0 {LIST}; exec /usr/sbin/conserver -C {path} -P /nonexistent"
    conserver = site.host.start(*within("sh", "-c", f"{start} -M 127.0.0.1 -m 1"))
    site.host.await_("conserver", *within("bash", "-c", f"</dev/tcp/127.0.0.1/{PORT}"))
    return conserver
