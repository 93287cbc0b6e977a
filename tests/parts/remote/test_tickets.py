"""The ticket cache that a server's processes share: many make and renew it at once, and none finds it cut.

MIT's library (since 1.20) writes a new cache beside the old one and renames it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.parts.namespace import python
from tests.parts.postgres import Database
from tests.parts.realm import DEADLINE, Realm, Remctlds

HOST = "tickets.invirt.test"
LIFE = 4  # seconds of a ticket; a new one is asked for at half of it
PROCESSES, SECONDS = 8, 10
ONE_CALL = """
import sys
from invirt.remote.hosts import RemctlHosts
RemctlHosts(addresses={sys.argv[1]: sys.argv[2]}).call(sys.argv[1], "echo", timeout=20)
"""
CALLS = """
import sys, time
from invirt.remote.hosts import RemctlHosts
hosts = RemctlHosts(addresses={sys.argv[1]: sys.argv[2]})
time.sleep(max(0, float(sys.argv[3]) - time.time()))
while time.time() < float(sys.argv[4]):
    hosts.call(sys.argv[1], "echo", timeout=20)
"""


def test_renewed_tickets_are_used_to_their_end_without_a_kdc(
    realm: Realm, remctlds: Remctlds, database: Database, tmp_path: Path, checkout: Path
) -> None:
    """Renewed as the timer does it: then the library asks the KDC for nothing before the tickets end.

    What it has got itself it would renew at half of its life (gss_acquire_cred of MIT: refresh_time),
    and wait for a KDC that stands still.
    """
    (tmp_path / "remctl.conf").write_text("echo ALL /bin/echo ANYUSER\n")
    remctld = remctlds.start(HOST, tmp_path / "remctl.conf")
    client = "host/still.invirt.test"
    keytab, cache = realm.keytab(client), tmp_path / "krb5cc"
    env = {
        **realm.environment,
        **python(),
        "KRB5_CLIENT_KTNAME": str(keytab),
        "KRB5CCNAME": f"FILE:{cache}",
        "INVIRT_CONFIG": str(database.config),
    }
    renewing = [checkout / "invirt-base/libexec/renew-tickets", keytab, cache]

    def run(argv: list[str | Path], seconds: float = DEADLINE) -> str:
        done = subprocess.run(argv, env=env, check=True, timeout=seconds, stdout=subprocess.PIPE, text=True)
        return done.stdout

    call: list[str | Path] = [sys.executable, "-c", ONE_CALL, HOST, remctld.address]
    run(renewing)  # there is nothing yet
    cache.unlink()
    run(call)
    assert "refresh_time" in run(["klist", "-C"])
    run(renewing)
    assert "refresh_time" not in run(["klist", "-C"])
    assert realm.kdc
    os.kill(realm.kdc.pid, signal.SIGSTOP)
    try:
        run(call)  # with a ticket for the service, too
        with pytest.raises(subprocess.TimeoutExpired):
            run(renewing, 2)
        run(call)
    finally:
        os.kill(realm.kdc.pid, signal.SIGCONT)
    run(renewing)
    assert [path.name for path in tmp_path.glob("krb5cc*")] == ["krb5cc"]


@pytest.mark.nightly
def test_many_processes_make_and_renew_one_cache(
    realm: Realm, remctlds: Remctlds, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "remctl.conf").write_text("echo ALL /bin/echo ANYUSER\n")
    remctld = remctlds.start(HOST, tmp_path / "remctl.conf")
    client = "host/many.invirt.test"
    keytab = realm.keytab(client)
    realm.limit(client, LIFE)
    env = {
        **realm.environment,
        **python(),
        "KRB5_CLIENT_KTNAME": str(keytab),
        "KRB5CCNAME": f"FILE:{tmp_path}/krb5cc",
        "INVIRT_CONFIG": str(database.config),
    }
    begin = time.time() + 3
    argv = [sys.executable, "-c", CALLS, HOST, remctld.address, str(begin), str(begin + SECONDS)]
    running = [subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    said = [process.communicate(timeout=SECONDS + 3 * DEADLINE)[1] for process in running]
    assert said == [""] * PROCESSES
    assert realm.asked(client) > SECONDS / LIFE
    assert [path.name for path in tmp_path.glob("krb5cc*")] == ["krb5cc"]
