"""Roles come in any order, and after invirt.yaml as well as before it; see test_one_server.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from invirt_lab import cluster, fresh
from invirt_lab.site import SERVERS, Site, on_one
from tests.lab.users import eventually
from tests.site.units import missing

FOUR = "four"
# Those who ask the database first, and two who share a port together.
RUNS = (
    ("invirt-host", "invirt-dhcp-server", "invirt-web-server", "qemu-system-x86"),
    ("invirt-console-server", "invirt-dns-server"),
    ("invirt-database-server", "invirt-remote-server"),
)


@pytest.mark.nightly
def test_the_database_comes_last_and_the_keys_first(site: Site) -> None:
    assert FOUR not in (site.kdc, site.database)
    alone = replace(on_one(FOUR), servers=(FOUR,))
    fresh.install(FOUR, "krb5-kdc", "krb5-admin-server", "postgresql-common")
    fresh.keys(alone)
    for packages in RUNS:
        fresh.install(FOUR, *packages)
    eventually(lambda: not missing(FOUR), "all roles to be there")
    fresh.reboot(FOUR)
    eventually(lambda: not missing(FOUR), "all roles to be there after a reboot")
    added = ("--hostname", SERVERS[FOUR].fqdn, "--memory", "512M")
    cluster.on(FOUR, "invirt-admin", "host", "add", FOUR, *added)
