"""Groups of verbs of `invirt`: quotas, keys, tokens, looks, groups of people."""

from __future__ import annotations

from pathlib import Path

from invirt.base import validate
from invirt.base.cli import Argument, Flag, Group, Option
from invirt.base.errors import BadInput
from invirt.client.rows import MEMORY, NAME, PRINCIPAL, verb
from invirt.client.words import Words, group, look, quota, token


def add_key(file: Path | None) -> Words:
    """The words that hand in a public key: of file, or the user's own."""
    own = [Path.home() / ".ssh" / f"id_{kind}.pub" for kind in ("ed25519", "ecdsa", "rsa")]
    path = file or next((path for path in own if path.exists()), own[0])
    try:
        return ("machine", "key", "add", path.read_text().strip())
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or "it is no text"
        raise BadInput(f"{path} can't be read: {said}", hint="ssh-keygen -t ed25519 makes a key.") from error


FILE = Argument("file", "a .pub file; by default your own", Path, "FILE", required=False)
FINGERPRINT = Argument("fingerprint", "as invirt key list has it", metavar="FINGERPRINT", sample="SHA256:…")
KEY = Group(
    "key",
    "your public keys, which do for a ticket at consoles",
    (
        verb("add", "let a key do for your ticket at consoles", FILE, run=add_key),
        verb("list", "show your keys", run=lambda: ("machine", "key", "list")),
        verb(
            "remove",
            "take a key back; its open sessions end",
            FINGERPRINT,
            run=lambda fingerprint: ("machine", "key", "remove", fingerprint),
        ),
    ),
)
TOKEN_NAME = Argument("name", "what you call it", validate.token_name, "NAME", sample="backup")
TOKEN = Group(
    "token",
    "your tokens, by which programs do for you at the web server's API",
    (
        verb(
            "add",
            "make a token, which is shown this once",
            TOKEN_NAME,
            Option(
                "machine", "a machine that it is for; without, for all that are yours", validate.machine_name,
                "MACHINE", several=True, sample="remus",
            ),
            Flag("write", "it may change things, too"),
            Option("days", "when it ends, at most 366 days on; without, 30", metavar="DAYS"),
            run=token("add"),
            example="backup --machine remus --days 90",
        ),
        verb("list", "show your tokens", run=token("list")),
        verb("remove", "end a token at once", TOKEN_NAME, run=token("remove")),
    ),
)  # fmt: skip
LOOK = Group(
    "look",
    "links by which others see a machine's console for an hour, and type nothing",
    (
        verb("share", "make a link to look on at a machine's console", NAME, run=look("share")),
        verb("list", "show who shares a machine's console, and until when", NAME, run=look("list")),
        verb(
            "end",
            "end a link to a machine's console, or all",
            NAME,
            Option("number", "that one alone, as the list has it", metavar="NUMBER"),
            run=look("end"),
        ),
    ),
)
GROUP_NAME = Argument("group", "the group", validate.group_name, "GROUP", sample="robotics")
GROUP = Group(
    "group",
    "groups that you and others own machines as",
    (
        verb("create", "make a group, which you keep", GROUP_NAME, run=group("create", "group")),
        verb("add", "let somebody use all machines of a group", GROUP_NAME, PRINCIPAL,
              Flag("keeper", "they may say who is in it, too"), run=group("add", "group", "principal"),
              example="robotics bob"),
        verb("remove", "let somebody use the machines of a group no more; you may leave any", GROUP_NAME,
              PRINCIPAL, run=group("remove", "group", "principal"), example="robotics bob"),
        verb("list", "show the groups that you are in", run=group("list")),
        verb("delete", "end a group that has no machine", GROUP_NAME, run=group("delete", "group")),
        verb("refresh", "ask now who the members of an owner are, if they are told elsewhere",
              Argument("owner", "whose members", validate.owner_name, "OWNER", sample="unix:staff"),
              run=group("refresh", "owner")),
    ),
)  # fmt: skip
QUOTA = Group(
    "quota",
    "what your owners use and may use",
    (
        verb("show", "what an owner uses and may use",
              Argument("owner", "all of yours if not named", metavar="OWNER", required=False), run=quota()),
        verb(
            "ask",
            "ask the site's administrators for a larger quota",
            MEMORY,
            Option("disk", "of all machines together", metavar="SIZE", unit="GiB"),
            Option("machines", "how many", metavar="N"),
            Option("running", "how many at once", metavar="N"),
            Option("cpus", "of all machines together", metavar="N"),
            Option("addresses", "IPv4, of all machines together", metavar="N"),
            Option("owner", "whose; by default your own", metavar="OWNER"),
            Option("why", "a line about it", metavar="TEXT"),
            run=quota("ask"),
            example='--memory 16G --why "a course"',
        ),
        verb("asked", "what larger quotas were asked for, and what was said to it", run=quota("asked")),
    ),
    bare="show",
)  # fmt: skip
