"""The guide's own commands, as they stand in its text, run on fresh servers.

Before each block of "Setting up" there is a comment, which readers of the page don't see: it says
who runs it.  Names and addresses of the guide become those of the servers, nothing else is changed.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from invirt_lab import cluster, console, fresh
from invirt_lab.site import ARCHIVE, DOMAIN, GATEWAY, GUESTS, REALM, SERVERS

GUIDE = Path(__file__).parents[2] / "docs/administrators-guide.md"
BLOCK = re.compile(r"<!-- (?P<who>[^>]+) -->\n\n(?P<text>(?:    .*\n)+)")
EACH, ONE, FIRST, OTHER, USER = (
    *("each server", "the one server", "the first of several", "each other server"),
    "a user",
)
ANSWERS = f"{FIRST}: site.yaml"
SECONDS = 900.0  # for one block
PORT = 8000  # of the client, where the archive is served
# What an administrator says for good, since nobody sits there to press a key.
YES = "echo 'APT::Get::Assume-Yes \"true\";' >/etc/apt/apt.conf.d/90yes"


@dataclass(frozen=True)
class Block:
    """Lines that stand together, and who runs them."""

    who: str
    text: str


def setting_up() -> str:
    """What makes a site of fresh servers."""
    _, _, rest = GUIDE.read_text().partition("\n## Setting up\n")
    return rest.partition("\n### Once it is set up\n")[0]


def blocks() -> list[Block]:
    """Those of "Setting up", in their order."""
    found = (match.groupdict() for match in BLOCK.finditer(setting_up()))
    return [Block(one["who"], re.sub(r"^    ", "", one["text"], flags=re.M)) for one in found]


def block(who: str, names: Mapping[str, str]) -> str:
    """What that one runs, wherever the guide has it; names: what things of the guide are called here."""
    found = next(one["text"] for one in BLOCK.finditer(GUIDE.read_text()) if one["who"] == who)
    text = re.sub(r"^    ", "", found, flags=re.M)
    return re.sub("|".join(map(re.escape, names)), lambda one: names[one[0]], text)


def of(who: str, named: Mapping[str, str]) -> list[str]:
    """What that one runs; named: what the servers of the guide are called here, which others get, too."""
    names = {
        "https://archive.example.org/invirt": f"http://{SERVERS['client'].address}:{PORT}",
        "vm.example.org": DOMAIN,
        "EXAMPLE.ORG": REALM,
        "192.0.2.1": GATEWAY,
        "192.0.2.128": GUESTS[0],
        "192.0.2.250": GUESTS[1],
    }
    for name, server in named.items():
        names[name] = SERVERS[server].fqdn if "example" in name else SERVERS[server].address
    anyone = re.compile("|".join(rf"{re.escape(name)}(?![0-9])" for name in sorted(names, key=len)[::-1]))
    return [anyone.sub(lambda found: names[found[0]], block.text) for block in blocks() if block.who == who]


def serve_archive() -> None:
    """As a site's web server does."""
    serve = f"systemd-run --unit=archive python3 -m http.server --directory {ARCHIVE} {PORT}"
    cluster.on("client", "sh", "-c", f"systemctl is-active -q archive || {serve}")


def is_new(server: str) -> None:
    """The server knows Debian's archive, as its installer leaves it, and none of ours."""
    cluster.on(server, "sh", "-ec", f"sed -i '\\|{ARCHIVE}|d' /etc/apt/sources.list; {YES}; apt-get update")


def run(server: str, text: str) -> str:
    """Lines that root types there, each of which must succeed; what they said.  A reboot is waited for."""
    if text == "systemctl reboot\n":
        fresh.reboot(server)
        return ""
    return cluster.on(server, "sh", "-ec", f"cd /root\n{text}", timeout=SECONDS).stdout


def run_on_terminal(server: str, text: str, answers: Mapping[str, str]) -> str:
    """The same on a terminal, where each question is answered that begins so, and others by their guess."""
    done = f"done-{secrets.token_hex(4)}"
    script = f"cd /root; export DEBIAN_FRONTEND=noninteractive\n{text}\necho {done[:5]}''{done[5:]}"
    seen, answered, deadline = "", 0, time.monotonic() + SECONDS
    with console.on_terminal(cluster.command_on(server, ["sh", "-ec", script])) as terminal:
        while done not in seen:
            assert time.monotonic() < deadline, seen[-1000:]
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                seen += os.read(terminal, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(seen[-3000:]) from None
            asked = seen[answered:].rpartition("\n")[2]
            if asked.endswith(": ") and ("[" in asked or any(map(asked.startswith, answers))):
                said = next(
                    (answer for question, answer in answers.items() if asked.startswith(question)), ""
                )
                os.write(terminal, f"{said}\n".encode())
                answered = len(seen)
    return seen


def sit_down(user: str, text: str) -> tuple[str, list[str]]:
    """What a user types; returns what it said, and the line that leads to a console, which is left alone."""
    *lines, last = text.splitlines()
    password = cluster.on("client", "cat", f"/home/{user}/.password").stdout
    said = cluster.as_user(user, "sh", "-ec", "\n".join(lines), input=password, timeout=180).stdout
    return said, shlex.split(last)
