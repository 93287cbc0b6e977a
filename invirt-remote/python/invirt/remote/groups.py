"""Groups that users make and keep: owners called group:NAME, whose keepers say who is in them."""

from __future__ import annotations

from typing import Any

from invirt import config
from invirt.base import validate
from invirt.base.cli import Argument, Flag, Group, Table, Verb, Who
from invirt.base.errors import BadInput, Denied, NoRoom
from invirt.remote import access, quota
from invirt.remote.actor import Actor
from invirt.remote.rows import Cursor
from invirt.remote.session import transaction

ADD = """
INSERT INTO members (owner_id, principal, keeper) VALUES (%s, %s, %s)
ON CONFLICT (owner_id, principal) DO UPDATE SET keeper = members.keeper OR excluded.keeper
"""
MADE = "SELECT count(*) AS made FROM owners WHERE made_by = %s AND name LIKE 'group:%%'"
KEEPS = """
SELECT bool_or(keeper) AS keeps FROM (SELECT keeper FROM members WHERE owner_id = %s AND principal = %s
    UNION ALL SELECT true FROM administrators WHERE principal = %s) AS rights
"""
LIST = """
SELECT o.name, array_agg(m.principal::text ORDER BY m.principal) AS members,
    coalesce(array_agg(m.principal::text ORDER BY m.principal) FILTER (WHERE m.keeper), '{}') AS keepers
FROM owners o JOIN members m USING (owner_id)
WHERE o.name LIKE 'group:%%' AND o.owner_id IN (SELECT owner_id FROM members WHERE principal = %s)
GROUP BY o.owner_id ORDER BY o.name
"""


def create(actor: Actor, group: str) -> str:
    """Make a group, whose first keeper is the actor.  Raises Denied, NoRoom or BadInput."""
    validate.person(actor.principal)
    if not actor.principal.endswith(f"@{config.site.realm}"):
        raise Denied(f"{actor.principal} is of another realm and owns nothing here")
    with transaction() as cursor:
        cursor.execute("SELECT take_turn(%s)", (actor.principal,))
        cursor.execute(MADE, (actor.principal,))
        if cursor.fetchone().made >= config.owners.groups:
            raise NoRoom(
                f"a user makes at most {config.owners.groups} groups",
                hint=f"Delete one: machine group delete NAME. Or ask {config.site.contact} for an owner.",
            )
        number = quota.make_owner(cursor, f"group:{group}", actor.principal)
        if number is None:
            raise BadInput(f"there is a group:{group} already", hint="Choose another name.")
        cursor.execute(ADD, (number, actor.principal, True))
    return f"group:{group} may own machines: machine create NAME --owner group:{group}"


def add(actor: Actor, group: str, principal: str, keeper: bool) -> str:
    """Let a principal use all machines of the group, from the next call on."""
    with transaction() as cursor:
        cursor.execute(ADD, (_kept(cursor, actor, group), principal, keeper))
    return f"{principal} {'keeps' if keeper else 'is in'} group:{group}"


def remove(actor: Actor, group: str, principal: str) -> str:
    """Take a principal's access; whoever is in a group may leave it.  Raises Denied or BadInput."""
    with transaction() as cursor:
        number = _kept(cursor, actor, group, leaving=principal == actor.principal)
        cursor.execute("DELETE FROM members WHERE owner_id = %s AND principal = %s", (number, principal))
        if cursor.rowcount == 0:
            raise BadInput(f"{principal} is not in group:{group}", hint="machine group list shows who is.")
        cursor.execute("SELECT FROM members WHERE owner_id = %s AND keeper LIMIT 1", (number,))
        if cursor.fetchone() is None:
            raise BadInput(
                f"{principal} is the last who keeps group:{group}",
                hint="machine group add NAME PRINCIPAL --keeper first, or machine group delete NAME.",
            )
    return f"{principal} is no more in group:{group}"


def delete(actor: Actor, group: str) -> str:
    """End a group that has no machine, also in the trash.  Raises Denied or BadInput."""
    with transaction() as cursor:
        cursor.execute("SELECT remove_group(%s)", (_kept(cursor, actor, group),))
    return f"group:{group} is gone"


def show(actor: Actor) -> list[dict[str, Any]]:
    """The groups that the actor is in."""
    with transaction() as cursor:
        cursor.execute(LIST, (actor.principal,))
        return [row._asdict() for row in cursor.fetchall()]


def refresh(actor: Actor, owner: str) -> str:
    """Ask where an owner's members are told.  It says the same of owners that there are not."""
    with transaction() as cursor:
        cursor.execute("SELECT ask_source(%s)", (owner,))
    return f"if the members of {owner} are told elsewhere, they are asked for now"


def _kept(cursor: Cursor, actor: Actor, group: str, leaving: bool = False) -> int:
    """The number of the group, locked, which the actor keeps, or is leaving, or may change as the site's."""
    cursor.execute("SELECT owner_id FROM owners WHERE name = %s FOR NO KEY UPDATE", (f"group:{group}",))
    owner = cursor.fetchone()
    cursor.execute(
        KEEPS,
        (owner and owner.owner_id, actor.principal, actor.principal),
    )
    keeps = cursor.fetchone().keeps
    if owner is None or keeps is None:
        raise access.no_owner(f"group:{group}")
    if not (keeps or leaving):
        raise Denied(f"only who keeps group:{group} may do this", hint="machine group list shows who does.")
    return int(owner.owner_id)


GROUP_NAME = Argument("group", "the group", validate.group_name, "GROUP", sample="robotics")
PRINCIPAL = Argument(
    "principal", "whom; bob is bob@ your realm", access.full_principal, "PRINCIPAL", sample="bob"
)
KEEPER = Flag("keeper", "they may say who is in it, too")
OWNER = Argument("owner", "whose members", validate.owner_name, "OWNER", sample="unix:staff")
TABLE = Table(
    {
        "GROUP": "name",
        "KEPT BY": lambda row: " ".join(row["keepers"]),
        "MEMBERS": lambda row: " ".join(row["members"]),
    },
    empty="You are in no group; machine group create NAME makes one.",
)
GROUP = Group(
    "group",
    "groups that you and others own machines as",
    (
        Verb("create", "make a group, which you keep", create, (GROUP_NAME,), Who.ANYONE, changes=True),
        Verb("add", "let a principal use all machines of a group", add, (GROUP_NAME, PRINCIPAL, KEEPER),
             Who.ANYONE, changes=True),
        Verb("remove", "let a principal use the machines of a group no more; you may leave any", remove,
             (GROUP_NAME, PRINCIPAL), Who.ANYONE, changes=True),
        Verb("list", "show the groups that you are in", show, (), Who.ANYONE, shown=TABLE),
        Verb("delete", "end a group that has no machine", delete, (GROUP_NAME,), Who.ANYONE, changes=True),
        Verb("refresh", "ask now who the members of an owner are, if they are told elsewhere", refresh,
             (OWNER,), Who.ANYONE, changes=True),
    ),
)  # fmt: skip
