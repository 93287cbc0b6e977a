"""The daemons of the console server and the host, started as their units start them."""

from __future__ import annotations

import subprocess

from tests.parts.console.rows import CONSOLE, HOST, PORT
from tests.parts.console.server import ROOT
from tests.parts.console.site import SSH_PORT, Site

OPENSSL_CONF = ROOT / "invirt-host/files/usr/share/invirt/conserver/openssl.cnf"
LIST = "/run/invirt/conserver/consoles.cf"


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


def start_consoles(site: Site) -> None:
    """The host's list and its conserver."""
    site.host.start("/usr/sbin/invirt-host-conserver", HOST)
    site.host.await_("the list", "test", "-e", LIST)
    start_conserver(site)


def start_conserver(site: Site) -> subprocess.Popen[bytes]:
    """The host's conserver, which gets its list when it is there."""
    path = "/proc/self/task/$$/root/etc/conserver/invirt-host.cf"
    start = f"umask 077; truncate --size=0 {LIST}; exec /usr/sbin/conserver -C {path} -P /nonexistent"
    conserver = site.host.start(
        "sh", "-c", f'{start} -M "$0" -m 1', site.addresses[HOST], OPENSSL_CONF=str(OPENSSL_CONF)
    )
    site.host.reached(site.addresses[HOST], PORT)
    return conserver
