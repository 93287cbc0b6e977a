"""Owners, their quotas and their members."""

from __future__ import annotations

import argparse

from invirt import config
from invirt.base.errors import BadInput, NotFound
from invirt.database.admin.verbs import Group, Parser, Row, Verb, name_only, nothing, refuse_if_used, whole
from invirt.database.models import Member, Owner
from invirt.database.session import session


def _quota_arguments(parser: Parser) -> None:
    parser.add_argument("name")
    parser.add_argument("--memory", type=whole, metavar="MIB", help="of all machines together")
    parser.add_argument("--disk", type=whole, metavar="GIB", help="of all machines together")
    parser.add_argument("--machines", type=whole, help="how many")


def _add_arguments(parser: Parser) -> None:
    _quota_arguments(parser)
    parser.add_argument("--member", action="append", default=[], metavar="PRINCIPAL")


def _add(arguments: argparse.Namespace) -> None:
    usual = config.quota
    owner = Owner(
        name=arguments.name,
        memory=usual.memory if arguments.memory is None else arguments.memory,
        disk=usual.disk if arguments.disk is None else arguments.disk,
        quota_machines=usual.machines if arguments.machines is None else arguments.machines,
    )
    owner.members = [Member(principal=principal) for principal in arguments.member]
    session.add(owner)


def _set(arguments: argparse.Namespace) -> None:
    owner = Owner.get(name=arguments.name)
    wanted = {"memory": arguments.memory, "disk": arguments.disk, "quota_machines": arguments.machines}
    if set(wanted.values()) == {None}:
        raise BadInput("nothing to set", hint="Give --memory, --disk or --machines.")
    for name, value in wanted.items():
        if value is not None:
            setattr(owner, name, value)


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


def _list(arguments: argparse.Namespace) -> list[Row]:
    return [_row(owner) for owner in Owner.find()]


def _remove(arguments: argparse.Namespace) -> None:
    owner = Owner.get(name=arguments.name)
    refuse_if_used(f"the owner {owner.name}", owner.machines)
    session.delete(owner)


def _member_arguments(parser: Parser) -> None:
    parser.add_argument("owner")
    parser.add_argument("principal")


def _add_member(arguments: argparse.Namespace) -> None:
    owner = Owner.get(name=arguments.owner)
    session.add(Member(owner_id=owner.owner_id, principal=arguments.principal))


def _remove_member(arguments: argparse.Namespace) -> None:
    owner = Owner.get(name=arguments.owner)
    found = Member.find(owner_id=owner.owner_id, principal=arguments.principal)
    if not found:
        raise NotFound(f"{arguments.principal} is no member of {owner.name}")
    session.delete(found[0])


GROUP = Group(
    "owner",
    "whom machines belong to, and their quotas",
    (
        Verb("add", "add an owner; quotas not given are those of invirt.yaml", _add_arguments, _add),
        Verb(
            "list",
            "show all: memory (MiB), disk (GiB, with the trash) and machines, used/quota",
            nothing,
            _list,
        ),
        Verb("set", "change a quota; what exceeds it stays", _quota_arguments, _set),
        Verb("remove", "remove an owner of no machine", name_only, _remove),
    ),
)
MEMBER = Group(
    "member",
    "principals who may use all machines of an owner",
    (
        Verb("add", "let a principal in", _member_arguments, _add_member),
        Verb("remove", "take that back", _member_arguments, _remove_member),
    ),
)
