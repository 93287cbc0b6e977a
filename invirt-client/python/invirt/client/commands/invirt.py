"""invirt: a user's machines, from their own computer."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from invirt.base import validate
from invirt.base.cli import JSON, Argument, Call, Command, Flag, Group, Option, Verb, Who, rest_of_line
from invirt.base.errors import BadConfig, BadInput, CommandFailed
from invirt.client import call, site, ways
from invirt.client.names import names
from invirt.client.words import CONTROL, Words, coloured, control, group, look, machine, token, translated

NAME = Argument("name", "the machine", validate.machine_name, "NAME", sample="remus", known=names)
OTHER = Argument(
    "other", "another machine of its owner", validate.machine_name, "OTHER", sample="romulus", known=names
)
PRINCIPAL = Argument("principal", "whom; bob is bob@ your realm", metavar="PRINCIPAL", sample="bob")
TRASHED = Argument("name", "as invirt trash has it", metavar="NAME|NUMBER", sample="remus")
MEMORY = Option("memory", "its memory", metavar="SIZE", unit="MiB")
CPUS = Option("cpus", "how many CPUs", metavar="N")
SIZES = Option(
    "disk", "a disk (hda) and its new size; it only grows", metavar="[DISK=]SIZE", several=True, unit="GiB"
)
OF_TRASH = Option("disk", "a single disk of that machine, hda to hdz", metavar="DISK")
YES = Flag("yes", "really")
WEB = Flag("web", "ask the web server, over HTTPS, not the remote server")
NO_WAIT = Flag("no_wait", "say the operation's number at once; invirt log --follow shows how it goes")


OPERATIONS = (
    *(
        "create",
        "start",
        "stop",
        "reboot",
        "kill",
        "install",
        "resize",
        "rename",
        "delete",
        "undelete",
        "purge",
    ),
)


def create(start: bool, install: str | None, console: bool, **values: Any) -> list[Words]:
    """Make it, and install a system or boot it if that is wanted; who wants its console wants it on."""
    if values["no_wait"] and (start or install or console):
        raise BadInput("it can't be booted before it is made", hint="Leave out --no-wait, or --start.")
    made = machine("create", "name")(**values)
    if install:
        return [made, control("install")(values["name"], autoinstall=install, yes=True)]
    return [made, control("start")(values["name"])] if start or console else [made]


def open_console(name: str) -> NoReturn:
    """Become ssh, at the machine's console."""
    where = site.find().console
    if not where:
        raise BadConfig("this site names no console server", hint="Ask its administrators.")
    if not shutil.which("ssh"):
        raise CommandFailed("ssh is not installed", hint="apt-get install openssh-client")
    options = ("GSSAPIAuthentication=yes", "GSSAPIDelegateCredentials=no")
    os.execvp("ssh", ["ssh", "-t", *(word for one in options for word in ("-o", one)), f"{name}@{where}"])


def add_key(file: Path | None) -> Words:
    """The words that hand in a public key: of file, or the user's own."""
    own = [Path.home() / ".ssh" / f"id_{kind}.pub" for kind in ("ed25519", "ecdsa", "rsa")]
    path = file or next((path for path in own if path.exists()), own[0])
    try:
        return ("machine", "key", "add", path.read_text().strip())
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or "it is no text"
        raise BadInput(f"{path} can't be read: {said}", hint="ssh-keygen -t ed25519 makes a key.") from error


def do(asked: Call) -> int:
    """Say it to the server, all of it until something fails; returns the exit code of what was last."""
    if asked.verb.run is open_console:
        asked.run()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # remctl waits where Python can't hear it
    first, *others = found if isinstance(found := asked.run(), list) else [found]
    if asked.as_json:
        plain, aside = call.standard()
        said = [((*first, "--json"), plain, aside), *((words, aside, aside) for words in others)]
    else:
        said = [(words, *call.standard(translated, coloured)) for words in (first, *others)]
    say = ways.find(asked.values["web"], follows=bool(asked.values.get("follow")))
    for words, out, err in said:
        if code := say(words, out, err):
            return code
    if asked.values.get("console"):
        open_console(asked.values["name"])
    return 0


def _whichever_way(meaning: Callable[..., Any]) -> Callable[..., Any]:
    """The same words, by remctl or by the web server."""
    return lambda web=False, **values: meaning(**values)


