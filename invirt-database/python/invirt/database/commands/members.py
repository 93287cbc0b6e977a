"""invirt-database-members: keeps owners' members true to the sources that invirt.yaml names."""

from __future__ import annotations

from invirt import config
from invirt.base.cli import SITE, Argument, Command, Verb, Who
from invirt.base.errors import CommandFailed, InvirtError
from invirt.database.members import asking, keeping


def _ask(kind: str, name: str) -> list[str]:
    """The members of a source, by its plug-in."""
    try:
        return asking.ask(kind, name)
    except InvirtError:
        raise
    except Exception as error:  # a plug-in may be anybody's
        raise CommandFailed(f"the plug-in {kind} failed: {type(error).__name__}: {error}") from error


def _lines(found: list[str]) -> str:
    return "".join(f"{principal}\n" for principal in found)


KIND = Argument("kind", "which plug-in", metavar="KIND", sample="unix", known=lambda: config.owners.sources)
NAME = Argument("name", "what it knows", metavar="NAME", sample="staff")
COMMAND = Command(
    name="invirt-database-members",
    section=8,
    summary="find the members of owners where invirt.yaml says that they are told",
    description=(
        "Asks the sources of owners again and again, at once when an owner gets one, and keeps in the\n"
        "database whom they tell. ask shows what a source tells, and changes nothing."
    ),
    files=SITE,
    example="invirt-database-members ask unix staff",
    verbs=(
        Verb("run", "ask for ever; systemd starts it", keeping.run, changes=True, shown=None),
        Verb(
            "ask", "show the members that a source tells now", _ask, (KIND, NAME), who=Who.HERE, shown=_lines
        ),
    ),
)
