"""invirt-check: whether all is well on this server."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from invirt import config
from invirt.base.cli import SITE, Argument, Command, Found
from invirt.base.errors import BadConfig, BadInput, Denied
from invirt.base.log import one_line
from invirt.check import checks
from invirt.check.findings import Finding, error, worst
from invirt.check.server import Server, roles

CODES = {
    0: "All is well.",
    1: "There are warnings.",
    2: "There are errors, or the call itself was wrong.",
    4: "It was not root who called.",
}
KNOWN = tuple(check.name for check in checks.CHECKS)


def known(text: str) -> str:
    """The name of a check; raises BadInput."""
    if text not in KNOWN:
        raise BadInput(f"there is no check {text!a}", hint=f"There is: {', '.join(KNOWN)}.")
    return text


def _run(names: tuple[str, ...]) -> Found:
    """Look at all, or at what is named; raises Denied and BadInput."""
    if os.geteuid() != 0:
        raise Denied("only root can look at keys and services", hint="sudo invirt-check")
    try:
        config.use(config.load())
    except BadConfig as wrong:
        todo = wrong.hint or "Mend it, then: invirt-config apply"
        return _found("", (), {"configuration": [error(str(config.path()), wrong.message, todo)]})
    server = Server(roles=roles(Server.root))
    wanted = checks.of(server, names)
    if not wanted:
        raise BadInput(
            f"{', '.join(names)}: not for this server's roles", hint=f"It has {_list(server.roles)}."
        )
    return _found(server.name, server.roles, checks.run(server, wanted))


def _found(name: str, has: Sequence[str], found: Mapping[str, Sequence[Finding]]) -> Found:
    findings = [(check, one) for check, of_one in found.items() for one in of_one]
    record = {
        "server": name or socket.getfqdn(),
        "roles": list(has),
        "checks": list(found),
        "findings": [_record(check, one) for check, one in findings],
    }
    return Found(record, code=worst(one for _, one in findings))


def _list(has: Sequence[str]) -> str:
    return ", ".join(has) or "no role"


def _record(check: str, one: Finding) -> dict[str, str]:
    level = one.level.name.lower()
    return {"level": level, "check": check, "where": one.where, "what": one.what, "todo": one.todo}


def _lines(record: dict[str, Any]) -> str:
    """The worst first, each with what to do below it."""
    out = []
    for one in sorted(record["findings"], key=lambda one: str(one["level"])):
        out.append(f"{one['level']}: {one_line(one['where'])}: {one_line(one['what'])}\n")
        out.append(f"    {one_line(one['todo'])}\n")
    levels = [one["level"] for one in record["findings"]]
    counted = ", ".join(_counted(levels.count(one), one) for one in ("error", "warning") if one in levels)
    looked = f"{len(record['checks'])} checks of {record['server']} ({_list(record['roles'])})"
    return "".join([*out, f"{looked}: {counted or 'all is well'}\n"])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


COMMAND = Command(
    name="invirt-check",
    section=8,
    summary="Say whether all is well on this server, and what to do where it isn't.",
    description=(
        "Looks, and changes nothing. Each finding says what is wrong, where, and what to do.\n"
        "Run it on every server: each knows its own part. The exit code is for monitoring,\n"
        "as Nagios' plugins have it. What it looks at:\n"
        + ";\n".join(f"{check.name} ({check.about})" for check in checks.CHECKS)
        + "."
    ),
    files={
        **SITE,
        "/etc/krb5.keytab": "the server's key: host/NAME first",
        "/etc/invirt/nftables": "the firewall's rules, a file for each role",
    },
    example="invirt-check\ninvirt-check --json keytabs certificates",
    arguments=(
        Argument(
            "names",
            "only these",
            known,
            "CHECK",
            known=lambda: KNOWN,
            required=False,
            several=True,
            sample="keytabs",
        ),
    ),
    run=_run,
    shown=_lines,
    codes=CODES,
)
