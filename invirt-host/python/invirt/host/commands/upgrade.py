"""remctl HOST upgrade …: this host's own upgrade, for remote."""

from __future__ import annotations

import re

from invirt.base import tables
from invirt.base.cli import Argument, Command, Verb, Who
from invirt.base.errors import BadInput
from invirt.host import upgrading


def boot_id(text: str) -> str:
    """What the kernel calls a boot; raises BadInput."""
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise BadInput("that is no boot", hint="upgrade boot says which one this is.")
    return text


WHAT = Argument("what", "what is done", choices=upgrading.WHAT)
BOOT = Argument("which", "the boot that ends", boot_id, "BOOT", sample="6b7e2a52-9d5c-4d0e-8a58-0e2c5f6d7a11")
VERBS = (
    Verb("begin", "have packages fetched or installed, or this server checked, and don't wait",
         upgrading.begin, (WHAT,), who=Who.REMOTE, changes=True),
    Verb("status", "how that stands, and what was said at last", upgrading.status, (WHAT,), who=Who.REMOTE,
         shown=tables.one_line_json),
    Verb("boot", "which boot of this host this is, and why it needs another one", upgrading.boot,
         who=Who.REMOTE, shown=tables.one_line_json),
    Verb("reboot", "reboot this host, if no guest runs and this boot is still the one", upgrading.reboot,
         (BOOT,), who=Who.REMOTE, changes=True),
)  # fmt: skip
COMMAND = Command(
    name="invirt-host-upgrade",
    section=8,
    summary="this host's own upgrade",
    description="Run by remctld for the remote server as `upgrade`. Packages come by apt from this host's "
    "own sources; files of configuration that were changed stay as they are. All verbs may be repeated.",
    example="remctl host1.example.org upgrade status install",
    verbs=VERBS,
    remctl="upgrade",
)
