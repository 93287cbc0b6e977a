"""Owners, their quotas and their members."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from invirt import config
from invirt.base import validate
from invirt.base.cli import Argument, Group, Option, Verb
from invirt.base.errors import BadInput, NotFound
from invirt.database.admin.verbs import (
    Row,
    gibibytes,
    given,
    listing,
    memory,
    named,
    refuse_if_used,
    whole,
)
from invirt.database.models import Member, Owner
from invirt.database.session import session

Number = int | None
RESOURCES = ("memory", "disk", "machines", "running", "cpus", "addresses")
SITE = "@site"  # no owner's name, and no principal
BOUND = """
INSERT INTO quotas (owner_id, principal, resource, amount) VALUES (:owner, :principal, :resource, :amount)
ON CONFLICT ON CONSTRAINT quotas_key DO UPDATE SET amount = excluded.amount
"""
USED = "SELECT * FROM owner_quotas WHERE owner_id = :owner"

GIVE = """
INSERT INTO sources (owner_id, kind, name) VALUES (:owner, :kind, :name)
ON CONFLICT (owner_id) DO UPDATE SET kind = excluded.kind, name = excluded.name
"""
TOLD = r"""
SELECT kind || CAST('\:' AS text) || name AS source, CASE WHEN answered_at IS NULL THEN 'never' ELSE
    round(extract(epoch FROM now() - answered_at)) || ' s ago' END
    || CASE WHEN error <> '' THEN '; ' || error ELSE '' END AS told
FROM sources WHERE owner_id = :owner
"""


def _add(name: str, member: tuple[str, ...], source: str | None = None, **amounts: Number) -> None:
    if name.startswith("group:"):
        raise BadInput(
            f"{name} would be a group of users' own", hint="They make them: machine group create NAME."
        )
    usual = config.quota
    owner = Owner(name=name, memory=usual.memory, disk=usual.disk, quota_machines=usual.machines)
    owner.members = [Member(principal=principal) for principal in member]
    session.add(owner)
    session.flush()
    others = {name: getattr(usual, name) or None for name in ("running", "cpus", "addresses")}
    for resource, amount in (
        others | {key: value for key, value in amounts.items() if value is not None}
    ).items():
        if amount is not None:
            _bound({"owner": owner.owner_id, "principal": None}, resource, amount)
    if source or ":" in name:
        _set_source(owner, source or name)


def _whose(name: str) -> dict[str, object]:
    """Of whom a quota is: an owner, the owners of one user, the site."""
    if name == SITE:
        return {"owner": None, "principal": None}
    if "@" in name:
        return {"owner": None, "principal": name}
    return {"owner": Owner.get(name=name).owner_id, "principal": None}


def _bound(whose: dict[str, object], resource: str, amount: int) -> None:
    session.execute(text(BOUND), {**whose, "resource": resource, "amount": amount})


def _asked(source: str) -> tuple[str, str]:
    """A source's kind and name; raises BadInput if nobody asks that kind."""
    kind, name = validate.source(source)
    if kind not in config.owners.sources:
        known = ", ".join(config.owners.sources) or "none"
        raise BadInput(f"nobody asks {kind} for members", hint=f"owners.sources in invirt.yaml: {known}.")
    return kind, name


def _set(name: str, source: str | None = None, **amounts: Number) -> None:
    wanted = given(
        {**amounts, "source": source}, "Give --memory, --disk, --machines or another, or --source."
    )
    whose = _whose(name)
    if source is not None and whose["owner"] is None:
        raise BadInput(f"{name} is no owner, so it has no members")
    for key, value in wanted.items():
        if key == "source":
            _set_source(Owner.get(name=name), value)
        else:
            _bound(whose, key, value)


def _set_source(owner: Owner, source: str) -> None:
    """Members that another source has told end with this transaction."""
    session.flush()
    if source == NONE:
        session.execute(text("DELETE FROM sources WHERE owner_id = :owner"), {"owner": owner.owner_id})
        return
    kind, name = _asked(source)
    session.execute(text(GIVE), {"owner": owner.owner_id, "kind": kind, "name": name})


