"""Every rule of the database, met with values that break it."""

from __future__ import annotations

import pytest
import sqlalchemy

from invirt.base.errors import BadInput, Busy, InvirtError, NoRoom
from invirt.database import schema
from invirt.database.connection import transaction
from invirt.database.refusals import SENTENCES
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database

A_MACHINE = (
    "INSERT INTO machines (name, owner_id, type_id) SELECT 'remus', owner_id, type_id FROM owners, types"
)
NIC = "INSERT INTO nics (machine_id, mac_addr, ip) SELECT machine_id, %s, %s FROM machines"
DISK = "INSERT INTO disks (machine_id, name, size) SELECT machine_id, %s, %s FROM machines"
RANGE = "INSERT INTO address_ranges (first, last, prefix, gateway) VALUES (%s, %s, %s, %s)"
OWNER = "INSERT INTO owners (name, memory, disk, machines) VALUES (%s, %s, %s, %s)"
OPERATION = (
    "INSERT INTO operations (kind, machine_id, machine_name, principal, request_key)"
    " SELECT 'boot', machine_id, name, 'alice@INVIRT.TEST', %s FROM machines WHERE name = 'remus'"
)


@pytest.fixture
def filled(database: Database) -> Database:
    """With a site and a machine remus."""
    site(database)
    machine(database, "remus", disk=1, ip="10.5.0.10", mac="02:00:00:00:00:01")
    return database


def refused(query: str, *values: object) -> InvirtError:
    """What the database says against query; nothing is left of it."""
    with pytest.raises(InvirtError) as caught, transaction() as cursor:
        cursor.execute(query, values)
    return caught.value


NAMES = [
    "",
    "-a",
    "a-",
    "a" * 64,
    "Remus",
    "re mus",
    "remus\n",
    "remus\nANYUSER",
    "../x",
    "a.b",
    "a_b",
    "ä",
    "ж",
    "a\u200b",
    "٣",
    "_apt",
    "ALL",
    "EMPTY",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_machines(filled: Database, name: str) -> None:
    """Only a-z, 0-9 and -, not at the ends."""
    assert refused("UPDATE machines SET name = %s", name).message == SENTENCES["short_name"]


@pytest.mark.parametrize(
    "name",
    ["all", "any", "anyuser", "empty", "help", "summary", "root", "daemon", "www-data", "postgres", "sshd"],
)
def test_reserved_names(filled: Database, name: str) -> None:
    """They mean something to remctld, to sshd or to the system."""
    assert "reserved" in refused("UPDATE machines SET name = %s", name).message


def test_names_of_hosts(filled: Database) -> None:
    """No machine is called as a host, nor a host or reserved name as a machine."""
    assert "reserved" in refused("UPDATE machines SET name = 'host1'").message
    assert (
        "a machine is called remus" in refused("UPDATE hosts SET name = 'remus' WHERE name = 'host1'").message
    )
    assert "a machine is called remus" in refused("INSERT INTO reserved_names VALUES ('remus')").message


@pytest.mark.parametrize(
    "principal",
    [
        "alice",
        "al ice@X",
        "alice@X\n",
        "alice@x",
        "#alice@X",
        "file:x@X",
        "@X",
        "a/b/c/d@X",
        "alice@X Y",
        "ANYUSER",
        "",
    ],
)
def test_principals(filled: Database, principal: str) -> None:
    """What would mean more than one user in an ACL file is none."""
    for query in (
        "INSERT INTO machine_access SELECT machine_id, %s FROM machines",
        "INSERT INTO members SELECT owner_id, %s FROM owners",
    ):
        assert refused(query, principal).message == SENTENCES["principal"]


@pytest.mark.parametrize(
    "mac", ["00:11:22:33:44:55", "03:00:00:00:00:02", "ff:ff:ff:ff:ff:ff", "01:16:3e:00:00:00"]
)
def test_macs(filled: Database, mac: str) -> None:
    """Nobody else's and no group's."""
    assert refused(NIC, mac, None).message == SENTENCES["nic_mac"]


@pytest.mark.parametrize("mac", ["00:16:3e:ff:00:01", "02:00:00:00:00:09", "fe:ff:ff:ff:ff:ff"])
def test_good_macs(filled: Database, mac: str) -> None:
    """Xen's, and locally administered ones."""
    filled.execute(NIC, (mac, None))


def test_addresses(filled: Database) -> None:
    """Within a range, one at a time, each once."""
    other = "02:00:00:00:00:02"
    assert "in no range" in refused(NIC, other, "10.5.0.9").message
    assert "in no range" in refused(NIC, other, "10.5.0.20").message
    assert "in no range" in refused(NIC, other, "fe80::1").message
    assert refused(NIC, other, "10.5.0.12/30").message == SENTENCES["nic_ip"]
    assert refused(NIC, other, "10.5.0.10").message == SENTENCES["nics_ip_key"]
    assert refused(NIC, "02:00:00:00:00:01", "10.5.0.11").message == SENTENCES["nics_mac_addr_key"]
    assert isinstance(refused(NIC, other, "10.5.0.300"), BadInput)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (("10.6.0.20", "10.6.0.10", 24, "10.6.0.1"), "range_order"),
        (("10.6.0.1", "10.6.0.10", 24, "10.6.0.1"), "range_gateway"),
        (("10.6.0.10", "10.6.0.20", 24, "10.7.0.1"), "range_network"),
        (("10.6.0.10", "10.6.1.20", 24, "10.6.0.1"), "range_network"),
        (("10.6.0.2", "10.6.0.255", 24, "10.6.0.1"), "range_network"),
        (("10.6.0.0", "10.6.0.100", 24, "10.6.0.200"), "range_network"),
        (("10.6.0.10", "10.6.0.20", 33, "10.6.0.1"), "range_form"),
        (("fd00::1", "fd00::2", 24, "fd00::3"), "range_form"),
        (("10.6.0.10/24", "10.6.0.20", 24, "10.6.0.1"), "range_form"),
        (("10.5.0.19", "10.5.0.30", 24, "10.5.0.1"), "range_overlap"),
    ],
)
def test_ranges(filled: Database, values: tuple[object, ...], rule: str) -> None:
    """First to last, in one network with a gateway outside, beside other ranges."""
    assert refused(RANGE, *values).message == SENTENCES[rule]


