"""What views cost: Kea on our database against Kea on its own schema, 50,000 hosts each.

Both keep hosts and leases in PostgreSQL; ours looks up each guest's router
and netmask too, which the other has in its configuration.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from invirt import config
from invirt.base import templates
from tests.bench.cpu import seconds
from tests.parts.database.rows import site
from tests.parts.dhcp.conftest import SITE, TEMPLATE, Kea, stack
from tests.parts.dhcp.network import SERVER, Network, Node
from tests.parts.postgres import Cluster, Database
from tests.results import Run, compare

__all__ = ["stack"]  # the fixture

MACHINES = 50_000
RATIO = 0.8  # at least, of what it does on its own schema
SECONDS, RATE = 4, 500  # RATE: fewer a second than any answers, so that none is lost
RELAY = "10.86.0.21"
SCHEMA = Path("/usr/share/kea/scripts/pgsql/dhcpdb_create.pgsql")
MAC = "'00163e' || to_char({}, 'FM000000')"
FILL = f"""
INSERT INTO address_ranges (first, last, prefix, gateway)
    VALUES ('10.8.0.1', '10.8.255.253', 16, '10.8.255.254');
SET session_replication_role = replica;
INSERT INTO machines (name, owner_id, type_id, memory) SELECT 'm' || i, 1, 1, 64
    FROM generate_series(1, {MACHINES}) i;
INSERT INTO nics (machine_id, mac_addr, ip)
    SELECT machine_id, ({MAC.format("machine_id")})::macaddr, '10.8.0.0'::inet + machine_id FROM machines;
SET session_replication_role = DEFAULT;
VACUUM ANALYZE;
"""
STOCK_FILL = f"""
INSERT INTO hosts (dhcp_identifier, dhcp_identifier_type, dhcp4_subnet_id, ipv4_address, hostname)
    SELECT decode({MAC.format("i")}, 'hex'), 0, 1, '10.8.0.0'::inet - '0.0.0.0'::inet + i, 'm' || i
    FROM generate_series(1, {MACHINES}) i;
VACUUM ANALYZE;
"""


def fill(cluster: Cluster, name: str, text: str) -> None:
    with closing(cluster.superuser(name)) as connected, connected.cursor() as cursor:
        for statement in filter(str.strip, text.split(";\n")):
            cursor.execute(statement)


@pytest.fixture
def stock(cluster: Cluster, stack: ExitStack) -> Iterator[str]:
    """A database of Kea's own making."""
    if not SCHEMA.exists():
        pytest.skip("apt install kea-admin")
    name = "stock_dhcp"
    cluster.run(f"CREATE DATABASE {name}")
    stack.callback(cluster.run, f"DROP DATABASE {name} WITH (FORCE)")
    with closing(cluster.superuser(name)) as connected, connected.cursor() as cursor:
        cursor.execute(SCHEMA.read_text())
    fill(cluster, name, STOCK_FILL)
    yield name


def stock_configuration(name: str) -> str:
    """Ours, but for the database and for what is only there for the views."""
    kea = json.loads(templates.render(TEMPLATE))
    dhcp4 = kea["Dhcp4"]
    for database in ("hosts-database", "lease-database"):
        dhcp4[database] |= {"name": name, "user": "postgres"}
    del dhcp4["hooks-libraries"], dhcp4["client-classes"]
    router = [{"name": "routers", "data": "10.8.255.254"}]
    dhcp4["subnet4"] = [
        {"id": 1, "subnet": "10.8.0.0/16", "option-data": router, "relay": {"ip-addresses": [RELAY]}}
    ]
    dhcp4 |= {"reservations-global": False, "reservations-in-subnet": True, "reservations-out-of-pool": True}
    return json.dumps(kea)


def network(folder: Path, stack: ExitStack) -> tuple[Network, Node]:
    """A server, and a client that speaks as a relay."""
    folder.mkdir()
    made = Network(folder, stack)
    client = made.node("client")
    made.link(client, "eth0", made.server, "client")
    made.server.run("ip", "link", "set", "client", "up", "master", "br0")
    client.run("ip", "addr", "add", f"{RELAY}/24", "dev", "eth0")
    return made, client


def offers(cluster: Cluster, database: str, kea: Kea, client: Node, macs: Path) -> Run:
    """Offers to perfdhcp's discovers, and the CPU seconds that they took Kea."""
    assert kea.process
    argv = ["perfdhcp", "-4", "-i", "-r", str(RATE), "-p", str(SECONDS), "-M", str(macs), "-R", str(MACHINES)]
    before = seconds(cluster, database, kea.process.pid)
    said = client.run(*argv, "-g", "single", "-l", RELAY, SERVER, check=False)
    used = seconds(cluster, database, kea.process.pid) - before
    received = re.search(r"received packets: (\d+)", said)
    assert received, said
    return int(received[1]), used


@pytest.mark.nightly
def test_views_answer_nearly_as_fast_as_tables(
    database: Database, cluster: Cluster, stock: str, stack: ExitStack, tmp_path: Path
) -> None:
    site(database)
    database.config.write_text(database.config.read_text() + SITE)
    config.reload()
    fill(cluster, database.name, FILL)
    numbers = random.Random(1).sample(range(1, MACHINES + 1), k=5_000)
    macs = tmp_path / "macs"
    macs.write_text(
        "".join(f"00:16:3e:{n // 10000:02d}:{n // 100 % 100:02d}:{n % 100:02d}\n" for n in numbers)
    )

    servers = []
    for name, configuration in ((database.name, ""), (stock, stock_configuration(stock))):
        made, client = network(tmp_path / name, stack)
        kea = Kea(made, database, stock=configuration)
        stack.callback(kea.stop)
        kea.start()
        servers.append(partial(offers, cluster, name, kea, client, macs))
    compare("DHCP offers, ours to Kea's own tables", *servers, RATIO)
