"""invirt: a user's machines, from their own computer."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

from invirt.base import validate
from invirt.base.cli import Argument, Call, Command, Flag, Option, rest_of_line
from invirt.base.errors import BadInput
from invirt.client import call, ways
from invirt.client.groups import GROUP, KEY, LOOK, QUOTA, TOKEN
from invirt.client.rows import (
    CPUS,
    MEMORY,
    NAME,
    OF_TRASH,
    OTHER,
    PRINCIPAL,
    SIZES,
    TRASHED,
    YES,
    open_console,
    verb,
)
from invirt.client.words import (
    Words,
    coloured,
    control,
    machine,
    translated,
)


def create(start: bool, install: str | None, console: bool, **values: Any) -> list[Words]:
    """Make it, and install a system or boot it if that is wanted; who wants its console wants it on."""
    if values["no_wait"] and (start or install or console):
        raise BadInput("it can't be booted before it is made", hint="Leave out --no-wait, or --start.")
    made = machine("create", "name")(**values)
    if install:
        return [made, control("install")(values["name"], autoinstall=install, yes=True)]
    return [made, control("start")(values["name"])] if start or console else [made]


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


VERBS = (
    verb(
        "create",
        "make a machine",
        NAME,
        MEMORY,
        Option("disk", "the size of its disk", metavar="SIZE", unit="GiB"),
        CPUS,
        Option("pool", "where its disk lies; by default the first that suits its type", metavar="POOL"),
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
    verb(
        "list",
        "your machines: state, host, memory, disks, address",
        Flag("ask", "ask the hosts now, instead of what they told last"),
    ),
    verb("show", "all about one machine, and who may control it", NAME),
    verb("start", "boot it", NAME),
    verb("stop", "ask the guest to shut down, and wait until it has", NAME),
    verb("reboot", "ask the guest to reboot; reset it if it doesn't", NAME),
    verb("kill", "switch it off at once", NAME),
    verb(
        "install",
        "put a system on its disk, and boot it; what is on the disk is lost",
        NAME,
        Option("autoinstall", "which: see invirt systems", metavar="SYSTEM", required=True),
        YES,
        example="remus --autoinstall debian-12 --yes",
    ),
    verb("rescue", "boot a system for repairs, with its disks; invirt reboot ends that", NAME),
    verb("systems", "what can be installed on a machine"),
    verb("cdroms", "CDs that can be put into a machine's drive"),
    verb(
        "insert",
        "put a CD into a machine's drive, from its next boot on",
        NAME,
        Argument(
            "cdrom", "which: see invirt cdroms", validate.machine_name, "CDROM", sample="debian-netinst"
        ),
        Option("boot", "what is booted first (default: the CD)", choices=("cdrom", "disk")),
    ),
    verb("eject", "take the CD out of a machine's drive, also of one that runs", NAME),
    verb("status", "whether it runs, and where", NAME),
    verb(
        "usage",
        "what a machine uses, and why packets of it were dropped",
        NAME,
        Option(
            "of", "the last hour, day, week, month or year", choices=("hour", "day", "week", "month", "year")
        ),
    ),
    verb("console", "sit at its serial console; ^Ec. leaves", NAME, run=open_console),
    verb(
        "resize",
        "change memory, CPUs or disks of a machine that is off",
        NAME,
        MEMORY,
        CPUS,
        SIZES,
        example="remus --memory 1G --disk hda=20G",
    ),
    verb(
        "set",
        "say whether a machine is booted again after a crash, or offer it to another owner",
        NAME,
        Option("autostart", "a new machine: yes", choices=("yes", "no")),
        Option("owner", "whose it is to be, once they accept it; its own: offer it no more", metavar="OWNER"),
        example="remus --owner group:robotics",
    ),
    verb("audit", "who asked what of a machine, when, from where, and how it ended", NAME),
    verb("offers", "machines that their owners would hand over to you"),
    verb("accept", "take over a machine that is offered to you", NAME),
    verb("decline", "leave a machine that is offered to you where it is", NAME),
    verb("explain", "why a machine is where it is, or would go, and what each other host lacks", NAME),
    verb("limits", "what a machine may take of its host while it runs", NAME),
    verb(
        "limit",
        "hold a machine to so much of its host, while it runs, too; 0: as by default",
        NAME,
        Option("cap", "% of a CPU, of all its CPUs together", metavar="N"),
        Option("weight", "its share of CPUs that others want, too; 100 is usual", metavar="N"),
        Option("disk", "MiB a second, read and written, of all its disks", metavar="N"),
        Option("operations", "of all its disks, a second", metavar="N"),
        Option("download", "Mbit a second, of each network card", metavar="N"),
        Option("upload", "Mbit a second, of each network card", metavar="N"),
        example="remus --cap 50 --download 100",
    ),
    verb("apart", "keep two machines of yours on different hosts", NAME, OTHER),
    verb("together", "let two machines of yours be on one host again", NAME, OTHER),
    verb(
        "rename",
        "give a machine that is off another name",
        NAME,
        Argument("new", "its new name", validate.machine_name, "NEW", sample="romulus"),
    ),
    verb("share", "let somebody control a machine", NAME, PRINCIPAL),
    verb("unshare", "let somebody control a machine no more", NAME, PRINCIPAL),
    verb("delete", "put a machine that is off into the trash", NAME, YES, example="remus --yes"),
    verb("trash", "what you deleted, what space it takes, and when it ends"),
    verb(
        "undelete",
        "give back a machine, or a disk, that you deleted",
        TRASHED,
        OF_TRASH,
        Option("name_", "another name for the machine", spelled="--name", metavar="NEW"),
    ),
    verb("purge", "end what you deleted at once, for good", TRASHED, OF_TRASH, YES, example="remus --yes"),
    verb(
        "log",
        "what is or was done to your machines, and why it failed",
        replace(NAME, help="of this machine alone", required=False),
        Option("follow", "one operation, step by step until it ends", metavar="NUMBER"),
    ),
    QUOTA,
    KEY,
    TOKEN,
    LOOK,
    GROUP,
    verb(
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
