"""By what the web server knows a user: the token in a file of theirs, or one that it gives for a ticket."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat

from invirt.base.errors import BadConfig, Denied, Unreachable
from invirt.base.process import run
from invirt.client import site

FORM = re.compile(r"[A-Za-z0-9._~+/=-]{1,1000}")
PATIENCE = 30  # seconds for the ticket's door


def token(host: str, port: int) -> str:
    """The token of the file beside invirt.yaml, if there is one, else one that is given for a ticket.

    Raises BadConfig for a file that others can read, Denied, or Unreachable.
    """
    file = site.files()[0].with_name("invirt.token")
    try:
        opened = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return _by_ticket(host, port)
    except OSError as error:
        raise BadConfig(f"{file} can't be read: {error.strerror}") from error
    with open(opened, encoding="ascii", errors="replace") as reading:
        state = os.fstat(opened)
        if state.st_uid != os.getuid() or stat.S_IMODE(state.st_mode) & 0o077:
            raise BadConfig(
                f"{file} isn't yours alone", hint=f"chmod 600 {file}; who has read it can use it."
            )
        found = reading.read(4096).strip()
    if not FORM.fullmatch(found):
        raise BadConfig(f"{file} holds no token", hint="The page Tokens, or invirt token add, makes one.")
    return found


def _by_ticket(host: str, port: int) -> str:
    hint = (
        "kinit gets one; or a token of the page Tokens, in ~/.config/invirt.token with mode 600, does for it."
    )
    if not shutil.which("curl"):
        raise Denied("without curl your ticket can't be shown", hint=f"apt-get install curl; {hint}")
    url = f"https://{host}:{port}/sign-on/ticket/api"
    argv = ["curl", "--silent", "--show-error", "--proto", "=https", "--max-time", str(PATIENCE)]
    done = run(
        [*argv, "--negotiate", "--user", ":", "--write-out", "\n%{http_code}", url],
        timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    text, _, status = done.stdout.rpartition("\n")
    if done.returncode:
        raise Unreachable(f"{host} gives no answer: {done.stderr.strip()[:300]}")
    if status != "200":
        raise Denied(f"{host} signs nobody on by a ticket of yours", hint=hint)
    try:
        found = str(json.loads(text)["token"])
    except (ValueError, KeyError, TypeError):
        found = ""
    if not FORM.fullmatch(found):
        raise Unreachable(f"{host} answers, but not with a token")
    return found
