"""Each machine is a login: systemd's user database API, for libnss-systemd.

The API is io.systemd.UserDatabase (https://systemd.io/USER_GROUP_API) over
varlink: JSON with a NUL at its end, one answer a question.  Only
questions for what may be a machine's name or for a uid of the machines' range
go to the database.  All others, so those for root and for administrators, whom
/etc/passwd has, are answered at once, whatever the database does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from invirt.base import log, validate
from invirt.base.errors import BadInput, InvirtError
from invirt.base.names import MachineName

SERVICE = "org.invirt.Console"
API = "io.systemd.UserDatabase"
GROUP = "invirt-console"  # every machine's login is in it, and nobody else
SHELL = "/usr/bin/invirt-console-shell"
HOMES = "/consolefs"
PROGRAM = "invirt-userdb"
LOCAL = Path("/etc/passwd")
DEADLINE = 1.0  # seconds: who asks is sshd, ls or ps, and hangs with us

BY_NAME = "SELECT machine_id, name FROM console.machines WHERE name = %s"
BY_NUMBER = "SELECT machine_id, name FROM console.machines WHERE machine_id = %s"


class Asks(Protocol):
    """What is needed of invirt.database.asker.Asker."""

    def rows(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """All rows; raises Unreachable."""


class Refusal(Exception):
    """A varlink error: its short name in the API."""


@dataclass(frozen=True)
class UserDB:
    """Answers the API's questions.  uids: those of machines; gid: of their group."""

    asker: Asks
    uids: range
    gid: int

    def answer(self, message: bytes) -> bytes:
        """The reply to one message, without the NUL."""
        try:
            call = json.loads(message)
            method, parameters = call["method"], call.get("parameters") or {}
            reply: dict[str, Any] = {"parameters": self._call(method, parameters)}
        except Refusal as refusal:
            reply = {"error": f"{API}.{refusal}", "parameters": {}}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            reply = {"error": "org.varlink.service.InvalidParameter", "parameters": {"parameter": ""}}
        return json.dumps(reply).encode()

    def _call(self, method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        if parameters.get("service", SERVICE) != SERVICE:
            raise Refusal("BadService")
        if method == f"{API}.GetUserRecord":
            return {"record": self._user(parameters), "incomplete": False}
        # The group is a local one, and a login's only group is its own.
        raise Refusal("NoRecordFound")

    def _user(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        name, uid = parameters.get("userName"), parameters.get("uid")
        if name is None and uid is None:
            raise Refusal("EnumerationNotSupported")
        rows = self._find(name, uid)
        if not rows or rows[0][0] >= len(self.uids):
            raise Refusal("NoRecordFound")
        number, found = rows[0]
        if uid is not None and name is not None and uid != self.uids[number]:
            raise Refusal("ConflictingRecordFound")
        return self._record(found, self.uids[number])

    def _find(self, name: str | None, uid: int | None) -> list[tuple[Any, ...]]:
        try:
            if name is not None:
                known = _is_local(validate.machine_name(name))
                return [] if known else self.asker.rows(BY_NAME, (name,))
            return (
                self.asker.rows(BY_NUMBER, (self.uids.index(uid),))
                if uid is not None and uid in self.uids
                else []
            )
        except BadInput:
            return []
        except InvirtError as error:
            log.write(error.message, log.WARNING, program=PROGRAM)
            raise Refusal("ServiceNotAvailable") from error

    def _record(self, name: MachineName, uid: int) -> dict[str, Any]:
        """A user record (https://systemd.io/USER_RECORD)."""
        return {
            "userName": name,
            "uid": uid,
            "gid": self.gid,
            "realName": f"console of {name}",
            "homeDirectory": f"{HOMES}/{name}",
            "shell": SHELL,
            "disposition": "regular",
            "service": SERVICE,
        }


def _is_local(name: MachineName) -> bool:
    """Whether it is one of this server's own logins, which count more than machines'.

    They are asked for here, too, after they were found: for their shadow entry.
    """
    return any(line.startswith(f"{name}:") for line in LOCAL.read_text(errors="replace").splitlines())
