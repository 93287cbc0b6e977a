"""Owners, their quotas and their members."""

from __future__ import annotations

from invirt import config
from invirt.base.cli import Argument, Group, Option, Verb
from invirt.base.errors import NotFound
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


def _add(name: str, memory: Number, disk: Number, machines: Number, member: tuple[str, ...]) -> None:
    usual = config.quota
    owner = Owner(
        name=name,
        memory=usual.memory if memory is None else memory,
        disk=usual.disk if disk is None else disk,
        quota_machines=usual.machines if machines is None else machines,
    )
    owner.members = [Member(principal=principal) for principal in member]
    session.add(owner)


def _set(name: str, memory: Number, disk: Number, machines: Number) -> None:
    owner = Owner.get(name=name)
    values = {"memory": memory, "disk": disk, "quota_machines": machines}
    for key, value in given(values, "Give --memory, --disk or --machines.").items():
        setattr(owner, key, value)


def _of(used: int, quota: int) -> str:
    return f"{used}/{quota}"


def _row(owner: Owner) -> Row:
    disk = sum(disk.size for machine in owner.machines for disk in machine.disks)
    disk += sum(disk.size for trash in owner.trash for disk in trash.disks)
    return {
        "name": owner.name,
        "memory": _of(sum(machine.memory for machine in owner.machines), owner.memory),
        "disk": _of(disk, owner.disk),
        "machines": _of(len(owner.machines), owner.quota_machines),
        "members": " ".join(member.principal for member in owner.members),
    }


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


NAME = named("alice")
QUOTA = (
    memory("of all machines together"),
    Option("disk", "of all machines together", gibibytes, "SIZE", unit="GiB", sample="100G"),
    Option("machines", "how many", whole, "N", sample="10"),
)
FIRST = Option("member", "who may use all its machines", metavar="PRINCIPAL", several=True)
GROUP = Group(
    "owner",
    "whom machines belong to, and their quotas",
    (
        Verb(
            "add", "add an owner; quotas not given are those of invirt.yaml", _add, (NAME, *QUOTA, FIRST),
            changes=True, example="cs101 --memory 64G --disk 1T --member alice@EXAMPLE.ORG",
        ),
        listing("show all: memory (MiB), disk (GiB, with the trash) and machines, used/quota", _list),
        Verb(
            "set", "change a quota; what exceeds it stays", _set, (NAME, *QUOTA), changes=True,
            example="cs101 --memory 64G",
        ),
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
