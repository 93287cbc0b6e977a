"""invirt-enrol: the first server's door for new ones."""

from __future__ import annotations

import os
from pathlib import Path

from invirt.base.cli import Command
from invirt.base.errors import NotFound
from invirt.setup import enrol
from invirt.setup.tokens import Offers


def _work() -> None:
    """With what systemd has put ready."""
    given = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"))
    try:
        tls = enrol.context(given / "certificate.pem", given / "key.pem")
    except FileNotFoundError as error:
        raise NotFound("no certificate was given", "systemctl start invirt-enrol starts it.") from error
    enrol.work(tls, Offers())


COMMAND = Command(
    name="invirt-enrol",
    section=8,
    summary="Give new servers what they need, for one-time tokens.",
    description=(
        "Runs on the site's first server while there are tokens that nobody has used\n"
        "(invirt-setup token). Who shows a token's secret gets what that server needs, once;\n"
        "all others are refused, alike. It has no rights but to what is offered now."
    ),
    example="systemctl status invirt-enrol",
    run=_work,
    shown=None,
)
