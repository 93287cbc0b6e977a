"""invirt-admin: tells the database of hosts, addresses, types, owners, quotas and keys."""

from __future__ import annotations

import os
from typing import Any

from invirt.base import log
from invirt.base.cli import Call, Command
from invirt.database.admin import (
    administrator,
    autoinstall,
    cdrom,
    host,
    key,
    machine,
    nic,
    owner,
    pool,
    range,
    record,
    token,
    trash,
    type,
)
from invirt.database.models import Audit
from invirt.database.session import session, transaction

GROUPS = (
    host.GROUP,
    pool.GROUP,
    range.GROUP,
    type.GROUP,
    autoinstall.GROUP,
    cdrom.GROUP,
    owner.GROUP,
    owner.MEMBER,
    administrator.GROUP,
    machine.GROUP,
    machine.RESERVED,
    nic.GROUP,
    record.GROUP,
    key.GROUP,
    token.GROUP,
    trash.GROUP,
)
LONGEST = 1000  # letters of the arguments in the audit table
ALONE = (machine.RESERVE, machine.UNRESERVE)


def _do(call: Call) -> Any:
    """In one transaction; what changes is written to the table audit in the same."""
    with transaction():
        found = call.run()
        if call.verb.changes:
            session.add(_entry(call))
    return found


def _entry(call: Call) -> Audit:
    """The audit table's row of what was changed; by name, under sudo."""
    given = dict(zip(("group", "verb"), call.words, strict=False))
    given |= {name: _text(value) for name, value in call.values.items()}
    shown = " ".join(log.quoted(f"{name}={value}") for name, value in given.items() if value)
    return Audit(
        principal=os.environ.get("SUDO_USER", "root"),
        command="invirt-admin",
        arguments=shown[:LONGEST],
        outcome="succeeded",
    )


def _text(value: object) -> str:
    """A value in the audit table; nothing for what wasn't given."""
    if value is None or value is False:
        return ""
    return ",".join(value) if isinstance(value, tuple) else str(value)


COMMAND = Command(
    name="invirt-admin",
    section=8,
    summary="Tell Invirt's database of hosts, addresses, types, owners, quotas and keys.",
    description=(
        "Run it as root on the database server. Each call is one transaction: what the\n"
        "database refuses is not done in part, what is done is in the table audit.\n"
        "Sizes may have a unit: 512M, 2G, 1T. Without one memory is in MiB, disk in GiB."
    ),
    example=(
        "invirt-admin host add host1 --hostname host1.example.org --memory 64G\n"
        'invirt-admin key add alice@EXAMPLE.ORG "$(cat alice.pub)"'
    ),
    verbs=(*GROUPS, *ALONE),
    do=_do,
)
