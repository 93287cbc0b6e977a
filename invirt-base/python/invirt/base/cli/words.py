"""The rows as click has them, and what is said of words that it doesn't understand.

click reads no environment here, and its own words for mistakes are not shown.
A row's click command is made when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invirt.base.cli.rows import JSON, Argument, Call, Flag, Group, Option, Place, Verb
from invirt.base.errors import BadInput
from invirt.base.log import quoted

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_HELP = ["-h", "--help"]
_SETTINGS = {"help_option_names": _HELP}


@cache
def _help_option() -> click.Option | None:
    """One for all rows: click asks gettext for its text each time, which looks for files of the locale's."""
    plain = click.Command("help")
    return plain.get_help_option(click.Context(plain, help_option_names=_HELP))


class _Type(click.ParamType):
    """A value that the row's whitelist accepts."""

    def __init__(self, argument: Argument, others: Iterable[str] = ()) -> None:
        self.argument, self.name = argument, argument.shown
        self.others = frozenset(others)  # no value: an option that lacks its own takes the next one

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value; raises BadInput."""
        if not isinstance(value, str):
            return value
        if value in self.others and isinstance(self.argument, Option):
            raise BadInput(f"{self.argument.names[-1]} needs a value", f"{value} is an option.")
        known = {str(choice): choice for choice in self.argument.choices}
        if known and value not in known:
            what = self.argument.names[-1] if isinstance(self.argument, Option) else self.argument.shown
            raise BadInput(f"{what} can't be {value!a}{near(value, known)}", f"There is: {', '.join(known)}.")
        return known[value] if known else self.argument.type(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The choices, what is known, or files."""
        from click.shell_completion import CompletionItem

        if self.argument.type is Path:
            return [CompletionItem(incomplete, type="file")]
        values = map(str, self.argument.choices or self.argument.known())
        return [CompletionItem(one) for one in values if one.startswith(incomplete)]


class _Row(click.Command):
    """What verbs and groups share."""

    place: Place

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Says what get_help() does."""
        return _help_option()

    def get_help(self, ctx: click.Context) -> str:
        """Made from the row."""
        from invirt.base.cli import help

        return help.text(self.place).rstrip("\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises BadInput for what click finds to be wrong."""
        try:
            return click.Command.parse_args(self, ctx, args)
        except click.UsageError as error:
            raise self.refusal(error) from error

    def refusal(self, error: click.UsageError) -> BadInput:
        """What click has found to be wrong, in our words."""
        options = {name: option for option in self.place.row.options for name in option.names}
        if isinstance(error, click.NoSuchOption):
            said = f"unknown: {quoted(error.option_name)}{near(error.option_name, options)}"
        elif isinstance(error, click.BadOptionUsage):
            is_flag = isinstance(options.get(error.option_name), Flag)
            said = f"{error.option_name} {'takes no' if is_flag else 'needs a'} value"
        elif isinstance(error, click.MissingParameter) and error.param:
            param = error.param
            said = f"{param.opts[-1] if isinstance(param, click.Option) else param.type.name} is missing"
        else:
            said = error.format_message()
        return BadInput(said, self.usage)

    @property
    def usage(self) -> str:
        """For a hint."""
        return f"usage: {self.place.usage}"


class _Verb(_Row):
    """A verb."""

    def __init__(self, place: Place, verb: Verb) -> None:
        self.place, self.verb = place, verb
        rest = bool(verb.places) and verb.places[-1].type is rest_of_line
        settings = {**_SETTINGS, "allow_extra_args": True, "allow_interspersed_args": not rest}
        super().__init__(
            place.words[-1],
            context_settings=settings,
            params=[_parameter(argument, verb.options) for argument in (*verb.places, *verb.options)],
            help=verb.summary,
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises BadInput for words that are too many, and flags that exclude each other."""
        left = super().parse_args(ctx, args)
        if left and not ctx.resilient_parsing:
            raise BadInput(f"unknown: {quoted(left[0])}", self.usage)
        names = {option.name: option.names[-1] for option in self.verb.options}
        given = [names[name] for name in self.verb.apart if ctx.params.get(name)]
        if len(given) > 1:
            raise BadInput(f"{' and '.join(given)} don't go together", self.usage)
        return left


class _Group(_Row, click.Group):
    """A group of rows, each made when it is asked for."""

    def __init__(self, place: Place, group: Group) -> None:
        self.place, self.known, self.bare = place, group.known(), group.bare
        super().__init__(
            place.words[-1],
            context_settings={**_SETTINGS, "ignore_unknown_options": bool(group.bare)},
            params=[_parameter(argument, ()) for argument in group.places],
            no_args_is_help=False,
            help=group.summary,
        )

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the rows."""
        return list(self.known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The row of that name."""
        return next((made(place) for place in self.place.below() if place.row.name == cmd_name), None)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises BadInput, with what was perhaps meant."""
        known = self.known
        if self.bare and not (args and args[0] in known):
            args = [self.bare, *args]
        if args[0] not in known and not ctx.resilient_parsing:
            said = "unknown:" if args[0].startswith("-") else "there is no"
            raise BadInput(f"{said} {args[0]!a}{near(args[0], known)}", hint=f"There is: {', '.join(known)}.")
        return super().resolve_command(ctx, args)


def rest_of_line(text: str) -> str:
    """The type of an argument that is several words, all that follow, whatever they look like."""
    return text


def _parameter(argument: Argument, options: Iterable[Option]) -> click.Parameter:
    if isinstance(argument, Flag):
        return click.Option([argument.name, *argument.names], is_flag=True, hidden=argument.hidden)
    kind = _Type(argument, (name for option in options for name in option.names))
    if isinstance(argument, Option):
        return click.Option(
            [argument.name, *argument.names],
            type=kind,
            required=argument.required,
            multiple=argument.several,
            hidden=argument.hidden,
        )
    return click.Argument(
        [argument.name], type=kind, required=argument.required, nargs=-1 if argument.several else 1
    )


def made(place: Place) -> click.Command:
    """The row at that place, as click has it."""
    row = place.row
    return _Verb(place, row) if isinstance(row, Verb) else _Group(place, row)


def near(word: str, known: Iterable[str]) -> str:
    """A question after the complaint, if word is nearly one of those known."""
    import difflib  # only for those who err

    close = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {close[0]}?" if close else ""


def understood(place: Place, argv: Sequence[str]) -> Call | None:
    """What argv asks of the program at place; None: for help, which is printed.  Raises BadInput."""
    try:
        command = made(place)
        context = command.make_context(place.path, list(argv))
        return _call(command, context)
    except click.exceptions.Exit:
        return None


def _call(command: click.Command, context: click.Context) -> Call:
    """Go on to the verb, and gather the values on the way."""
    values, path = dict(context.params), []
    while isinstance(command, _Group):
        if not context.args and not command.bare:
            raise BadInput("VERB is missing", hint=f"There is: {', '.join(command.known)}.")
        name, below, rest = command.resolve_command(context, context.args)
        assert below and name
        path.append(name)
        command, context = below, below.make_context(name, rest, parent=context)
        values |= context.params
    assert isinstance(command, _Verb)
    as_json = bool(values.pop("json", False))
    taken = [argument for argument in command.verb.arguments if argument is not JSON]
    own = {argument.name: _given(argument, values.pop(argument.name)) for argument in taken}
    return Call(command.verb, tuple(path), values | own, as_json)


def _given(argument: Argument, value: Any) -> Any:
    """The value, or the default, which is no text that a type would have to read."""
    return argument.default if value is None else value
