"""Owners and machines as rows, for tests of what is served from them."""

from __future__ import annotations

import pytest

from tests.parts.postgres import Database

BOB = "bob@INVIRT.TEST"
WAYS = pytest.mark.parametrize("way", ["allowed", "told"])
AND_BACK = """
INSERT INTO owners (name, memory, disk, machines) VALUES ('another', 9999, 9999, 9999) ON CONFLICT DO NOTHING;
CREATE TEMP TABLE had ON COMMIT DROP AS SELECT machine_id, owner_id FROM machines WHERE name = %s;
UPDATE machines SET owner_id = (SELECT owner_id FROM owners WHERE name = 'another')
    WHERE machine_id IN (SELECT machine_id FROM had);
UPDATE machines m SET owner_id = had.owner_id FROM had WHERE had.machine_id = m.machine_id
"""
SOURCE = """
INSERT INTO sources (owner_id, kind, name) SELECT owner_id, 'unix', 'staff' FROM machines WHERE name = %s
ON CONFLICT DO NOTHING
"""


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


def let_in(database: Database, name: str, principal: str, way: str = "allowed") -> None:
    """To the machine: by its owner's word, or as one of whom the owner's source tells."""
    if way != "told":
        query = "INSERT INTO machine_access SELECT machine_id, %s FROM machines WHERE name = %s"
        database.execute(query, (principal, name))
        return
    database.execute(SOURCE, (name,))
    _tell(database, name, principal)


def let_out(database: Database, name: str, way: str = "allowed") -> None:
    """All whom let_in() let in: disallowed, told of no more, or as the machine was handed over (and back)."""
    if way == "allowed":
        database.execute("DELETE FROM machine_access")
    elif way == "handed":
        database.execute(AND_BACK, (name,))
    else:
        _tell(database, name)


def _tell(database: Database, name: str, *principals: str) -> None:
    """As invirt-database-members does what its plug-in found."""
    ((number,),) = database.execute("SELECT owner_id FROM machines WHERE name = %s", (name,))
    query = "SELECT source_answered(%s, 'unix:staff', %s, 600)"
    assert database.execute(query, (number, list(principals)), user="invirt_members") == [(True,)]
