"""invirt-setup, killed amid its steps and run again; and a second server, which joins by a token."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from invirt_lab import cluster, fresh, roles
from invirt_lab.site import SERVERS, Site
from tests.lab.users import eventually
from tests.site.units import wrong

FIRST, SECOND = "three", "two"
KILLS = (1, 5, 20, 40, 60, 90)  # seconds after its begin: amid its own files, the realm, apt and dpkg
pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def first(site: Site) -> Iterator[str]:
    """A site's first server, made by a run that was killed again and again before."""
    fresh.anew(FIRST)
    cluster.on(FIRST, "sh", "-c", "cat >/root/site.yaml", input=roles.answers())
    for seconds in KILLS:
        fresh.killed(FIRST, seconds, "invirt-setup", "--answers", "/root/site.yaml")
    cluster.on(FIRST, "invirt-setup", "--answers", "/root/site.yaml", timeout=900)
    yield FIRST


def tells(name: str) -> bool:
    """Whether the database knows, from the host itself, what it runs guests with."""
    listed = json.loads(cluster.on(FIRST, "invirt-admin", "host", "list", "--json").stdout)
    return any(row["name"] == name and row["accelerator"] for row in listed)


def test_what_was_killed_is_whole_in_the_end(first: str) -> None:
    fresh.is_set_up(first)
    assert not cluster.on(first, "systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout
    script = "kinit alice </var/lib/invirt-setup/password >/dev/null && remctl $(hostname -f) machine list"
    cluster.on(first, "sh", "-c", script)


LOSE = f"""\
set -e
invirt-admin record remove three.invirt.test A {SERVERS[FIRST].address}
echo '# new' >>/etc/invirt/invirt.yaml
apt-get -q -y remove invirt-dns-server
mv /etc/invirt/console/server.pem /root
rm /etc/invirt/web/http.keytab
chmod 644 /etc/krb5.keytab
systemctl disable --now krb5-admin-server
rm /etc/krb5.conf
sed -i '/three/d' /etc/hosts
"""
MENDED = (
    "names of the site's servers (/etc/hosts)",
    "/etc/krb5.conf: ",
    "KDC",
    "/etc/krb5.keytab: ",
    "/etc/invirt/web/http.keytab: ",
    "/etc/invirt/console/server.pem: ",
    "packages: ",
    "/etc/invirt/invirt.yaml is applied",
    "services have read /etc/invirt/console/server.pem",
    "record three.invirt.test A",
)


def test_what_is_missing_is_mended_and_nothing_else(first: str) -> None:
    cluster.on(first, "sh", "-c", LOSE)
    said = cluster.on(first, "invirt-setup", timeout=900).stdout.splitlines()
    mended = [line.removesuffix(": …") for line in said if line.endswith(": …")]
    assert len(mended) == len(MENDED), mended
    assert all(map(str.startswith, mended, MENDED)), mended
    fresh.is_set_up(first)
    assert wrong(first) == []


def test_another_server_joins_once(first: str) -> None:
    """By what the first one prints; on the second nothing is copied by hand."""
    fresh.anew(SECOND)
    two = SERVERS[SECOND]
    have = (
        f"s/^  servers: \\[{SERVERS[FIRST].address}\\]/  servers: [{SERVERS[FIRST].address}, {two.address}]/"
    )
    cluster.on(first, "sed", "-i", have, "/etc/invirt/invirt.yaml")
    cluster.on(first, "invirt-config", "apply")
    words = ("--role", "host", "--memory", "512M", "--address", two.address)
    said = cluster.on(first, "invirt-setup", "token", two.fqdn, *words).stdout
    line = next(one for one in said.splitlines() if one.startswith("invirt-setup join "))
    refused = cluster.on(first, *line.split(), check=False)
    assert refused.returncode == 2 and f"is for {two.fqdn}" in refused.stderr
    for seconds in (1, 10):
        fresh.killed(SECOND, seconds, *line.split())
    cluster.on(SECOND, *line.split(), timeout=900)
    fresh.is_set_up(SECOND)
    eventually(lambda: "inactive" in state(first), "the door to be closed")
    shown = cluster.on(first, "sh", "-c", "ss -Htln 'sport = 4375'; ls /var/lib/invirt-enrol").stdout
    assert not shown
    eventually(lambda: tells(SECOND), "the new host to tell the database of itself")


def state(server: str) -> str:
    return cluster.on(server, "systemctl", "is-active", "invirt-enrol", check=False).stdout
