"""The lists of consoles that the conservers have, as machines come, move and go."""

from __future__ import annotations

import time

from tests.parts.console.daemons import LIST, start_consoles
from tests.parts.console.server import wait
from tests.parts.console.site import Site
from tests.parts.owned import machine

MANY = 20  # machines on a host


def _names(site: Site) -> list[str]:
    lines = site.host.run("cat", LIST).stdout.splitlines()
    return [line.split()[1] for line in lines if line.startswith("console ")]


def test_a_host_knows_the_machines_that_run_on_it(site: Site) -> None:
    site.database.execute(
        "INSERT INTO hosts (name, hostname, memory) VALUES ('host2', 'host2.invirt.test', 4096)"
    )
    start_consoles(site)
    site.boot("remus")
    wait(lambda: _names(site) == ["remus"], "remus on its host")
    site.database.execute("UPDATE machines SET name = 'pollux' WHERE name = 'remus'")
    wait(lambda: _names(site) == ["pollux"], "the new name")
    site.database.execute("UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE name = 'host2')")
    wait(lambda: _names(site) == [], "none on the host")


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
    start_consoles(site)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'invirt_host'"
    wait(lambda: bool(site.database.execute(cut, user="postgres")), "its connection")
    site.boot("romulus")
    wait(lambda: _names(site) == ["romulus"], "romulus")


def test_administrators_have_every_console_and_helpers_look_on(consoles: Site) -> None:
    enter = consoles.console.enter
    root = consoles.spawn([*enter, *consoles.console.words, "console", "remus"])
    root.expect("this is d_remus, booted")
    root.sendline("from above")
    root.expect("from above\r\nfrom above\r\n")
    spy = consoles.spawn([*enter, *consoles.console.words, "/usr/sbin/invirt-console-spy", "remus"])
    spy.expect("for help")
    root.sendline("seen by both")
    spy.expect("seen by both")
    spy.send("not from me\r\x05cf")
    root.sendline("nor heard")
    root.expect("nor heard")
    assert "not from me" not in root.before
    owner = consoles.terminal("alice", "remus")
    owner.expect("look on only")
    owner.send("\x05cf")
    owner.expect("bumped")
    forced = consoles.spawn([*enter, *consoles.console.words, "console", "-f", "remus"])
    forced.expect("for help")
    forced.sendline("taken back")
    forced.expect("taken back\r\ntaken back\r\n")
    nobody = consoles.console.run("console", "-l", "bob", "remus")
    assert "none of console.administrators" in nobody.stderr
