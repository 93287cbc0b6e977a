"""What the tests of consoles have in the database and in invirt.yaml."""

from __future__ import annotations

from tests.parts.postgres import Database

CONSOLE, HOST = "console.invirt.test", "host1.invirt.test"
PORT = 7820


def owner(database: Database, name: str) -> None:
    """An owner with one member, name@INVIRT.TEST."""
    database.execute(
        "INSERT INTO owners (name, memory, disk, machines) VALUES (%s, 4000000, 100, 20000)", (name,)
    )
    database.execute(
        "INSERT INTO members SELECT owner_id, %s FROM owners WHERE name = %s", (f"{name}@INVIRT.TEST", name)
    )


def machine(database: Database, name: str, owner_name: str = "alice") -> None:
    """A machine that is off."""
    database.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory)"
        " SELECT %s, owner_id, type_id, 128 FROM owners, types"
        " WHERE owners.name = %s AND types.name = 'linux'",
        (name, owner_name),
    )


def fill(database: Database) -> None:
    """alice has remus and romulus, bob has castor; one host."""
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    database.execute("INSERT INTO hosts (name, hostname, memory) VALUES ('host1', %s, 4000000)", (HOST,))
    for name in ("alice", "bob"):
        owner(database, name)
    for name, whose in (("remus", "alice"), ("romulus", "alice"), ("castor", "bob")):
        machine(database, name, whose)


def settings(database: Database, address: str = "127.0.0.1") -> None:
    """The section console of invirt.yaml; address: where hosts see the console server come from."""
    with database.config.open("a") as file:
        file.write(f"console:\n  hostname: {CONSOLE}\n  address: {address}\n  port: {PORT}\n")
