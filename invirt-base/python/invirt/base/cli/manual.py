"""Manual pages made from Commands: what --help says, in the form of man(7)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from invirt.base import errors
from invirt.base.cli.help import title
from invirt.base.cli.rows import Argument, Command, Option, Place, Verb, whole

OVERVIEW = """\
.SH NAME
invirt \\- virtual machines that the people of an institution run by themselves
.SH DESCRIPTION
Invirt is glue between programs that exist (Xen or QEMU, LVM, PostgreSQL, Kerberos, remctl,
systemd): all act on one database, at once, with no copies to keep in step. A site has servers,
each with one or more roles, and each role is a package. All have the same
.IR /etc/invirt/invirt.yaml ,
and each compiles its programs' configuration from that.
.PP
The remote server takes users' commands and has the hosts do them; hosts run the machines. The
console server makes each machine a login, the web server shows pages. DNS and DHCP servers answer
from the database.
.SH WHERE TO BEGIN
.TP
Who uses machines
.I /usr/share/doc/invirt-base/users\\-guide.md
.TP
Who makes and keeps a site
.I /usr/share/doc/invirt-base/administrators\\-guide.md
and
.IR security.md ;
.BR invirt\\-setup (8)
makes a server one of a site,
.BR invirt\\-check (8)
says whether all is well on it
.TP
How it works
.I /usr/share/doc/invirt-base/architecture.md
.SH PROGRAMS"""


def roff(text: str) -> str:
    """text as it is, for roff."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


def _title(argument: Argument) -> str:
    """How an option or argument is written: what is typed as it is in bold."""
    if not isinstance(argument, Option):
        return f"\\fI{roff(argument.shown)}\\fR"
    names = ", ".join(f"\\fB{roff(name)}\\fR" for name in argument.names)
    value = title(argument).removeprefix(", ".join(argument.names)).strip()
    return f"{names} \\fI{roff(value)}\\fR" if value else names


def _arguments(place: Place) -> Iterator[str]:
    """A paragraph for each argument and option."""
    for argument in (*place.row.places, *place.row.options):
        if not (isinstance(argument, Option) and argument.hidden):
            yield f".TP\n{_title(argument)}\n{roff(argument.told)}"


def _below(place: Place) -> Iterator[str]:
    """A sub-section for each verb, and for each group of verbs."""
    for one in itertools.islice(place.all(), 1, None):
        yield f".SS {roff(one.path)}\n.B {roff(one.usage)}\n.PP\n{roff(one.row.summary)}"
        yield from _arguments(one)
        if isinstance(one.row, Verb):
            yield f".PP\nWho may: {roff(one.row.who.value)}.\n.PP\n.EX\n{roff(one.example)}\n.EE"


def _exit_status(codes: Mapping[int, str]) -> Iterator[str]:
    """The program's own codes, or the family of errors, from its own docstrings."""
    if codes:
        yield from (f".TP\n{code}\n{roff(about)}" for code, about in codes.items())
        return
    yield ".TP\n0\nIt was done."
    family: list[type[errors.InvirtError]] = [errors.InvirtError, *errors.InvirtError.__subclasses__()]
    for error in family:
        yield f".TP\n{error.exit_code}\n{roff((error.__doc__ or '').splitlines()[0])}"


def _pairs(explained: Mapping[str, str]) -> Iterator[str]:
    yield from (f".TP\n.B {roff(name)}\n{roff(about)}" for name, about in explained.items())


def see_also(others: Iterable[tuple[str, int]]) -> str:
    """The section that names other pages, each with its own section, in order."""
    named = [f".BR {roff(name)} ({section})" for name, section in sorted(others, key=lambda one: one[::-1])]
    return ".SH SEE ALSO\n" + ",\n".join(named)


def page(command: Command, others: Iterable[tuple[str, int]] = ()) -> str:
    """The manual page of command.  others: pages that go with it, their names and sections."""
    place = whole(command)
    parts = [
        f'.TH {command.name.upper()} {command.section} "" Invirt',
        f".SH NAME\n{roff(command.name)} \\- {roff(command.summary.rstrip('.'))}",
        f".SH SYNOPSIS\n.B {roff(place.usage)}",
        f".SH DESCRIPTION\n{roff(command.description)}",
        ".SH OPTIONS\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nShow a short help.",
        *_arguments(place),
    ]
    below = list(_below(place))
    if below:
        parts += [".SH COMMANDS", *below]
    parts += [".SH EXIT STATUS", *_exit_status(command.codes)]
    parts += [".SH FILES", *_pairs(command.files)]
    parts += [f".SH EXAMPLES\n.EX\n{roff(command.example)}\n.EE", see_also(others)]
    return "\n".join(parts) + "\n"


def script_page(name: str, section: int, script: str, others: Iterable[tuple[str, int]] = ()) -> str:
    """The manual page of a small shell program that only other programs start: its first comment."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), script.splitlines()[1:])
    comment = " ".join(line.lstrip("# ") for line in lines)
    summary, _, _ = comment.partition(". ")
    return (
        f'.TH {name.upper()} {section} "" Invirt\n'
        f".SH NAME\n{roff(name)} \\- {roff(summary.rstrip('.'))}\n"
        f".SH SYNOPSIS\n.B {roff(name)}\n"
        f".SH DESCRIPTION\n{roff(comment)}\n"
        f"{see_also(others)}\n"
    )


def overview(programs: Mapping[str, Iterable[Command]]) -> str:
    """The manual page invirt(7): each package with its programs."""
    parts = ['.TH INVIRT 7 "" Invirt', OVERVIEW]
    for package, commands in programs.items():
        parts.append(f".SS {roff(package)}")
        for one in commands:
            parts.append(f".TP\n.BR {roff(one.name)} ({one.section})\n{roff(one.summary)}")
    others = [("invirt.yaml", 5), ("invirt-setup", 8), ("invirt-check", 8)]
    return "\n".join([*parts, see_also(others)]) + "\n"
