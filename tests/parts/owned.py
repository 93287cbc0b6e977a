"""Owners and machines as rows, for tests of what is served from them."""

from __future__ import annotations

from tests.parts.postgres import Database


def owner(database: Database, name: str, memory: int = 4096, machines: int = 20) -> None:
    """An owner with one member, name@INVIRT.TEST; memory: MiB of the quota."""
    database.execute(
        "INSERT INTO owners (name, memory, disk, machines) VALUES (%s, %s, 100, %s)",
        (name, memory, machines),
    )
    database.execute(
        "INSERT INTO members SELECT owner_id, %s FROM owners WHERE name = %s", (f"{name}@INVIRT.TEST", name)
    )


def machine(database: Database, name: str, owner_name: str = "alice") -> None:
    """A machine that is off, without disks."""
    database.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory)"
        " SELECT %s, owner_id, type_id, 128 FROM owners, types"
        " WHERE owners.name = %s AND types.name = 'linux'",
        (name, owner_name),
    )
