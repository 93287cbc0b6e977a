"""Names of machines: each part can have those that the database takes; one can't those that it refuses."""

from __future__ import annotations

import ctypes
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from tests.parts.console.conftest import whole
from tests.parts.console.site import Site
from tests.parts.owned import machine
from tests.parts.postgres import Cluster, Database
from tests.parts.realm import Realm

FINE = [
    *("a", "a1", "1a", "2025-07-31", "0x", "0xg", "x0x1", "amlog", "a-tdata", "snapshot", "pvmove", "integ"),
    *("a--b", "xn--mnchen-3ya", "incoming", "a-incoming", "incoming--a", "a" * 63, "a" * 29 + "-a" * 17),
]
LVM = [
    *("cdata", "cmeta", "corig", "cpool", "cvol", "imeta", "iorig", "mimage", "mlog", "pmspare"),
    *("rimage", "rmeta", "tdata", "tmeta", "vdata", "vorigin", "wcorig"),
]
GROUP = b"twelveletter"  # names of volume groups may have so many
DEVICE_MAPPER = 127  # letters of a name (DM_NAME_LEN in linux/dm-ioctl.h, without its last)
TRASHED = "trash.1234567890.1234567890.d_{}_hda"


def refusal(database: Database, name: str) -> str:
    """What the database says of a new machine's name; nothing if it takes it."""
    try:
        machine(database, name)
    except psycopg2.errors.RaiseException as error:
        return str(error.diag.message_primary)
    return ""


def mapped(name: str) -> str:
    """What libdevmapper calls a machine's disk in the trash."""
    library = ctypes.CDLL("libdevmapper.so.1.02.1")
    library.dm_pool_create.restype = ctypes.c_void_p
    library.dm_pool_destroy.argtypes = [ctypes.c_void_p]
    library.dm_build_dm_name.restype = ctypes.c_char_p
    library.dm_build_dm_name.argtypes = [ctypes.c_void_p, *[ctypes.c_char_p] * 3]
    pool = library.dm_pool_create(b"names", ctypes.c_size_t(1024))
    said: str = library.dm_build_dm_name(pool, GROUP, TRASHED.format(name).encode(), b"").decode()
    library.dm_pool_destroy(pool)
    return said


def lvm_takes(name: str) -> bool:
    """Whether LVM finds fault with the group alone, which isn't there, and not with the name."""
    argv = ["lvcreate", "--test", "--driverloaded", "n", "--size", "1g", "--name", name, "no-such-group"]
    said = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=20).stderr
    assert ("reserved" in said) != ('Volume group "no-such-group" not found' in said), said
    return "reserved" not in said


def is_an_address(name: str) -> bool:
    """To programs that ask the C library."""
    try:
        socket.inet_aton(name)
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def logins(cluster: Cluster, realm: Realm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A console server of which the logins alone are there."""
    with whole(cluster, realm, tmp_path_factory.mktemp("logins")) as site:
        site.console.start("/usr/sbin/invirt-userdb")
        site.console.await_("userdb", "getent", "passwd", "remus")
        yield site


def test_what_is_taken_works_in_each_part(logins: Site) -> None:
    for name in FINE:
        assert not refusal(logins.database, name)
        known = logins.console.run("getent", "passwd", name)
        assert known.stdout.startswith(f"{name}:"), f"{name}: no login"
        assert lvm_takes(f"d_{name}_hda") and lvm_takes(TRASHED.format(name)), name
        assert len(mapped(name)) <= DEVICE_MAPPER, name
        assert not is_an_address(name), name


def test_what_is_refused_would_not_work(logins: Site) -> None:
    database = logins.database
    assert "no login to systemd" in refusal(database, "20250731")
    with closing(database.connect("postgres")) as connected, connected.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(
            "INSERT INTO machines (name, owner_id, type_id, memory)"
            " SELECT '20250731', owner_id, type_id, 128 FROM owners, types LIMIT 1"
        )
    assert logins.console.run("getent", "passwd", "20250731").stdout == ""
    for start in LVM:
        assert "LVM" in refusal(database, f"{start}-1") and not lvm_takes(f"d_{start}-1_hda")
    assert "for an address" in refusal(database, "0x7f000001") and is_an_address("0x7f000001")
    long = "a" * 27 + "-a" * 18
    assert "letters" in refusal(database, long) and len(mapped(long)) > DEVICE_MAPPER
    assert "Xen" in refusal(database, "remus--incoming")


def test_a_machine_that_has_such_a_name_keeps_it_until_it_has_another(logins: Site) -> None:
    database = logins.database
    with closing(database.connect("postgres")) as connected, connected.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE machines SET name = 'mlog' WHERE name = 'remus'")
    database.execute("UPDATE machines SET name = name, memory = 64 WHERE name = 'mlog'")
    database.execute("UPDATE machines SET name = 'remus' WHERE name = 'mlog'")
    with pytest.raises(psycopg2.errors.RaiseException, match="no machine can be called mlog: LVM"):
        database.execute("UPDATE machines SET name = 'mlog' WHERE name = 'remus'")
