"""invirt.yaml: it is right, it was applied, and it is the same as the database server's."""

from __future__ import annotations

from invirt import config
from invirt.base.apply import Change, Templates
from invirt.base.errors import InvirtError
from invirt.check.findings import Finding, Findings, error, warning
from invirt.check.server import Server
from invirt.config import digests

APPLY = "invirt-config apply --diff, then invirt-config apply"
SAME = "Copy invirt.yaml from the database server, then: "


def look(server: Server) -> Findings:
    """The file, what is made of it, and what others go by."""
    yield from _file()
    try:
        changes = Templates(server.root, config.counting()).changes()
    except InvirtError as wrong:
        yield error(str(config.counting()), wrong.message, wrong.hint or "Mend it, then: invirt-config apply")
        return
    for change in changes:
        if change.is_needed:
            yield _change(change)
    yield from _same(server)


def _file() -> Findings:
    """What an administrator has written, and not applied yet."""
    if not config.path().exists():
        yield error(str(config.path()), "it doesn't exist", "Write it, the same as on the other servers.")
        return
    try:
        config.load(config.path())
    except InvirtError as wrong:
        yield error(str(config.path()), wrong.message, wrong.hint or "Mend it, then: invirt-config apply")
        return
    if config.unapplied():
        yield warning(str(config.path()), "it is not what was applied, which counts", APPLY)


def _change(change: Change) -> Finding:
    if change.by_hand:
        todo = (
            "invirt-config apply --diff shows how; --force overwrites it. Put what you need into invirt.yaml."
        )
        return warning(
            str(change.path), "it was edited by hand, and no change of invirt.yaml reaches it", todo
        )
    return error(str(change.path), "it is not what invirt.yaml makes of it", APPLY)


def _same(server: Server) -> Findings:
    """Section by section, so that whoever mends it knows where to look."""
    ours = digests.sections(config.current())
    for said in server.heard:
        differ = [name for name, digest in ours.items() if said.sections.get(name, digest) != digest]
        if differ:
            what = f"{', '.join(differ)} is said otherwise than on the database server"
            yield error(str(config.counting()), what, SAME + APPLY)
        return
