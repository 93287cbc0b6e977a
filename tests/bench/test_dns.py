"""What live names cost: PowerDNS on our database against PowerDNS on its own schema, 100,000 records each."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.bench.cpu import seconds
from tests.parts.dns.conftest import PowerDns, powerdns
from tests.parts.postgres import Cluster, Database
from tests.parts.realm import loopback
from tests.results import Run, compare

__all__ = ["powerdns"]  # the fixture

MACHINES = 50_000  # an A and a PTR each
RATIO = 0.9  # at least, of what it answers from its own tables
SECONDS = 2  # a turn
SCHEMA = Path("/usr/share/pdns-backend-pgsql/schema/schema.pgsql.sql")

FILL = f"""
SET session_replication_role = replica;
INSERT INTO machines (name, owner_id, type_id, memory) SELECT 'm' || i, 1, 1, 64
    FROM generate_series(1, {MACHINES}) i;
INSERT INTO nics (machine_id, mac_addr, ip)
    SELECT machine_id, ('00163e' || to_char(machine_id, 'FM000000'))::macaddr, '10.8.0.0'::inet + machine_id
    FROM machines;
SET session_replication_role = DEFAULT;
SELECT dns.rebuild();
VACUUM ANALYZE;
"""
STOCK_FILL = f"""
INSERT INTO domains (name, type) VALUES ('invirt.test', 'NATIVE'), ('10.in-addr.arpa', 'NATIVE');
INSERT INTO records (domain_id, name, type, content, ttl) SELECT id, name, 'SOA',
    'dns.invirt.test hostmaster.invirt.test 1 10800 1800 1209600 30', 30 FROM domains;
INSERT INTO records (domain_id, name, type, content, ttl)
    SELECT id, name, 'NS', server || '.invirt.test', 30 FROM domains, (VALUES ('dns'), ('ns2')) AS s (server);
INSERT INTO records (domain_id, name, type, content, ttl)
    SELECT 1, 'm' || i || '.invirt.test', 'A', host('10.8.0.0'::inet + i), 30
    FROM generate_series(1, {MACHINES}) i;
INSERT INTO records (domain_id, name, type, content, ttl)
    SELECT 2, array_to_string(ARRAY(SELECT byte FROM string_to_table(r.content, '.') WITH ORDINALITY
        AS o (byte, place) ORDER BY place DESC), '.') || '.in-addr.arpa', 'PTR', r.name, 30
    FROM records r WHERE type = 'A';
VACUUM ANALYZE;
"""
STOCK = """
launch=gpgsql
gpgsql-host={socket}
gpgsql-dbname={name}
gpgsql-user=postgres
gpgsql-dnssec=yes
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
version-string=anonymous
"""


def script(cluster: Cluster, name: str, text: str) -> None:
    """Run statements one by one, as psql does: VACUUM bears no company."""
    with closing(cluster.superuser(name)) as connected, connected.cursor() as cursor:
        for statement in filter(str.strip, text.split(";\n")):
            cursor.execute(statement)


@pytest.fixture
def stock(cluster: Cluster, tmp_path: Path) -> Iterator[PowerDns]:
    """PowerDNS on a database of its own making."""
    if not SCHEMA.exists():
        pytest.skip("apt install pdns-backend-pgsql")
    name = "stock_dns"
    cluster.run(f"CREATE DATABASE {name}")
    script(cluster, name, SCHEMA.read_text() + STOCK_FILL)
    folder = tmp_path / "stock"
    folder.mkdir()
    configuration = STOCK.format(socket=cluster.folder, name=name)
    server = PowerDns(folder, loopback(), stock=configuration)
    with ExitStack() as ends:
        ends.callback(cluster.run, f"DROP DATABASE {name} WITH (FORCE)")
        ends.callback(server.stop)
        server.start()
        yield server


def answers(cluster: Cluster, database: str, server: PowerDns, questions: Path) -> Run:
    """Queries that it answers, asked by dnsperf, and the CPU seconds that they took it."""
    assert server.process
    argv = ["dnsperf", "-s", server.address, "-d", str(questions), "-l", str(SECONDS), "-q", "20"]
    before = seconds(cluster, database, server.process.pid)
    said = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout
    used = seconds(cluster, database, server.process.pid) - before
    completed = re.search(r"completed: +(\d+)", said)
    assert completed, said
    return int(completed[1]), used


@pytest.mark.nightly
def test_answers_as_fast_as_with_powerdns_own_tables(
    powerdns: PowerDns, stock: PowerDns, database: Database, cluster: Cluster, tmp_path: Path
) -> None:
    script(cluster, database.name, FILL)
    numbers = random.Random(1).choices(range(1, MACHINES + 1), k=20_000)
    lines = [f"m{n}.invirt.test A" for n in numbers]
    lines[1::2] = [f"{n % 256}.{n // 256}.8.10.in-addr.arpa PTR" for n in numbers[1::2]]
    lines[::10] = [f"none{n}.invirt.test A" for n in numbers[::10]]
    questions = tmp_path / "questions"
    questions.write_text("\n".join(lines))
    assert stock.addresses("m777.invirt.test") == powerdns.addresses("m777.invirt.test") == ["10.8.3.9"]
    reverse = "9.3.8.10.in-addr.arpa", "PTR"
    assert stock.addresses(*reverse) == powerdns.addresses(*reverse) == ["m777.invirt.test."]

    compare(
        "DNS answers, ours to PowerDNS' own tables",
        lambda: answers(cluster, database.name, powerdns, questions),
        lambda: answers(cluster, "stock_dns", stock, questions),
        RATIO,
    )
