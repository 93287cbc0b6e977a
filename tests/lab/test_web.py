"""The web server: what people do on its pages, and what is left when it, or what is behind it, is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from invirt_lab import cluster, console, pages
from invirt_lab.browser import Browser
from invirt_lab.site import REALM
from tests.lab.faults import killed, soon
from tests.lab.users import REMOTE, Lab, eventually
from tests.web.server.consoles import watching
from tests.web.server.screens import Screen

NAME = "pagely"


@pytest.fixture(scope="module")
def alice(lab: Lab) -> Browser:
    """In a browser outside of the lab, by password."""
    return pages.browser("alice")


@pytest.fixture(scope="module")
def guest(lab: Lab, alice: Browser) -> Iterator[str]:
    """Her machine, made and started on pages."""
    try:
        assert "It is done." in alice.follow(alice.make(NAME, memory="128M", disk="1G"))
        assert "It is done." in alice.follow(alice.press(NAME, "create"))
        yield NAME
    finally:
        lab.remove(NAME, "alice")


def test_a_ticket_signs_on(lab: Lab) -> None:
    """By curl, from a user's computer; without one nobody is."""
    asked = ("curl", "-sSL", "--negotiate", "-u", ":", "-b", "", f"{pages.HOME}/sign-on/ticket")
    assert f'title="bob@{REALM}"' in cluster.as_user("bob", *asked).stdout
    assert "not signed on" in lab.on("client", "env", "KRB5CCNAME=MEMORY:", *asked).stdout


def test_whom_the_file_of_passwords_names_is_known(lab: Lab) -> None:
    """By systemd's own watch: sessions of names that have gone end."""
    file, names = "/etc/invirt/web/passwords", "/run/invirt-web-names/names"
    for change, found in ((f"echo eva:x >{file}", "eva\n"), (f"rm {file}", "")):
        lab.on("web", "sh", "-c", change)
        eventually(lambda want=found: lab.on("web", "cat", names).stdout == want, names)


def test_a_machine_made_on_pages_runs(lab: Lab, alice: Browser, guest: str) -> None:
    console.wait_for_prompt(guest)
    eventually(lambda: 'class="state running"' in alice.ask(f"/machines/{guest}").text, "its host's word")
    assert guest in lab.remctl("alice", "machine", "list")
    said = lab.sql(f"SELECT DISTINCT principal, via FROM audit WHERE machine_name = '{guest}'")
    assert f"alice@{REALM}|host/web.invirt.test@{REALM}" in said.split()


def test_its_console_is_typed_at(alice: Browser, guest: str) -> None:
    """By the page's stream, which has a certificate of its own for the host's consoles."""

    async def typed() -> None:
        async with watching(alice, guest) as viewer:
            await viewer.until("for help")
            await viewer.type("echo $((40 + 2)) is it\r")
            await viewer.until("42 is it")

    asyncio.run(asyncio.wait_for(typed(), 60))


def test_the_screen_of_a_pc_is_seen(lab: Lab, alice: Browser) -> None:
    """Of one that boots from its disk, on which nothing is: as systemd runs it, and the door."""
    name = "pictor"
    lab.sql("INSERT INTO types (name, virt) VALUES ('pc', 'hvm') ON CONFLICT DO NOTHING")

    async def seen() -> None:
        async with watching(alice, name, kind="screens") as viewer:
            viewer.shows = False
            await Screen(viewer).lit(500)

    try:
        assert "It is done." in alice.follow(alice.make(name, type="pc", memory="128M", disk="1G"))
        assert "It is done." in alice.follow(alice.press(name, "create"))
        asyncio.run(asyncio.wait_for(seen(), 120))
    finally:
        lab.remove(name, "alice")


def test_another_sees_and_does_nothing(alice: Browser, guest: str) -> None:
    bob = pages.browser("bob")
    assert guest in alice.ask("/").text
    assert guest not in bob.ask("/").text
    assert bob.ask(f"/machines/{guest}").status == 404
    assert bob.send("/help", f"/machines/{guest}/destroy").status == 404
    assert bob.ask("/site").status == 404


def test_without_the_web_server_all_else_goes_on(lab: Lab, alice: Browser, guest: str) -> None:
    """A power cut; sessions outlive it, and nobody has to start anything."""
    with killed("web"):
        with pytest.raises(OSError):
            alice.ask("/")
        assert "running" in lab.remctl("alice", "control", guest, "status")
        assert guest in lab.remctl("alice", "machine", "list")
    soon(lambda: alice.answers() and guest in alice.ask("/").text, "pages are back")


def test_without_the_remote_server_pages_show_what_is_known(lab: Lab, alice: Browser, guest: str) -> None:
    lab.on("remote", "systemctl", "stop", "invirt-remctld.socket")
    try:
        assert guest in alice.ask("/").text
        answer = alice.send("/", f"/machines/{guest}/reboot")
        assert answer.status == 503 and f"nothing was done: {REMOTE}" in answer.text
    finally:
        lab.on("remote", "systemctl", "start", "invirt-remctld.socket")
    assert "It is done." in alice.follow(alice.press(guest, "reboot"))


def test_without_the_database_pages_say_so(lab: Lab, alice: Browser, guest: str) -> None:
    lab.on("db", "systemctl", "stop", "postgresql", "postgresql@*.service")
    try:
        page = alice.ask("/")
        assert page.status == 503 and "the database" in page.text and page.headers["Refresh"]
        assert alice.ask("/sign-on").status == 200
    finally:
        lab.on("db", "systemctl", "start", "postgresql")
    soon(lambda: guest in alice.ask("/").text, "pages are back")
