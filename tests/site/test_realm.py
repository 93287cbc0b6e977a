"""A site in a realm that is there already: its administrator makes the keys that invirt-setup names."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess

import pytest

from invirt_lab import cluster, fresh
from invirt_lab.site import DOMAIN, GATEWAY, GUESTS, REALM, SERVERS, Site
from tests.site.units import wrong

KDC, FIRST, HOST = "two", "three", "four"
ANSWERS = f"""\
domain: {DOMAIN}
realm: {REALM}
addresses: {{gateway: {GATEWAY}, first: {GUESTS[0]}, last: {GUESTS[1]}}}
user: alice
memory: 512
kerberos: {{make: false, kdcs: [{SERVERS[KDC].fqdn}]}}
servers:
  - {{name: {SERVERS[HOST].fqdn}, address: {SERVERS[HOST].address}, roles: [host]}}
"""
KRB5_CONF = f"""\
[libdefaults]
    default_realm = {REALM}
    rdns = false
    udp_preference_limit = 1
[realms]
    {REALM} = {{
        kdc = {SERVERS[KDC].fqdn}
        admin_server = {SERVERS[KDC].fqdn}
    }}
"""
# With a user, and an administrator who may add others.
REALM_OF_OLD = f"""\
set -e
cat >/etc/krb5.conf
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y install --no-install-recommends krb5-kdc krb5-admin-server >/dev/null
echo '*/admin@{REALM} *' >/etc/krb5kdc/kadm5.acl
kdb5_util create -s -r {REALM} -P master >/dev/null
printf 'add_principal -pw %s %s\\n' secret root/admin hers alice | kadmin.local >/dev/null
systemctl restart krb5-kdc krb5-admin-server
"""
pytestmark = pytest.mark.nightly


def made_by_its_administrator(server: str, asked: CompletedProcess[str]) -> None:
    """Each key that invirt-setup has asked for there, by the words that it gives."""
    assert asked.returncode and "keys that the realm's administrator must make" in asked.stderr, asked
    lines = [line.strip() for line in asked.stderr.splitlines()]
    words = [line.removeprefix("kadmin: ") for line in lines if line.startswith("kadmin: ")]
    assert words
    signed_on = ("kadmin", "-s", SERVERS[KDC].fqdn, "-p", "root/admin", "-w", "secret")
    for word in "; ".join(words).split("; "):
        said = cluster.on(server, *signed_on, "-q", word)
        assert "kadmin: " not in said.stderr, said


@pytest.fixture(scope="module")
def there(site: Site) -> Iterator[Site]:
    """A first server and a host that has joined it, one with a krb5.conf of its administrator's."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(fresh.anew, (KDC, FIRST, HOST)))
    cluster.on(KDC, "sh", "-c", REALM_OF_OLD, input=KRB5_CONF, timeout=300)
    make = ("invirt-setup", "--answers", "/root/site.yaml")
    cluster.on(FIRST, "sh", "-c", "cat >/root/site.yaml", input=ANSWERS)
    made_by_its_administrator(FIRST, cluster.on(FIRST, *make, timeout=900, check=False))
    cluster.on(FIRST, *make, timeout=900)
    offered = cluster.on(FIRST, "invirt-setup", "token", SERVERS[HOST].fqdn, "--memory", "512M").stdout
    join = next(line for line in offered.splitlines() if line.startswith("invirt-setup join ")).split()
    cluster.on(HOST, "sh", "-c", "cat >/etc/krb5.conf", input=KRB5_CONF)
    made_by_its_administrator(HOST, cluster.on(HOST, *join, timeout=900, check=False))
    cluster.on(HOST, *join, timeout=900)
    yield site


@pytest.mark.parametrize("server", [FIRST, HOST])
def test_all_is_well_and_stays_so(there: Site, server: str) -> None:
    fresh.is_set_up(server)
    assert wrong(server) == []


def test_its_users_are_let_in(there: Site) -> None:
    kinit = "kinit alice >/dev/null && exec remctl $(hostname -f) machine quota"
    assert cluster.on(FIRST, "sh", "-c", kinit, input="hers\n").stdout


def test_no_realm_is_made_and_no_krb5_conf_written_over(there: Site) -> None:
    assert cluster.on(HOST, "cat", "/etc/krb5.conf").stdout == KRB5_CONF
    assert not cluster.on(FIRST, "sh", "-c", "dpkg -l krb5-kdc 2>/dev/null | grep ^ii", check=False).stdout
