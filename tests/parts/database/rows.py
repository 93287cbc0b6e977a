"""Rows that tests of the database start from."""

from __future__ import annotations

from tests.parts.postgres import Database


def site(database: Database, memory: int = 4096, disk: int = 100, machines: int = 10) -> None:
    """An owner alice with a quota, a type, two hosts and a range of addresses."""
    database.execute(
        "INSERT INTO owners (name, memory, disk, machines) VALUES ('alice', %s, %s, %s)",
        (memory, disk, machines),
    )
    database.execute("INSERT INTO members SELECT owner_id, 'alice@INVIRT.TEST' FROM owners")
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    database.execute(
        "INSERT INTO hosts (name, hostname, memory) VALUES"
        " ('host1', 'host1.invirt.test', 1024), ('host2', 'host2.invirt.test', 1024)"
    )
    database.execute(
        "INSERT INTO address_ranges (first, last, prefix, gateway)"
        " VALUES ('10.5.0.10', '10.5.0.19', 24, '10.5.0.1')"
    )


def machine(
    database: Database,
    name: str,
    memory: int = 128,
    disk: int = 0,
    ip: str | None = None,
    mac: str | None = None,
) -> None:
    """A machine of alice's; disk in GiB, none for 0."""
    database.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory)"
        " SELECT %s, owner_id, type_id, %s FROM owners, types WHERE owners.name = 'alice'",
        (name, memory),
    )
    if disk:
        database.execute(
            "INSERT INTO disks (machine_id, name, size)"
            " SELECT machine_id, 'hda', %s FROM machines WHERE name = %s",
            (disk, name),
        )
    if mac:
        database.execute(
            "INSERT INTO nics (machine_id, mac_addr, ip)"
            " SELECT machine_id, %s, %s FROM machines WHERE name = %s",
            (mac, ip, name),
        )