def test_a_range_in_use_stays(filled: Database) -> None:
    """Removed or cut short, unless nobody lies in what goes."""
    assert "remus has an address" in refused("DELETE FROM address_ranges").message
    assert "remus has an address" in refused("UPDATE address_ranges SET first = '10.5.0.11'").message
    filled.execute("UPDATE address_ranges SET last = '10.5.0.15'")
    filled.execute("DELETE FROM nics")
    filled.execute("DELETE FROM address_ranges")


@pytest.mark.parametrize("number", [0, -1, -(2**31)])
def test_sizes(filled: Database, number: int) -> None:
    """Nothing is nothing, or less."""
    assert refused("UPDATE machines SET memory = %s", number).message == SENTENCES["machine_memory"]
    assert refused("UPDATE machines SET cpus = %s", number).message == SENTENCES["machine_cpus"]
    assert refused("UPDATE disks SET size = %s", number).message == SENTENCES["disk_size"]


def test_huge_and_odd_numbers(filled: Database) -> None:
    """Beyond integer is bad input, not a failure of the database."""
    for number in (2**31, 2**63, 10**30, "many", "1e400"):
        assert isinstance(refused("UPDATE machines SET memory = %s", number), BadInput)
    assert isinstance(refused("UPDATE machines SET memory = %s", 2**31 - 1), NoRoom)


@pytest.mark.parametrize("name", ["sda", "hd", "hdA", "hda1", "hda\n", "../hda", ""])
def test_disks(filled: Database, name: str) -> None:
    """hda to hdz."""
    assert refused(DISK, name, 1).message == SENTENCES["disk_name"]


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (("-a", 1, 1, 1), "owner_name"),
        (("a b", 1, 1, 1), "owner_name"),
        (("a\n", 1, 1, 1), "owner_name"),
        (("bob", -1, 1, 1), "owner_memory"),
        (("bob", 1, -1, 1), "owner_disk"),
        (("bob", 1, 1, -1), "owner_machines"),
        (("alice", 1, 1, 1), "owners_name_key"),
    ],
)
def test_owners(filled: Database, values: tuple[object, ...], rule: str) -> None:
    """Names of a form, quotas of 0 or more."""
    assert refused(OWNER, *values).message == SENTENCES[rule]


