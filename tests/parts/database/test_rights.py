"""What each kind of server may do, and what not."""

from __future__ import annotations

import psycopg2
import pytest

from invirt.database import connection
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database

TABLES = """
owners members types hosts address_ranges reserved_names refused_names machines disks nics machine_access
cdroms autoinstalls operations operation_steps audit counters trash trash_disks public_keys held_addresses
administrators host_signs guest_states api_tokens api_token_machines console_looks apart
""".split()  # noqa: SIM905 - read as a list of words

READ = {
    "invirt_remote": set(TABLES)
    - {"api_tokens", "api_token_machines", "console_looks"},  # views, without hashes
    "invirt_host": {"machines", "nics", "disks", "types", "hosts", "cdroms", "autoinstalls"}
    | {"host_signs", "guest_states"},
    "invirt_web": set(),  # views alone
}
WRITE = {
    "invirt_remote": {
        "INSERT": "machines disks nics members machine_access owners operations operation_steps audit"
        " trash trash_disks address_ranges apart",
        "UPDATE": "machines disks nics operations operation_steps trash trash_disks",
        "DELETE": "machines disks nics members machine_access trash trash_disks types address_ranges apart",
        "TRUNCATE": "",
    },
    "invirt_host": {"INSERT": "host_signs guest_states", "UPDATE": "", "DELETE": "", "TRUNCATE": ""},
    "invirt_web": dict.fromkeys(("INSERT", "UPDATE", "DELETE", "TRUNCATE"), ""),
}


@pytest.mark.parametrize("role", list(READ))
@pytest.mark.parametrize("table", TABLES)
def test_tables(database: Database, role: str, table: str) -> None:
    """Exactly what is written above, and nothing to grant on."""
    rights = database.execute(
        "SELECT has_table_privilege(%s, %s, r), has_table_privilege(%s, %s, r || ' WITH GRANT OPTION'), r"
        " FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) r",
        (role, table, role, table),
    )
    allowed = {right for has, _, right in rights if has}
    wanted = {right for right, tables in WRITE[role].items() if table in tables.split()}
    assert allowed == wanted | ({"SELECT"} if table in READ[role] else set())
    assert not any(grant for _, grant, _ in rights)


@pytest.mark.parametrize("role", list(READ))
@pytest.mark.parametrize(
    "query",
    [
        "DROP TABLE machines",
        "ALTER TABLE machines ADD COLUMN x integer",
        "ALTER TABLE machines DISABLE TRIGGER room",
        "CREATE TABLE x (y integer)",
        "CREATE FUNCTION x() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "UPDATE owners SET name = 'x'",
        "UPDATE hosts SET hostname = 'x'",
        "INSERT INTO hosts (name, hostname, memory) VALUES ('x', 'x', 1)",
        "INSERT INTO administrators (principal) VALUES ('x@X')",
        "UPDATE types SET kernel = '/x'",
        "UPDATE counters SET value = 0",
        "DELETE FROM reserved_names",
        "DELETE FROM audit",
        "UPDATE audit SET principal = 'x'",
        "DELETE FROM operations",
        "UPDATE alembic_version SET version_num = '0'",
        "COPY machines TO PROGRAM 'true'",
        "SET ROLE invirt",
        "CREATE ROLE x",
        "SET session_replication_role = replica",
        "SELECT check_quota(1, '{disk}')",
        "SELECT setval('operation_token', 1)",
    ],
)
def test_forbidden(database: Database, role: str, query: str) -> None:
    """To every server, however it is broken into."""
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.execute(query, user=role)


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE machines SET memory = 1",
        "DELETE FROM machines",
        "SELECT * FROM owners",
        "SELECT * FROM machine_access",
    ],
)
def test_forbidden_to_hosts(database: Database, query: str) -> None:
    """A host only looks, but for what it sees of its guests, and not at people."""
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.execute(query, user="invirt_host")


