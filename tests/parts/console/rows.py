"""What the tests of consoles have in the database and in invirt.yaml."""

from __future__ import annotations

from tests.parts.owned import machine, owner
from tests.parts.postgres import Database

CONSOLE, HOST, WEB = "console.invirt.test", "host1.invirt.test", "web.invirt.test"
PORT = 7820


def fill(database: Database) -> None:
    """alice has remus and romulus, bob has castor; one host."""
    database.execute("INSERT INTO types (name, virt) VALUES ('linux', 'pvh')")
    database.execute("INSERT INTO hosts (name, hostname, memory) VALUES ('host1', %s, 4000000)", (HOST,))
    for name in ("alice", "bob"):
        owner(database, name, memory=4_000_000, machines=20_000)
    for name, whose in (("remus", "alice"), ("romulus", "alice"), ("castor", "bob")):
        machine(database, name, whose)


def settings(database: Database, address: str = "127.0.0.1", hypervisor: str = "xen") -> None:
    """What invirt.yaml says of consoles; address: where hosts see the console server come from."""
    with database.config.open("a") as file:
        file.write(f"hypervisor: {{driver: {hypervisor}}}\n")
        file.write(f"console:\n  hostname: {CONSOLE}\n  address: {address}\n  port: {PORT}\n")