def test_words_of_types_and_hosts(filled: Database) -> None:
    """Paths, host names, kinds and texts."""
    for path in ("vmlinuz", "/a b", "/a;b", "/", "/a\n", "/a'b"):
        assert refused("UPDATE types SET kernel = %s", path).message == SENTENCES["file_path"]
    for hostname in ("host1", "Host1.x", "a..b", ".a.b", "a.b.", "a b.c", "a.b\n", "-a.b"):
        message = refused("UPDATE hosts SET hostname = %s WHERE name = 'host1'", hostname).message
        assert message == SENTENCES["full_name"]
    assert refused("UPDATE types SET virt = 'lxc'").message == SENTENCES["type_virt"]
    for text in ("a\nb", "a\x1bb", "x" * 1001):
        assert refused("UPDATE machines SET description = %s", text).message == SENTENCES["one_line"]


def test_quota(filled: Database) -> None:
    """Memory, disk and machines of an owner, said in numbers."""
    filled.execute("UPDATE owners SET memory = 256, disk = 2, machines = 2")
    error = refused("UPDATE machines SET memory = 257")
    assert isinstance(error, NoRoom)
    assert error.message == "the quota of alice is 256 MiB of memory; this would make 257"
    error = refused("UPDATE disks SET size = 3")
    assert (type(error), error.message) == (NoRoom, "the quota of alice is 2 GiB of disk; this would make 3")
    machine(filled, "romulus")
    third = A_MACHINE.replace("type_id)", "type_id, memory)").replace("type_id FROM", "type_id, 1 FROM")
    error = refused(third.replace("remus", "silvia"))
    assert (type(error), error.message) == (NoRoom, "the quota of alice is 2 machines; this would make 3")


def test_what_exceeds_a_lowered_quota_may_shrink(filled: Database) -> None:
    """But not grow."""
    filled.execute("UPDATE owners SET memory = 10")
    filled.execute("UPDATE machines SET memory = 100")
    filled.execute("UPDATE machines SET name = 'romulus'")
    assert isinstance(refused("UPDATE machines SET memory = 101"), NoRoom)


def test_host_memory(filled: Database) -> None:
    """What is reserved on a host fits."""
    filled.execute("UPDATE machines SET memory = 1025")
    error = refused("UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE name = 'host1')")
    assert (type(error), error.message) == (
        NoRoom,
        "the host host1 has 1024 MiB for guests; this would make 1025",
    )


RESERVE = """
INSERT INTO reservations (machine_id, host_id, memory, operation_id)
    SELECT machine_id, h.host_id, coalesce(%s, m.memory), %s FROM machines m, hosts h WHERE h.name = %s
"""
HOME = "SELECT h.name FROM machines LEFT JOIN hosts h USING (host_id)"


def test_two_reservations_while_a_machine_moves(filled: Database) -> None:
    """Its home is the older one's host until that goes; it counts once to the quota, and fits on both."""
    for _ in range(2):
        filled.execute(OPERATION, (None,))
        filled.execute("UPDATE operations SET state = 'done'")
    filled.execute(RESERVE, (None, 1, "host1"))
    filled.execute("UPDATE owners SET memory = 128")
    filled.execute(RESERVE, (None, 2, "host2"))
    assert filled.execute(HOME) == [("host1",)]
    assert filled.execute("SELECT memory FROM machine_memory") == [(128,)]
    filled.execute("DELETE FROM reservations WHERE operation_id = 1")
    assert filled.execute(HOME) == [("host2",)]
    error = refused("UPDATE reservations SET memory = 129")
    assert (type(error), error.message) == (
        NoRoom,
        "the quota of alice is 128 MiB of memory; this would make 129",
    )
    filled.execute("DELETE FROM reservations")
    assert filled.execute(HOME) == [(None,)]
    filled.execute("UPDATE hosts SET memory = 127 WHERE name = 'host1'")
    assert "host1 has 127 MiB" in refused(RESERVE, None, 1, "host1").message
    assert refused(RESERVE, 0, 1, "host2").message == SENTENCES["reservation_memory"]


