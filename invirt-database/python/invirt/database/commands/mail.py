"""invirt-database-mail: sends what people are told by mail."""

from __future__ import annotations

from invirt.base import validate
from invirt.base.cli import SITE, Argument, Command, Verb, Who
from invirt.base.errors import NotFound
from invirt.database.mail import addresses, sending

WHO = Argument("principal", "whose", validate.person, "PRINCIPAL", sample="alice@EXAMPLE.ORG")


def _address(principal: str) -> str:
    """Where a principal gets mail; raises NotFound."""
    found = addresses.address(principal)
    if found is None:
        raise NotFound(f"{principal} has no address", hint="See mail in invirt.yaml(5).")
    return found


COMMAND = Command(
    name=sending.PROGRAM,
    section=8,
    summary="tell people by mail of quotas and of machines that are handed over",
    description=(
        "Sends what the database has for them (the table mails) to the mail server that invirt.yaml names,\n"
        "and tries again as long as that doesn't take it. address shows where somebody gets mail."
    ),
    files=SITE,
    example="invirt-database-mail address alice@EXAMPLE.ORG",
    verbs=(
        Verb("run", "send for ever; systemd starts it", sending.run, changes=True, shown=None),
        Verb("address", "show where somebody gets mail", _address, (WHO,), who=Who.HERE),
    ),
)