@pytest.mark.parametrize("table", ["owners", "hosts", "address_ranges"])
def test_remote_locks_what_it_counts(database: Database, table: str) -> None:
    """But the column that lets it can't be changed."""
    site(database)
    key = {"owners": "owner_id", "hosts": "host_id", "address_ranges": "range_id"}[table]
    assert database.execute(f"SELECT {key} FROM {table} FOR UPDATE", user="invirt_remote")
    with pytest.raises(psycopg2.errors.GeneratedAlways):
        database.execute(f"UPDATE {table} SET {key} = 9", user="invirt_remote")


def test_remote_names_no_file_of_a_host_s(database: Database) -> None:
    """Hosts open a type's kernel and initial ramdisk: a type that remote adds has none, and gets none."""
    database.execute(
        "INSERT INTO types (name, virt, needs) VALUES ('pc', 'hvm', '{cdrom}')", user="invirt_remote"
    )
    database.execute("UPDATE types SET append = 'quiet', description = 'x'", user="invirt_remote")
    for wrong in (
        "INSERT INTO types (name, virt, kernel) VALUES ('x', 'pvh', '/boot/vmlinuz')",
        "INSERT INTO types (name, virt, initrd) VALUES ('x', 'pvh', '/etc/krb5.keytab')",
        "UPDATE types SET kernel = '/boot/vmlinuz'",
        "UPDATE types SET initrd = '/etc/krb5.keytab'",
        "UPDATE types SET name = 'y'",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            database.execute(wrong, user="invirt_remote")


def test_remote_adds_no_address_of_a_server_s_or_another_network_s(database: Database) -> None:
    """site() has 10.5.0.10 to 10.5.0.20, a gateway 10.5.0.1 and a prefix; who owns the tables may add any."""
    site(database)
    ((gateway, prefix),) = database.execute("SELECT host(gateway), prefix FROM address_ranges")
    add = "INSERT INTO address_ranges (first, last, prefix, gateway) VALUES (%s, %s, %s, %s)"

    def refused(first: str, last: str, why: str, at: object = gateway, of: object = prefix) -> None:
        with pytest.raises(psycopg2.errors.RaiseException, match=why):
            database.execute(add, (first, last, of, at), user="invirt_remote")

    refused("10.5.0.100", "10.5.0.110", "names no server")
    database.execute("INSERT INTO rules.servers VALUES ('10.5.0.0/29'), ('10.5.0.105'), ('2001:db8::/64')")
    refused("10.5.0.100", "10.5.0.110", "addresses of servers: 10.5.0.105/32")
    refused("10.5.0.105", "10.5.0.105", "addresses of servers")
    refused("10.5.0.7", "10.5.0.8", "addresses of servers: 10.5.0.0/29")
    refused("192.0.2.10", "192.0.2.20", "no range has the gateway 192.0.2.1", at="192.0.2.1")
    refused("10.5.0.106", "10.5.0.107", "no range has the gateway", of=30)
    refused("192.0.2.10", "192.0.2.10", "no range has the gateway", of=32)
    with pytest.raises(psycopg2.errors.CheckViolation):  # of another network than its gateway
        database.execute(add, ("192.0.2.10", "192.0.2.20", prefix, gateway), user="invirt_remote")
    database.execute(add, ("10.5.0.106", "10.5.0.110", prefix, gateway), user="invirt_remote")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        database.execute("UPDATE address_ranges SET last = '10.5.0.111'", user="invirt_remote")
    database.execute("DELETE FROM address_ranges WHERE first = '10.5.0.106'", user="invirt_remote")
    database.execute(add, ("192.0.2.10", "192.0.2.20", 24, "192.0.2.1"))


def test_no_function_of_ours_is_everyone_s(database: Database) -> None:
    """PostgreSQL gives each new one to all; many run with the owner's rights."""
    assert not database.execute(
        "SELECT oid::regprocedure::text FROM pg_proc"
        " WHERE pronamespace IN ('public'::regnamespace, 'dns'::regnamespace)"
        " AND prosecdef AND has_function_privilege('public', oid, 'EXECUTE')"
    )


def test_remote_s_day(database: Database) -> None:
    """What it does, it may: the rules run with the owner's rights."""
    site(database)
    connection.role = "remote"
    with connection.transaction() as cursor:
        cursor.execute(
            "INSERT INTO machines (name, owner_id, type_id, memory)"
            " SELECT 'remus', owner_id, type_id, 64 FROM owners, types RETURNING machine_id"
        )
        (made,) = cursor.fetchone()
        cursor.execute("INSERT INTO disks (machine_id, name, size) VALUES (%s, 'hda', 1)", (made,))
        cursor.execute(
            "INSERT INTO nics (machine_id, mac_addr, ip) VALUES (%s, '02:00:00:00:00:01', '10.5.0.10')",
            (made,),
        )
        cursor.execute(
            "INSERT INTO reservations SELECT machine_id, (SELECT min(host_id) FROM hosts), 64 FROM machines"
        )
        cursor.execute(
            "INSERT INTO operations (kind, machine_id, machine_name, principal, token)"
            " VALUES ('create', %s, 'remus', 'alice@X', nextval('operation_token')) RETURNING operation_id",
            (made,),
        )
        (operation,) = cursor.fetchone()
        cursor.execute("INSERT INTO operation_steps VALUES (%s, 1, 'volume')", (operation,))
        cursor.execute("UPDATE operations SET state = 'done', lease_until = NULL")
        cursor.execute("INSERT INTO audit (principal, command, outcome) VALUES ('alice@X', 'create', 'ok')")
        cursor.execute("DELETE FROM machines")


def test_a_host_s_day(database: Database) -> None:
    """It reads how to boot a machine."""
    site(database)
    machine(database, "remus", disk=1, ip="10.5.0.10", mac="02:00:00:00:00:01")
    connection.role = "host"
    with connection.transaction() as cursor:
        cursor.execute(
            "SELECT m.name, m.memory, d.size, n.ip, t.virt FROM machines m JOIN disks d USING (machine_id)"
            " JOIN nics n USING (machine_id) JOIN types t USING (type_id)"
        )
        assert cursor.fetchall() == [("remus", 128, 1, "10.5.0.10", "pvh")]


def test_quiet_sessions_end(database: Database) -> None:
    """A server that hangs inside a transaction doesn't keep its locks for ever."""
    for role, limit in (("invirt_remote", "1min"), ("invirt_host", "1min"), ("invirt", "1h")):
        assert database.execute("SHOW idle_in_transaction_session_timeout", user=role) == [(limit,)]


def test_the_web_server_s_day(database: Database) -> None:
    """It reads views, each of its schema among them, and can change nothing through one."""
    site(database)
    machine(database, "remus", disk=3, ip="10.5.0.10", mac="02:00:00:00:00:01")
    views = {
        str(name)
        for (name,) in database.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind IN ('v', 'r', 'p')"
            " AND has_table_privilege('invirt_web', c.oid, 'SELECT')"
            " AND relnamespace IN ('public'::regnamespace, 'web'::regnamespace)"
        )
    }
    of_all = {"access", "owner_access", "machine_states", "claimed_twice", "usage", "usage_drops", "tokens"}
    of_all |= {"looks", "offers"}
    assert {name for name in views if not name.startswith("web.")} == of_all
    of_web = database.execute("SELECT viewname FROM pg_views WHERE schemaname = 'web'")
    assert {f"web.{name}" for (name,) in of_web} == views - of_all
    for view in views:
        database.execute(f"SELECT * FROM {view} LIMIT 1", user="invirt_web")
        more = "SELECT has_table_privilege('invirt_web', %s, 'INSERT, UPDATE, DELETE, TRUNCATE')"
        assert database.execute(more, (view,)) == [(False,)]
    quota = "SELECT used_machines, used_memory, used_disk, trash FROM web.quotas WHERE name = 'alice'"
    assert database.execute(quota, user="invirt_web") == [(1, 128, 3, 0)]
    state = "SELECT name, owner, state, host FROM web.machines"
    assert database.execute(state, user="invirt_web") == [("remus", "alice", "off", None)]
    used = "SELECT size, used FROM web.ranges"
    assert database.execute(used, user="invirt_web") == [(10, 1)]
