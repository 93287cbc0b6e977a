"""The rows of the one table of verbs: what each is called, takes, does and shows.

They are data: click reads them (words.py), and so do --help, manual pages,
completion, and remctl's help and summary.  Each row is itself and equals no
other: to make what compares and shows them would take 2 ms of each program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from invirt.base.cli import show


class Who(Enum):
    """Who may do what a verb does; each door asks it anew."""

    ANYONE = "whoever is signed on"
    HERE = "anyone on that server"
    USER = "members of the machine's owner, whom they have allowed, and the site's administrators"
    OWNER = "members of the machine's owner, and the site's administrators"
    SITE = "administrators of the site"
    WEB = "the web server"
    REMOTE = "the remote server"
    ROOT = "root, on that server"


@dataclass(frozen=True, eq=False, repr=False)
class Argument:
    """A value that is given by its place.

    name: by which the verb's function gets it.  type: the whitelist, which
    returns the value or raises BadInput.  unit: that of a number without one.
    several: a tuple of one or more values, or of none if not required.  sample:
    a value for the example.  known: the values that there are, for completion.
    """

    name: str
    help: str = ""
    type: Callable[[str], Any] = str
    metavar: str = ""
    choices: tuple[Any, ...] = ()
    unit: str = ""
    sample: str = ""
    known: Callable[[], Iterable[str]] = tuple
    required: bool = True
    several: bool = False
    default: Any = None

    @property
    def shown(self) -> str:
        """The value as help names it."""
        return self.metavar or "|".join(map(str, self.choices)) or self.name.upper()

    @property
    def told(self) -> str:
        """The help, with the unit."""
        unit = f"in {self.unit} unless it has a unit: 512M, 2G, 1TiB" if self.unit else ""
        return "; ".join(part for part in (self.help, unit) if part)

    @property
    def example(self) -> tuple[str, ...]:
        """Its words in an example."""
        return (self.sample or str(self.choices[0] if self.choices else self.shown),)


@dataclass(frozen=True, eq=False, repr=False)
class Option(Argument):
    """A value that is given by its name, --NAME unless spelled otherwise (several spellings: with spaces)."""

    required: bool = False
    spelled: str = ""
    hidden: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """How it is written."""
        return tuple(self.spelled.split()) or (f"--{self.name.replace('_', '-')}",)

    @property
    def example(self) -> tuple[str, ...]:
        """Its words in an example."""
        return (self.names[-1], *super().example)


@dataclass(frozen=True, eq=False, repr=False)
class Flag(Option):
    """An option without a value: it is given, or not."""

    default: Any = False

    @property
    def example(self) -> tuple[str, ...]:
        """Its word in an example."""
        return (self.names[-1],)


@dataclass(frozen=True, eq=False, repr=False)
class Verb:
    """One thing that can be done.

    run gets the arguments by their names and returns what it found: rows, a
    record, words, nothing, or a show.Found.  shown makes of that what people
    read; a verb without it never ends or talks to a terminal, and has no
    --json.  changes: something is different then.  apart: flags of which
    one at most is given.  example: what follows the verb, else made from the
    samples.
    """

    name: str
    summary: str
    run: Callable[..., Any]
    arguments: tuple[Argument, ...] = ()
    who: Who = Who.ROOT
    changes: bool = False
    shown: show.Shown | None = show.words
    apart: tuple[str, ...] = ()
    example: str | None = None

    @property
    def options(self) -> tuple[Option, ...]:
        """What is given by name."""
        own = tuple(argument for argument in self.arguments if isinstance(argument, Option))
        return (*own, JSON) if self.shown else own

    @property
    def places(self) -> tuple[Argument, ...]:
        """What is given by its place."""
        return tuple(argument for argument in self.arguments if not isinstance(argument, Option))


JSON = Flag("json", "print one JSON document, errors too")


@dataclass(frozen=True, eq=False, repr=False)
class Group:
    """A kind of thing and what can be done with it; arguments come before the verb.

    bare: the verb that is meant where the words that follow begin with none.
    """

    name: str
    summary: str
    verbs: tuple[Verb | Group, ...]
    arguments: tuple[Argument, ...] = ()
    bare: str = ""

    @property
    def options(self) -> tuple[Option, ...]:
        """A group has none: all is said of its verbs."""
        return ()

    @property
    def places(self) -> tuple[Argument, ...]:
        """What is given by its place."""
        return self.arguments

    def known(self) -> dict[str, Verb | Group]:
        """What there is, by name."""
        return {row.name: row for row in self.verbs}


Row = Verb | Group


@dataclass(frozen=True, eq=False, repr=False)
class Call:
    """A command line, understood: a verb, the words that led to it, and its values by name.

    caller: who calls by remctl.
    """

    verb: Verb
    words: tuple[str, ...]
    values: Mapping[str, Any]
    as_json: bool = False
    caller: str = ""

    def run(self, *first: Any) -> Any:
        """Do it; returns what was found."""
        return self.verb.run(*first, **self.values)


SITE: Mapping[str, str] = {"/etc/invirt/invirt.yaml": "the site's configuration, as it was applied last"}


@dataclass(frozen=True, eq=False, repr=False)
class Command:
    """One program: a verb of its own, or several.

    name: as installed, e.g. "invirt-getconf".  section: of its manual page, 1
    (anyone) or 8 (administrators).  do: what surrounds each verb, such as a
    transaction.  remctl: the command by which remctld knows it, if it does.
    bare: the verb that is meant where none is named.  codes: what its exit codes
    mean, where that isn't what errors' say.  files: what it reads or writes,
    and what that is.
    """

    name: str
    section: int
    summary: str
    description: str
    example: str
    run: Callable[..., Any] = field(default=lambda: None)
    verbs: tuple[Row, ...] = ()
    arguments: tuple[Argument, ...] = ()
    shown: show.Shown | None = show.words
    apart: tuple[str, ...] = ()
    who: Who = Who.ROOT
    do: Callable[[Call], Any] = Call.run
    remctl: str = ""
    bare: str = ""
    codes: Mapping[int, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=lambda: SITE)

    @property
    def row(self) -> Row:
        """The whole program as a row."""
        if self.verbs:
            return Group(self.name, self.summary, self.verbs, self.arguments)
        how = {"who": self.who, "shown": self.shown, "apart": self.apart}
        return Verb(self.name, self.summary, self.run, self.arguments, **how)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False, repr=False)
class Place:
    """Where a row is in its program.

    words: what leads to it; sample: the same in an example.  description and
    lines, the example: of the program as a whole.
    """

    row: Row
    words: tuple[str, ...]
    sample: tuple[str, ...]
    description: str = ""
    lines: str = ""

    def below(self) -> Iterator[Place]:
        """The rows of a group."""
        if isinstance(self.row, Group):
            shown = tuple(argument.shown for argument in self.row.arguments)
            samples = tuple(word for argument in self.row.arguments for word in argument.example)
            for row in self.row.verbs:
                yield Place(row, (*self.words, *shown, row.name), (*self.sample, *samples, row.name))

    def all(self) -> Iterator[Place]:
        """This, and all below it."""
        yield self
        for place in self.below():
            yield from place.all()

    @property
    def verb(self) -> Verb | None:
        """The row, if it is something to do."""
        return self.row if isinstance(self.row, Verb) else None

    @property
    def path(self) -> str:
        """As it is typed."""
        return " ".join(self.words)

    @property
    def usage(self) -> str:
        """What follows what."""
        options = [_bracketed(option) for option in self.row.options if not option.hidden]
        places = [_bracketed(argument) for argument in self.row.places]
        verb = []
        if isinstance(self.row, Group):
            verb = ["[VERB] …" if self.row.bare else "VERB …"]
        return " ".join([*self.words, *options, *places, *verb])

    @property
    def example(self) -> str:
        """A line that does it, or lines that show what can be done."""
        if self.lines:
            return self.lines
        if isinstance(self.row, Group):
            return next(self.below()).example
        if self.row.example is not None:
            return " ".join([*self.sample, *self.row.example.split()])
        wanted = [argument for argument in self.row.arguments if argument.required]
        return " ".join([*self.sample, *(word for argument in wanted for word in argument.example)])


def _bracketed(argument: Argument) -> str:
    value = [] if isinstance(argument, Flag) else [argument.shown]
    name = [argument.names[-1]] if isinstance(argument, Option) else []
    shown = " ".join([*name, *value]) + (" …" if argument.several else "")
    return shown if argument.required else f"[{shown}]"


def whole(command: Command, prog: str = "") -> Place:
    """The place of the program itself; prog is what the user typed, where that is not its name."""
    words = tuple((prog or command.name).split())
    return Place(command.row, words, words, command.description, command.example)
