"""The lists of consoles that the conservers have, as machines come, move and go."""

from __future__ import annotations

import socket
import time

from tests.parts.console.daemons import LIST, start_consoles
from tests.parts.console.rows import CONSOLE, HOST, PORT
from tests.parts.console.server import wait
from tests.parts.console.site import Site
from tests.parts.owned import machine

MANY = 20  # machines on a host


def _list(site: Site, role: str) -> str:
    server = site.console if role == "console" else site.host
    return server.run("cat", LIST).stdout


def _names(text: str) -> list[str]:
    return [line.split()[1] for line in text.splitlines() if line.startswith("console ")]


def test_each_knows_the_machines_that_it_leads_to(site: Site) -> None:
    site.database.execute(
        "INSERT INTO hosts (name, hostname, memory) VALUES ('host2', 'host2.invirt.test', 4096)"
    )
    site.console.start("/usr/sbin/invirt-console-conserver")
    start_consoles(site)
    site.console.await_("the first list", "test", "-e", LIST)
    site.boot("remus")
    wait(lambda: f"console remus {{ master {HOST}; rw remus; }}" in _list(site, "console"), "remus")
    wait(lambda: _names(_list(site, "host")) == ["remus"], "remus on its host")
    site.database.execute("UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE name = 'host2')")
    wait(lambda: _list(site, "console").count("host2.invirt.test") == 3, "the moved")
    wait(lambda: _names(_list(site, "host")) == [], "none on the host")
    site.database.execute("UPDATE machines SET name = 'pollux' WHERE name = 'castor'")
    wait(lambda: "pollux" in _names(_list(site, "console")), "the new name")
    site.database.execute("DELETE FROM machines WHERE name = 'pollux'")
    wait(lambda: _names(_list(site, "console")) == ["remus", "romulus"], "the deleted")


def test_changes_are_told_to_a_conserver_that_runs(consoles: Site) -> None:
    machine(consoles.database, "pollux")
    consoles.boot("pollux")
    log = consoles.log("pollux")
    wait(
        lambda: log.exists() and "this is d_pollux" in log.read_text(),
        "conserver on pollux",
        consoles.host.output,
    )


def test_a_conserver_that_starts_has_its_consoles_soon(site: Site) -> None:
    """Of itself it takes 0.75 s for each, and answers nobody before."""
    for number in range(MANY):
        machine(site.database, f"m{number}")
        site.boot(f"m{number}")
    begun = time.monotonic()
    start_consoles(site)
    assert time.monotonic() < begun + 0.5 * MANY  # it answers
    log = site.host.folder / "log/invirt/consoles"
    wait(lambda: len(list(log.glob("*.log"))) == MANY, "all consoles", site.host.output, seconds=0.5 * MANY)


def test_a_lost_database_is_found_again(site: Site) -> None:
    site.console.start("/usr/sbin/invirt-console-conserver")
    site.console.await_("the first list", "test", "-e", LIST)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'invirt_console'"
    wait(lambda: bool(site.database.execute(cut, user="postgres")), "its connection")
    site.boot("romulus")
    wait(lambda: _names(_list(site, "console")) == ["romulus"], "romulus")


def test_an_administrators_console_is_sent_on_to_the_host(consoles: Site) -> None:
    console = consoles.console
    console.start("/usr/sbin/invirt-console-conserver")
    wait(lambda: _names(_list(consoles, "console")) == ["remus"], "the list")
    address = consoles.addresses[CONSOLE]
    conserver = ("/usr/sbin/conserver", "-C", "/etc/conserver/invirt-console.cf", "-P", "/nonexistent")
    console.start(*conserver, "-M", address)
    console.reached(address, PORT)
    root = consoles.spawn([*console.enter, "console", "-M", CONSOLE, "-A", "-l", "root", "remus"])
    root.expect("this is d_remus, booted")
    root.sendline("from above")
    root.expect("from above\r\nfrom above\r\n")
    spy = consoles.spawn([*console.enter, "env", "TERM=dumb", "/usr/sbin/invirt-console-spy", "remus"])
    spy.expect("for help")
    root.sendline("seen by both")
    spy.expect("seen by both")
    spy.send("not from me\r\x05cf")
    root.sendline("nor heard")
    assert "not from me" not in root.before + root.after
    root.expect("nor heard")
    assert "not from me" not in root.before
    nobody = consoles.spawn([*console.enter, "console", "-l", "bob", "remus"])
    nobody.expect("denied|not found|refused")
    with socket.create_connection((consoles.addresses[HOST], PORT), timeout=5) as plain:
        plain.settimeout(5)
        plain.sendall(b"login root\r\n")
        said = b""
        while b"required" not in said:
            said += plain.recv(200)
        assert b"encryption required" in said
