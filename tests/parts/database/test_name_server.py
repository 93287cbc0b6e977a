"""PowerDNS, and its pdnsutil in the README's words, on a database that lets nobody in but by Kerberos."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from invirt import config
from invirt.base import templates
from tests.parts import postgres
from tests.parts.database.conftest import Caller, settle
from tests.parts.database.test_signon import frozen
from tests.parts.dns.conftest import DEADLINE, DNS, ZONES, PowerDns
from tests.parts.realm import Realm, loopback

NAME = "host/dns.invirt.test"


@pytest.fixture
def powerdns(
    server: postgres.Cluster, caller: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PowerDns]:
    """Signed on as the server's unit does it, its ticket in its own memory."""
    file = server.folder / "invirt.yaml"
    before, _, _ = file.read_text().partition("dns:\n")
    file.write_text(before + DNS.format(secondary=loopback()))
    config.reload()
    settle(server)
    server.run(templates.render(ZONES), "invirt")
    caller.become(NAME, "dns")
    monkeypatch.setenv("KRB5CCNAME", "MEMORY:")
    found = PowerDns(tmp_path, loopback())
    try:
        found.start()
        yield found
    finally:
        found.stop()


def test_a_zone_is_signed_as_the_readme_says(
    powerdns: PowerDns, realm: Realm, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By root's shell, in which nothing of the server's unit is set."""
    for name in ("KRB5_CLIENT_KTNAME", "KRB5CCNAME"):
        monkeypatch.delenv(name)
    readme = (checkout / "invirt-dns/README.md").read_text()
    _, _, section = readme.partition("## DNSSEC\n")
    lines = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    assert len(lines) == 4
    here = f'pdnsutil() {{ command pdnsutil --config-dir={powerdns.folder} "$@"; }}\n'
    script = here + "\n".join(lines).replace("DOMAIN", "invirt.test")

    def said(text: str) -> subprocess.CompletedProcess[str]:
        text = text.replace("/etc/krb5.keytab", str(realm.keytab(NAME)))
        argv = ["sh", "-ec", text]
        return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=2 * DEADLINE)

    done = said(script)
    assert done.returncode == 0 and "DS = invirt.test. IN DS" in done.stdout, done.stdout + done.stderr
    without = said(here + "pdnsutil show-zone invirt.test")
    assert without.returncode != 0 and "GSSAPI" in without.stdout + without.stderr


def test_a_kdc_that_stands_still_stops_no_answers(
    powerdns: PowerDns, server: postgres.Cluster, realm: Realm
) -> None:
    """Nor new connections to the database, up to half of its ticket's life."""
    with frozen(realm):
        ended = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        server.run(f"{ended} WHERE usename LIKE 'invirt_dns.%'", "invirt")
        deadline = time.monotonic() + DEADLINE
        while powerdns.ask("invirt.test", "SOA").status != "NOERROR":  # the first finds the old ones gone
            assert time.monotonic() < deadline
