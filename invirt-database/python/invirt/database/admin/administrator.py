"""The site's administrators, beside those of invirt.yaml."""

from __future__ import annotations

from dataclasses import replace

from invirt.base import validate
from invirt.base.cli import Argument, Group, Verb
from invirt.base.errors import BadInput
from invirt.database.admin.verbs import Row, listing
from invirt.database.models import Administrator
from invirt.database.session import session


def _add(principal: str) -> None:
    session.add(Administrator(principal=principal))


def _list() -> list[Row]:
    return [
        {"principal": one.principal, "by": "invirt.yaml" if one.in_yaml else "invirt-admin"}
        for one in Administrator.find()
    ]


def _remove(principal: str) -> None:
    found = Administrator.get(principal=principal)
    if found.in_yaml:
        raise BadInput(
            f"{principal} is named in invirt.yaml",
            hint="Take it out of site.administrators, then: invirt-config apply.",
        )
    session.delete(found)


PERSON = Argument("principal", "who", validate.person, "PRINCIPAL", sample="root/admin@EXAMPLE.ORG")
PRINCIPAL = replace(PERSON, type=validate.principal)
GROUP = Group(
    "administrator",
    "principals who may do to every machine what its owner may",
    (
        Verb("add", "name another one", _add, (PERSON,), changes=True),
        listing("show all, and who named them", _list),
        Verb("remove", "let one be an administrator no more", _remove, (PRINCIPAL,), changes=True),
    ),
)