def _refresh(name: str) -> None:
    session.execute(text("SELECT ask_source(:name)"), {"name": Owner.get(name=name).name})


def _told(owner: Owner) -> Row:
    """Where its members are found, how old they are, and what is wrong."""
    found = session.execute(text(TOLD), {"owner": owner.owner_id}).first()
    return {"source": found.source if found else None, "told": found.told if found else None}


def _row(owner: Owner) -> Row:
    found = session.execute(text(USED), {"owner": owner.owner_id}).one()._asdict()
    disk = {"used_disk": found["used_disk"] + found["trash"]}
    return {
        "name": owner.name,
        **{name: _of(name, found | disk) for name in RESOURCES},
        **_told(owner),
        "members": " ".join(member.principal for member in owner.members),
    }


def _of(name: str, found: dict[str, Any]) -> str:
    most = found[name]
    return f"{found[f'used_{name}']}" if most is None else f"{found[f'used_{name}']}/{most}"


def _list() -> list[Row]:
    return [_row(owner) for owner in Owner.find()]


def _remove(name: str) -> None:
    owner = Owner.get(name=name)
    refuse_if_used(f"the owner {owner.name}", owner.machines)
    session.delete(owner)


def _add_member(owner: str, principal: str) -> None:
    session.add(Member(owner_id=Owner.get(name=owner).owner_id, principal=principal))


def _remove_member(owner: str, principal: str) -> None:
    found = Member.find(owner_id=Owner.get(name=owner).owner_id, principal=principal)
    if not found:
        raise NotFound(f"{principal} is no member of {owner}")
    session.delete(found[0])


NONE = "none"
NAME = named("alice")
WHOSE = named("alice", "an owner; PRINCIPAL: all that this user made; @site: the whole site")
QUOTA = (
    memory("of all machines together"),
    Option("disk", "of all machines together", gibibytes, "SIZE", unit="GiB", sample="100G"),
    Option("machines", "how many", whole, "N", sample="10"),
    Option("running", "how many at once", whole, "N", sample="5"),
    Option("cpus", "of all machines together", whole, "N", sample="8"),
    Option("addresses", "IPv4, of all machines together", whole, "N", sample="10"),
)
SOURCE = Option(
    "source",
    "where its members are found; none: nowhere but by hand",
    metavar="KIND:NAME",
    sample="unix:staff",
)
FIRST = Option("member", "who may use all its machines", metavar="PRINCIPAL", several=True)
GROUP = Group(
    "owner",
    "whom machines belong to, and their quotas",
    (
        Verb(
            "add", "add an owner; quotas not given are those of invirt.yaml", _add,
            (NAME, *QUOTA, FIRST, SOURCE), changes=True,
            example="cs101 --memory 64G --disk 1T --member alice@EXAMPLE.ORG",
        ),
        listing("show all, used/quota: memory (MiB), disk (GiB, with the trash), and how many", _list),
        Verb(
            "set", "change a quota, what exceeds it stays; or where members are found", _set,
            (WHOSE, *QUOTA, SOURCE), changes=True, example="cs101 --memory 64G",
        ),
        Verb("refresh", "ask the owner's source for its members now", _refresh, (NAME,), changes=True),
        Verb("remove", "remove an owner of no machine", _remove, (NAME,), changes=True),
    ),
)  # fmt: skip
MEMBERSHIP = (
    Argument("owner", "whose machines", metavar="OWNER", sample="cs101"),
    Argument("principal", "who", metavar="PRINCIPAL", sample="bob@EXAMPLE.ORG"),
)
MEMBER = Group(
    "member",
    "principals who may use all machines of an owner",
    (
        Verb("add", "let a principal use all machines of an owner", _add_member, MEMBERSHIP, changes=True),
        Verb("remove", "let a principal use an owner's machines no more", _remove_member, MEMBERSHIP,
             changes=True),
    ),
)  # fmt: skip