def test_servers_of_the_version_before_reserve_by_the_home_alone(filled: Database) -> None:
    """Between the database's upgrade and theirs."""
    for host in ("host1", "host1", "host2"):
        filled.execute("UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE name = %s)", (host,))
        held = filled.execute("SELECT name, r.memory FROM reservations r JOIN hosts USING (host_id)")
        assert held == [(host, 128)] and filled.execute(HOME) == [(host,)]
    filled.execute("UPDATE machines SET host_id = NULL")
    assert filled.execute("SELECT count(*) FROM reservations") == [(0,)]


def test_what_was_reserved_by_the_home_alone_is_a_reservation(filled: Database) -> None:
    """Of a boot that was under way at the upgrade, too; and back."""
    filled.execute("UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE name = 'host2')")
    filled.execute(OPERATION, (None,))
    filled.execute("UPDATE operations SET kind = 'boot'")
    engine = sqlalchemy.create_engine(f"postgresql://invirt@/{filled.name}?host={filled.socket}")
    with engine.begin() as connected:
        schema.downgrade(connected, "0055")
    assert filled.execute(HOME) == [("host2",)]
    filled.execute("UPDATE hosts SET memory = 128 WHERE name = 'host2'")
    assert "this would make 129" in refused("UPDATE machines SET memory = 129").message
    with engine.begin() as connected:
        schema.upgrade(connected)
    engine.dispose()
    held = filled.execute(
        "SELECT name, r.memory, operation_id FROM hosts h JOIN reservations r USING (host_id)"
    )
    assert held == [("host2", 128, 1)]


def test_one_open_operation_a_machine(filled: Database) -> None:
    """Until it is done or undone; a request's key is good once."""
    filled.execute(OPERATION, ("key",))
    assert isinstance(refused(OPERATION, None), Busy)
    filled.execute("UPDATE operations SET state = 'stuck'")
    assert isinstance(refused(OPERATION, None), Busy)
    filled.execute("UPDATE operations SET state = 'done'")
    assert refused(OPERATION, "key").message == SENTENCES["operations_request_key"]
    filled.execute(OPERATION, (None,))
    filled.execute("DELETE FROM machines")
    assert filled.execute("SELECT machine_id, machine_name FROM operations") == [(None, "remus")] * 2


def test_every_rule_has_a_sentence(database: Database) -> None:
    """For people, who can't be shown the name of a constraint."""
    rules = database.execute(
        "SELECT conname FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'x')"
    )
    internal = {"operation_kind", "operation_state", "operation_request_key", "step_state"}
    internal |= {"cdroms_name_key", "machine_system", "install_password", "install_keys"}
    internal |= {"host_key_kind", "host_key_fingerprint"}
    internal |= {"trash_taken", "trash_disk_name", "trash_disk_size"}
    internal |= {"sign_strangers", "sign_load", "guest_state", "guest_why"}  # what hosts write is no person's
    internal |= {
        "sign_accelerator",
        "sign_reason",
        "apart_order",
        "machines_owned",
        "host_lost",
        "machine_lost",
    }
    internal |= {
        "quota_whose",
        "quotas_key",
        "request_state",
        "request_decided",
        "mail_kind",
        "mail_recipient",
        *("limit_resource", "limit_amount", "owner_limit_resource", "owner_limit_standard"),
        *("owner_limit_most", "owner_limits_key"),
        "audit_address",
        "audit_seals_audit_id_key",
    }
    internal |= {"token_hash", "api_tokens_hash_key", "look_hash", "console_looks_hash_key"}
    internal |= {"upkeep_kind", "upkeep_reboot", "upkeep_step", "upkeep_boot"}
    others = {str(name) for (name,) in rules} - internal - set(SENTENCES)
    assert {name for name in others if not name.startswith("usage_")} == set()
