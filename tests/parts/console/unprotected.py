"""The same daemons without what protects them, for the tests that show each hole open first."""

from __future__ import annotations

from tests.parts.console.rows import CONSOLE, HOST
from tests.parts.console.site import Site

SSH = """\
GSSAPIAuthentication yes
UsePAM yes
AcceptEnv *
Subsystem sftp internal-sftp
"""
SHELL = 'mount --bind /bin/bash /usr/bin/invirt-console-shell; exec "$@"'
SSH_PORT, PORT = 2223, 7821


def start_sshd(site: Site) -> None:
    """sshd without what protects it: the logins' shell is a shell, and nothing is forced."""
    console, address = site.console, site.addresses[CONSOLE]
    console.write("etc/ssh/seed", SSH)
    console.start(
        *("unshare", "-m", "sh", "-c", SHELL, "sh", "/usr/sbin/sshd", "-f", "/etc/ssh/seed"),
        *("-D", "-e", "-p", str(SSH_PORT), "-o", f"ListenAddress={address}"),
        KRB5_CONFIG="/etc/krb5.conf",
    )
    console.reached(address, SSH_PORT)


CONSERVER = """\
config * { primaryport 7821; sslrequired no; }
access * { trusted 127.0.0.1; }
default * { master 127.0.0.1; type exec; exec "xl console d_Q"; execsubst Q=cs; rw *; }
console remus { }
console castor { }
"""


def start_conserver(site: Site) -> None:
    """conserver with open access and many consoles a process, as the talk had it."""
    host, address = site.host, site.addresses[HOST]
    host.write("etc/conserver/seed.cf", CONSERVER)
    own = 'mount -t tmpfs tmpfs /run/conserver; exec "$@"'  # its PID file
    host.start(
        *("unshare", "-m", "sh", "-c", own, "sh", "/usr/sbin/conserver", "-C", "/etc/conserver/seed.cf"),
        *("-P", "/nonexistent", "-M", address),
    )
    host.reached(address, PORT)
