"""invirt-check on every server: nothing is found where all is well, and each mistake where it was made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from invirt_lab import roles
from invirt_lab.site import CLIENT, CLUSTER, SETUP
from tests.lab.users import Lab, eventually

CHECKED = [server.name for server in CLUSTER.values() if server.role not in ("", CLIENT) and not server.spare]
EMULATED = ("kvm", "/dev/kvm")  # where the machine that the lab is on has none
FINE, ERRORS = 0, 2
CERTIFICATE = "/etc/invirt/console/server.pem"
PAGE = "/etc/invirt/web/server.pem"


@pytest.fixture(scope="module")
def checked(lab: Lab) -> Lab:
    """A lab whose servers have the package, each beside its role."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: roles.add(name, SETUP), CHECKED))
    return lab


def check(lab: Lab, server: str, *names: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and what was found, emulation apart."""
    done = lab.on(server, "invirt-check", "--json", *names, check=False)
    assert "Traceback" not in done.stderr
    record = json.loads(done.stdout)
    found = [one for one in record["findings"] if (one["check"], one["where"]) != EMULATED]
    return (done.returncode if found else FINE), found


def test_nothing_is_found_where_all_is_well(checked: Lab) -> None:
    """On any server, with all checks."""
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(CHECKED, pool.map(lambda name: check(checked, name), CHECKED), strict=True))
    assert {name: one for name, one in found.items() if one != (FINE, [])} == {}


@dataclass(frozen=True)
class Mistake:
    """Made on a server by a script, and taken back by another; found there, or at `seen`, by checks."""

    server: str
    make: str
    mend: str
    check: str
    says: str
    seen: str = ""


_YAML = "/etc/invirt/invirt.yaml"
_NEW_KEY = "kadmin.local -q 'ktadd -k /root/new host/host2.invirt.test' >/dev/null"
# The key of before stays: tickets for it are good for hours.
_ADD_KEY = """
cd /root; base64 -d >new
printf 'rkt new\\nrkt /etc/krb5.keytab\\nwkt both\\n' | ktutil >/dev/null
cat both >/etc/krb5.keytab; rm new both
"""
_END = f"""
cd /root; mv {CERTIFICATE} kept
{{ openssl x509 -in kept -signkey kept -days -1; openssl pkey -in kept; }} 2>/dev/null >ended
install -m 600 ended {CERTIFICATE}
"""
_RENEW = f"""
cd /root; mv {PAGE} page
{{ openssl x509 -in page -signkey page -days 700; openssl pkey -in page; }} 2>/dev/null >new
install -m 600 new {PAGE}
"""
_OLDER = """
cd /var/lib/dpkg; cp status /root
sed -i '/^Package: invirt-/,/^$/s/^Version: .*/Version: 0/' status
"""
MISTAKES = {
    "a service that is stopped": Mistake(
        "host1",
        "systemctl stop invirt-host-observer",
        "systemctl start invirt-host-observer",
        "services",
        "invirt-host-observer.service: it is inactive",
    ),
    "a firewall that is off": Mistake(
        "host2",
        "systemctl stop invirt-firewall",
        "systemctl start invirt-firewall",
        "firewall",
        "firewall table invirt_host: it is not loaded",
    ),
    "a firewall with another's rule": Mistake(
        "db",
        "nft insert rule inet invirt_database input accept",
        "systemctl restart invirt-firewall",
        "firewall",
        "firewall table invirt_database: its rules are not those of",
    ),
    "an invirt.yaml that is wrong": Mistake(
        "remote",
        f"echo 'bogus: 1' >>{_YAML}",
        f"sed -i /bogus/d {_YAML}",
        "configuration",
        "bogus: unknown key",
    ),
    "an invirt.yaml that is not applied": Mistake(
        "web",
        f"echo '# new' >>{_YAML}",
        f"sed -i '/# new/d' {_YAML}",
        "configuration",
        "it is not what was applied",
    ),
    "another invirt.yaml than the others'": Mistake(
        "dns",
        f"cp {_YAML} /root; echo 'machines: {{cpus: 2}}' >>{_YAML}; invirt-config apply",
        f"cp /root/invirt.yaml {_YAML}; invirt-config apply",
        "configuration",
        "machines is said otherwise than on the database server",
    ),
    "packages of another version than the others'": Mistake(
        "dhcp",
        _OLDER,
        "mv /root/status /var/lib/dpkg",
        "versions",
        "they are of version 0, those of the database server of",
    ),
    "a file that was edited by hand": Mistake(
        "host2",
        "echo '# mine' >>/etc/remctl/acl/invirt-remote",
        "invirt-config apply --force",
        "configuration",
        "it was edited by hand",
    ),
    "an old key": Mistake(
        "kdc",
        _NEW_KEY,
        "base64 -w0 /root/new; rm /root/new",
        "keytabs",
        "the KDC has another key of host/host2.invirt.test",
        seen="host2",
    ),
    "a keytab for all to read": Mistake(
        "web",
        "chmod 644 /etc/invirt/web/http.keytab",
        "chmod 640 /etc/invirt/web/http.keytab",
        "keytabs",
        "its mode is 0644",
    ),
    "a KDC that is gone": Mistake(
        "kdc",
        "systemctl stop krb5-kdc",
        "systemctl start krb5-kdc",
        "keytabs",
        "KDC of INVIRT.TEST: it doesn't answer",
        seen="remote",
    ),
    "a certificate that has ended": Mistake(
        "console", _END, f"mv /root/kept {CERTIFICATE}", "certificates", "it ended at"
    ),
    "a certificate that is gone": Mistake(
        "host1",
        f"mv {CERTIFICATE} /root/kept",
        f"mv /root/kept {CERTIFICATE}",
        "certificates",
        "there is no certificate",
    ),
    "a certificate that its service hasn't read": Mistake(
        "console",
        f"touch {CERTIFICATE}",
        "systemctl restart invirt-console-relay",
        "certificates",
        "invirt-console-relay.service: it started before",
    ),
    "a page's certificate that Apache hasn't read": Mistake(
        "web",
        _RENEW,
        f"mv /root/page {PAGE}",
        "certificates",
        f"another certificate is shown there than that of {PAGE}",
    ),
    "a name that leads elsewhere": Mistake(
        "web",
        "cp /etc/hosts /root; sed '/ remote$/d' /root/hosts >/etc/hosts",
        "cat /root/hosts >/etc/hosts",
        "names",
        "remote.invirt.test: it has no address here",
    ),
    "a name server that is stopped": Mistake(
        "dns", "systemctl stop pdns", "systemctl start pdns", "dns", "it gives no answer for invirt.test"
    ),
    "a DHCP server that is stopped": Mistake(
        "dhcp",
        "systemctl stop kea-dhcp4-server",
        "systemctl start kea-dhcp4-server",
        "dhcp",
        "nothing listens on UDP port 67",
    ),
    "a port that is closed": Mistake(
        "host1",
        "systemctl stop invirt-host-remctld.socket",
        "systemctl start invirt-host-remctld.socket",
        "ports",
        "host1.invirt.test:4374: it can't be reached from here",
        seen="remote",
    ),
    "a right that was taken away": Mistake(
        "db",
        "psql -q -U invirt invirt -c 'REVOKE SELECT ON console.keys FROM invirt_console'",
        "psql -q -U invirt invirt -c 'GRANT SELECT ON console.keys TO invirt_console'",
        "database",
        "as console this server can't read console.keys",
        seen="console",
    ),
    "a database that is gone": Mistake(
        "db",
        "systemctl stop postgresql 'postgresql@*.service'",
        "systemctl start postgresql",
        "database",
        "the database on db.invirt.test doesn't answer",
        seen="remote",
    ),
    "a disk that is full": Mistake(
        "remote",
        "mount -t tmpfs -o size=1m tmpfs /tmp; dd if=/dev/zero of=/tmp/big bs=1k count=1000",
        "umount /tmp",
        "space",
        "/tmp: 0.0 GiB of 0.0 are free",
    ),
    "a host that was stopped": Mistake(
        "host2",
        "systemctl stop invirt-host-observer; sleep 16",
        "systemctl start invirt-host-observer",
        "database",
        "host host2.invirt.test: it has said nothing for",
        seen="db",
    ),
}
LONG = ("a host that was stopped",)


@contextmanager
def made(lab: Lab, mistake: Mistake) -> Iterator[None]:
    """It is there, and gone again."""
    try:
        lab.on(mistake.server, "sh", "-c", mistake.make)
        yield
    finally:
        said = lab.on(mistake.server, "sh", "-c", mistake.mend).stdout
        if mistake.make == _NEW_KEY:
            lab.on("host2", "sh", "-c", _ADD_KEY, input=said)


@pytest.mark.parametrize(
    "which",
    [pytest.param(which, marks=pytest.mark.nightly) if which in LONG else which for which in MISTAKES],
)
def test_each_mistake_is_found(checked: Lab, which: str) -> None:
    mistake = MISTAKES[which]
    where = mistake.seen or mistake.server
    with made(checked, mistake):
        code, found = check(checked, where, mistake.check)
        assert any(mistake.says in f"{one['where']}: {one['what']}" for one in found), found
        assert all(one["todo"] for one in found)
        assert code > FINE
    eventually(lambda: check(checked, where, mistake.check) == (FINE, []), "all to be well again")