def _verb(
    name: str,
    summary: str,
    *arguments: Argument,
    run: Callable[..., Any] | None = None,
    example: str | None = None,
) -> Verb:
    places = [argument.name for argument in arguments if not isinstance(argument, Option)]
    meaning = run or (control(name) if name in CONTROL else machine(name, *places))
    options: tuple[Option, ...] = ()
    if run is not open_console:
        meaning, options = _whichever_way(meaning), (WEB, JSON)
    waits = (NO_WAIT,) if name in OPERATIONS else ()
    return Verb(
        name, summary, meaning, (*arguments, *waits, *options), Who.ANYONE, shown=None, example=example
    )


FILE = Argument("file", "a .pub file; by default your own", Path, "FILE", required=False)
FINGERPRINT = Argument("fingerprint", "as invirt key list has it", metavar="FINGERPRINT", sample="SHA256:…")
KEY = Group(
    "key",
    "your public keys, which do for a ticket at consoles",
    (
        _verb("add", "let a key do for your ticket at consoles", FILE, run=add_key),
        _verb("list", "show your keys", run=lambda: ("machine", "key", "list")),
        _verb(
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
        _verb(
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
        _verb("list", "show your tokens", run=token("list")),
        _verb("remove", "end a token at once", TOKEN_NAME, run=token("remove")),
    ),
)  # fmt: skip
LOOK = Group(
    "look",
    "links by which others see a machine's console for an hour, and type nothing",
    (
        _verb("share", "make a link to look on at a machine's console", NAME, run=look("share")),
        _verb("list", "show who shares a machine's console, and until when", NAME, run=look("list")),
        _verb(
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
        _verb("create", "make a group, which you keep", GROUP_NAME, run=group("create", "group")),
        _verb("add", "let somebody use all machines of a group", GROUP_NAME, PRINCIPAL,
              Flag("keeper", "they may say who is in it, too"), run=group("add", "group", "principal"),
              example="robotics bob"),
        _verb("remove", "let somebody use the machines of a group no more; you may leave any", GROUP_NAME,
              PRINCIPAL, run=group("remove", "group", "principal"), example="robotics bob"),
        _verb("list", "show the groups that you are in", run=group("list")),
        _verb("delete", "end a group that has no machine", GROUP_NAME, run=group("delete", "group")),
        _verb("refresh", "ask now who the members of an owner are, if they are told elsewhere",
              Argument("owner", "whose members", validate.owner_name, "OWNER", sample="unix:staff"),
              run=group("refresh", "owner")),
    ),
)  # fmt: skip
VERBS = (
    _verb(
        "create",
        "make a machine",
        NAME,
        MEMORY,
        Option("disk", "the size of its disk", metavar="SIZE", unit="GiB"),
        CPUS,
        Option("pool", "where its disk lies; by default the site's first pool", metavar="POOL"),
        Option("type", "the type of machine", metavar="TYPE"),
        Option("owner", "whose quota it counts to", metavar="OWNER"),
        Option("description", "a line about it", metavar="TEXT"),
        Option("key", "the same key again is the same request, not a second", metavar="KEY"),
        Flag("start", "and boot it"),
        Option("install", "and put a system on its disk, see invirt systems", metavar="SYSTEM"),
        Flag("console", "and boot it and sit at its console"),
        run=create,
        example="remus --memory 512M --disk 10G --start --console",
    ),
    _verb(
        "list",
        "your machines: state, host, memory, disks, address",
        Flag("ask", "ask the hosts now, instead of what they told last"),
    ),
    _verb("show", "all about one machine, and who may control it", NAME),
    _verb("start", "boot it", NAME),
    _verb("stop", "ask the guest to shut down, and wait until it has", NAME),
    _verb("reboot", "ask the guest to reboot; reset it if it doesn't", NAME),
    _verb("kill", "switch it off at once", NAME),
    _verb(
        "install",
        "put a system on its disk, and boot it; what is on the disk is lost",
        NAME,
        Option("autoinstall", "which: see invirt systems", metavar="SYSTEM", required=True),
        YES,
        example="remus --autoinstall debian-12 --yes",
    ),
    _verb("systems", "what can be installed on a machine"),
    _verb("status", "whether it runs, and where", NAME),
    _verb(
        "usage",
        "what a machine uses, and why packets of it were dropped",
        NAME,
        Option(
            "of", "the last hour, day, week, month or year", choices=("hour", "day", "week", "month", "year")
        ),
    ),
    _verb("console", "sit at its serial console; ^Ec. leaves", NAME, run=open_console),
    _verb(
        "resize",
        "change memory, CPUs or disks of a machine that is off",
        NAME,
        MEMORY,
        CPUS,
        SIZES,
        example="remus --memory 1G --disk hda=20G",
    ),
    _verb(
        "set",
        "say whether a machine is booted again after a crash, or offer it to another owner",
        NAME,
        Option("autostart", "a new machine: yes", choices=("yes", "no")),
        Option("owner", "whose it is to be, once they accept it; its own: offer it no more", metavar="OWNER"),
        example="remus --owner group:robotics",
    ),
    _verb(
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
        example='--memory 16G --why "a course"',
    ),
    _verb("asked", "what larger quotas were asked for, and what was said to it"),
    _verb("audit", "who asked what of a machine, when, from where, and how it ended", NAME),
    _verb("offers", "machines that their owners would hand over to you"),
    _verb("accept", "take over a machine that is offered to you", NAME),
    _verb("decline", "leave a machine that is offered to you where it is", NAME),
    _verb("explain", "why a machine is where it is, or would go, and what each other host lacks", NAME),
    _verb("apart", "keep two machines of yours on different hosts", NAME, OTHER),
    _verb("together", "let two machines of yours be on one host again", NAME, OTHER),
    _verb(
        "rename",
        "give a machine that is off another name",
        NAME,
        Argument("new", "its new name", validate.machine_name, "NEW", sample="romulus"),
    ),
    _verb("share", "let somebody control a machine", NAME, PRINCIPAL),
    _verb("unshare", "let somebody control a machine no more", NAME, PRINCIPAL),
    _verb("delete", "put a machine that is off into the trash", NAME, YES, example="remus --yes"),
    _verb("trash", "what you deleted, what space it takes, and when it ends"),
    _verb(
        "undelete",
        "give back a machine, or a disk, that you deleted",
        TRASHED,
        OF_TRASH,
        Option("name_", "another name for the machine", spelled="--name", metavar="NEW"),
    ),
    _verb("purge", "end what you deleted at once, for good", TRASHED, OF_TRASH, YES, example="remus --yes"),
    _verb(
        "quota",
        "what an owner uses and may use",
        Argument("owner", "all of yours if not named", metavar="OWNER", required=False),
    ),
    _verb(
        "log",
        "what is or was done to your machines, and why it failed",
        replace(NAME, help="of this machine alone", required=False),
        Option("follow", "one operation, step by step until it ends", metavar="NUMBER"),
    ),
    KEY,
    TOKEN,
    LOOK,
    GROUP,
    _verb(
        "admin",
        "what the site's administrators do: see invirt admin help",
        Argument("words", "a verb of the server's, and its words", rest_of_line, "WORD", several=True),
        run=lambda words: ("admin", *words),
        example="host list",
    ),
)
COMMAND = Command(
    name="invirt",
    section=1,
    summary="your virtual machines",
    description="Says what you want to the site's remote server, with your Kerberos ticket, and shows what "
    "it answers as it comes. The site is found in ~/.config/invirt.yaml, in /etc/invirt/client.yaml "
    "(remote, console, web, realm), or in the TXT record _invirt of the domain that this computer looks "
    "for names in. --web asks the site's web server instead, over HTTPS, which needs no remctl; so does "
    "INVIRT_WEB=https://web.example.org in the environment, which needs no file. It is shown the token in "
    "~/.config/invirt.token (mode 600; the page Tokens makes one), or else your ticket. Exit codes are the "
    "server's: 2 a word that is wrong, 3 no such machine, 4 not allowed, 5 busy, 6 no room, 7 a server "
    "doesn't answer.",
    files={
        "~/.config/invirt.yaml": "where the site is, and how to talk to it: the user's own",
        "/etc/invirt/client.yaml": "the same, for all users of this computer",
        "~/.config/invirt.token": "a token for --web, which nobody else may read",
    },
    example="invirt create remus --memory 512M --disk 10G --start --console",
    do=do,
    verbs=VERBS,
)
