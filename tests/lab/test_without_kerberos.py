"""Somebody whom no KDC knows: from sign-on at the page to a console, by a site's own password and a key."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from invirt_lab import cluster, pages
from invirt_lab.browser import Browser
from invirt_lab.site import ADMIN, CONSOLE, REALM, SERVERS
from tests.lab import terminals
from tests.lab.users import Lab, eventually

pytestmark = pytest.mark.nightly
WHO, SECRET, NAME = "zoe", "of-no-use", "zoes"
KEY = "/var/tmp/zoe"
OPEN = f"""
cp /etc/invirt/invirt.yaml /var/tmp/before.yaml
printf '%s:%s\\n' {WHO} "$(openssl passwd -apr1 {SECRET})" >/etc/invirt/web/passwords
chown root:www-data /etc/invirt/web/passwords
chmod 640 /etc/invirt/web/passwords
sed -i '/^web:/a\\  doors: [ticket, password, file]' /etc/invirt/invirt.yaml
invirt-config apply
"""
CLOSE = (
    "rm -f /etc/invirt/web/passwords; mv /var/tmp/before.yaml /etc/invirt/invirt.yaml; invirt-config apply"
)


@pytest.fixture(scope="module")
def zoe(lab: Lab) -> Iterator[Browser]:
    """In a browser, signed on at the door of the file of passwords."""
    lab.on("web", "sh", "-ec", OPEN)
    try:
        eventually(lambda: WHO in lab.on("web", "cat", "/run/invirt-web-names/names").stdout, "her name")
        browser = pages.browser()
        eventually(lambda: browser.sign_on(WHO, SECRET, door="file").status == 303, "the door")
        yield browser
    finally:
        lab.admin("administrator", "add", f"{ADMIN}@{REALM}")
        lab.remove(NAME, ADMIN)
        lab.admin("administrator", "remove", f"{ADMIN}@{REALM}")
        lab.on("web", "sh", "-c", CLOSE)
        lab.on("client", "sh", "-c", f"rm -f {KEY} {KEY}.pub")


def console() -> list[str]:
    """Her ssh, with her key and nothing else; the client's root has no ticket."""
    options = (
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "BatchMode=yes",
    )
    words = [word for one in (*options, "GSSAPIAuthentication=no") for word in ("-o", one)]
    argv = ["ssh", "-tt", "-i", KEY, *words, f"{NAME}@{SERVERS[CONSOLE].fqdn}"]
    return cluster.command_on("client", argv)


def test_from_sign_on_to_the_console(lab: Lab, zoe: Browser) -> None:
    """Her machine is made and started on pages; her key lets her in, and no more once it is taken back."""
    assert f'title="{WHO}@{REALM}"' in zoe.ask("/").text
    assert "It is done." in zoe.follow(zoe.make(NAME, memory="128M", disk="1G"))
    assert "It is done." in zoe.follow(zoe.press(NAME, "create"))
    lab.on("client", "sh", "-c", f"rm -f {KEY}*; ssh-keygen -q -t ed25519 -N '' -f {KEY}")
    public = lab.on("client", "cat", f"{KEY}.pub").stdout.strip()
    assert zoe.send("/keys", "/keys/add", key=public).status == 303
    with terminals.closing(terminals.open(console())) as terminal:
        terminals.prompt(terminal)
        terminal.send("echo $((40 + 2)) is it\r")
        terminal.expect_exact("42 is it")
        terminal.send(terminals.LEAVE)
    fingerprint = zoe.ask("/keys").text.partition("<code>")[2].partition("</code>")[0]
    assert zoe.send("/keys", "/keys/remove", fingerprint=fingerprint).status == 303
    with terminals.closing(terminals.open(console())) as terminal:
        terminal.expect_exact("Permission denied")


def test_her_programs_come_by_a_token(lab: Lab, zoe: Browser) -> None:
    made = zoe.send("/tokens", "/tokens/add", name="mine", days="1")
    token = made.text.partition("shown this once.</p><p><code>")[2].partition("</code>")[0]
    argv = ("curl", "-sS", "-H", f"Authorization: Bearer {token}", f"{pages.HOME}/api/1/machines")
    found = json.loads(lab.on("client", *argv).stdout)
    assert [one["name"] for one in found["items"]] == [NAME]


def test_others_are_strangers(lab: Lab, zoe: Browser) -> None:
    bob = pages.browser("bob")
    assert bob.ask(f"/machines/{NAME}").status == 404
    assert NAME not in lab.remctl("bob", "machine", "list")
    assert f"{WHO}@{REALM}" in lab.sql(f"SELECT DISTINCT principal FROM audit WHERE machine_name = '{NAME}'")
