"""Who asks the API, and what for: the one header Authorization, with a token.

A door gives one that lasts as a session does, and may what its user may.  Others a user
makes: they end, may be for some machines or for reading alone, never administer,
and make nothing that would outlast them.  The pages' cookie is nothing here.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from itsdangerous import URLSafeTimedSerializer

from invirt.base.errors import Denied, NotFound
from invirt.web import session
from invirt.web.accounts import Accounts
from invirt.web.session import Session

MADE = "invirt_"  # how those begin that users make
SALT = "invirt-api"  # no cookie is a token, no token a cookie
FORM = re.compile(r"Bearer ([A-Za-z0-9._~+/=-]{1,1000})")
TOKEN = "SELECT * FROM web.token(%(hash)s)"

# What somebody may see: an administrator's right counts at the door's token alone.
SEEN = """machine_id IN (SELECT machine_id FROM access
    WHERE principal = %(who)s AND (role <> 'administrator' OR %(door)s))
    AND (%(machines)s::integer[] IS NULL OR machine_id = ANY (%(machines)s))"""
MACHINE = f"""SELECT EXISTS (SELECT FROM access a WHERE a.machine_id = m.machine_id
    AND principal = %(who)s AND role = 'owner') AS owned
    FROM web.machines m WHERE name = %(name)s AND {SEEN}"""

# What a made token may change: a machine that it is for, and, where it is for all, what makes and ends them.
OF_MACHINES = frozenset(
    ["lvcreate", "lvresize", "lvrename", "lvremove", "resize", "set", "rename", "allow", "disallow", "delete"]
    + ["limit", "insert", "eject"]
    + [f"control {verb}" for verb in ("create", "reboot", "shutdown", "destroy", "install", "rescue")]
)
OF_ALL = frozenset(("create", "undelete", "purge"))


@dataclass(frozen=True)
class Bearer:
    """Whose token it is.  made: its name, "" for a door's.  machines: numbers, None: all.

    until: seconds since 1970; of a made token the database knows, by its digest.  gone: whether the
    account of who is signed on is known to be no more; may ask a KDC.
    """

    who: str
    made: str = ""
    writes: bool = True
    machines: tuple[int, ...] | None = None
    until: float = math.inf
    digest: bytes | None = None
    gone: Callable[[], bool] = lambda: False

    @property
    def asked(self) -> dict[str, Any]:
        """The values of SEEN."""
        machines = None if self.machines is None else list(self.machines)
        return {"who": self.who, "door": not self.made, "machines": machines}

    def need_door(self) -> None:
        """Raises Denied for a made token."""
        if self.made:
            raise Denied(
                f"the token {self.made} may not do this", hint="Sign on: a door's token may what you may."
            )

    def need_all(self) -> None:
        """Raises Denied for a token that is for some machines."""
        if self.machines is not None:
            raise Denied(
                f"the token {self.made} is for some machines", hint="Use one that is for all of yours."
            )


def sealed(serializer: URLSafeTimedSerializer, principal: str, door: str) -> str:
    """A door's token."""
    kept: dict[str, Any] = {}
    session.begin(kept, principal, door)
    return str(serializer.dumps({name: kept[name] for name in ("who", "door", "since")}))


def given(headers: Mapping[str, str]) -> str:
    """The token; raises SignOn where there is none."""
    found = FORM.fullmatch(headers.get("Authorization", ""))
    if not found:
        raise session.SignOn("you are not signed on", hint="Send the header Authorization: Bearer TOKEN.")
    return found[1]


def digest(token: str) -> bytes | None:
    """What the database knows a made token by; None for a door's."""
    return hashlib.sha256(token.encode()).digest() if token.startswith(MADE) else None


def of_session(accounts: Accounts, kept: Session) -> Bearer:
    """Who is signed on, by a cookie or by a door's token; raises SignOn."""
    return Bearer(
        accounts.principal(kept), until=kept["since"] + session.LASTS, gone=partial(accounts.gone, kept)
    )


def of_row(row: Any) -> Bearer:
    """Whose a made token is, by what web.token() tells; raises SignOn where that is None."""
    if row is None:
        raise session.SignOn("there is no such token", hint="It may have ended: see the page Tokens.")
    machines = None if row.machines is None else tuple(row.machines)
    return Bearer(row.principal, row.name, row.writes, machines)


def may_change(bearer: Bearer, verb: str) -> bool:
    """Whether verb is about a machine, that must be one of the bearer's; raises Denied."""
    if not bearer.made:
        return False
    if not bearer.writes:
        raise Denied(f"the token {bearer.made} is for reading", hint="Make one that may write.")
    if verb in OF_MACHINES:
        return True
    if verb not in OF_ALL:
        bearer.need_door()
    bearer.need_all()
    return False


def absent(name: str) -> NotFound:
    """Of a machine that isn't there, or isn't the bearer's."""
    return NotFound(
        f"there is no machine {name[:63]} that you may use",
        hint="Its owner can let you in; a token may be for other machines.",
    )
