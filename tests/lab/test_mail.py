"""Quotas that are asked for and answered arrive as mail, whatever the mail server does meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from invirt_lab import roles
from invirt_lab.site import DOMAIN, REALM, SERVERS
from tests.lab.users import Lab, eventually

pytestmark = pytest.mark.nightly
SERVER = "mail"
UNIT = "taking-mail"
TAKE = (
    "python3",
    "-m",
    "aiosmtpd",
    "-n",
    "-l",
    "0.0.0.0:25",
    "-c",
    "aiosmtpd.handlers.Mailbox",
    "/var/taken",
)
CONFIGURED = f"mail: {{server: {SERVERS[SERVER].fqdn}}}\n"
BOB, CAROL = f"bob@{REALM}", f"carol@{REALM}"
SOON = 90  # seconds: it waits for an answer for 20, and then for 30


@pytest.fixture(scope="module", autouse=True)
def administrators(lab: Lab) -> Iterator[None]:
    """bob is one, and so is carol, who never looks; mail is taken for both."""
    roles.boot_later(SERVER)
    start(lab)
    if "\nmail:" not in lab.on("db", "cat", "/etc/invirt/invirt.yaml").stdout:
        roles.configure_further(CONFIGURED)
    for who in (BOB, CAROL):
        lab.admin("administrator", "add", who)
    try:
        yield
    finally:
        for who in (BOB, CAROL):
            lab.admin("administrator", "remove", who)


def start(lab: Lab) -> None:
    """It takes mail from now on."""
    lab.on(SERVER, "systemd-run", "--quiet", f"--unit={UNIT}", *TAKE)


def ask(lab: Lab, amount: str, why: str) -> int:
    """The number of what alice asks for; that takes no longer for what becomes of its mail."""
    began = time.monotonic()
    lab.remctl("alice", "machine", "quota", "ask", "--memory", amount, "--why", why)
    (found,) = json.loads(lab.remctl("bob", "admin", "quota", "requests", "--json"))
    assert time.monotonic() - began < 15
    return int(found["request_id"])


def taken(lab: Lab, word: str) -> list[str]:
    """To whom mails with a word went."""
    script = 'grep -rlw -e "$0" /var/taken/new | xargs -r grep -h "^To: " | sort'
    return lab.on(SERVER, "sh", "-c", script, word).stdout.split()[1::2]


def test_what_is_asked_and_granted_arrives(lab: Lab) -> None:
    number = ask(lab, "5G", "astronomy")
    to = [f"bob@{DOMAIN}", f"carol@{DOMAIN}"]
    eventually(lambda: taken(lab, "astronomy") == to, "administrators to be told")
    lab.remctl("bob", "admin", "quota", "grant", str(number))
    eventually(lambda: taken(lab, "5120") == [f"alice@{DOMAIN}", *to], "alice to be told")
    assert "5120" in lab.remctl("alice", "machine", "quota")


@pytest.mark.parametrize(("how", "amount", "why"), [("stop", "6G", "botany"), ("freeze", "7G", "zoology")])
def test_a_mail_server_that_is_down_loses_nothing(lab: Lab, how: str, amount: str, why: str) -> None:
    """Nor is it in the way of anything; what waits is still there after its service was started anew."""
    if how == "stop":
        lab.on(SERVER, "systemctl", "stop", UNIT)
    else:
        lab.on(SERVER, "systemctl", "kill", "--signal=STOP", UNIT)
    number = ask(lab, amount, why)
    lab.remctl("bob", "admin", "quota", "refuse", str(number), "--why", f"no-{why}")
    eventually(lambda: lab.sql("SELECT 1 FROM mails WHERE due_at > now() AND error <> ''"), "it to be tried")
    lab.on("db", "systemctl", "restart", "invirt-database-mail")
    assert taken(lab, f"no-{why}") == []
    if how == "stop":
        start(lab)
    else:
        lab.on(SERVER, "systemctl", "kill", "--signal=CONT", UNIT)
    eventually(lambda: taken(lab, f"no-{why}") == [f"alice@{DOMAIN}"], "the answer to arrive", SOON)
    eventually(lambda: not lab.sql("SELECT 1 FROM mails WHERE due_at IS NOT NULL"), "none to wait", SOON)
