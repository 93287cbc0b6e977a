"""Pages in HTML: Mako, where all that is put in is escaped and an undefined name is an error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mako.lookup import TemplateLookup

from invirt import config
from invirt.base.tables import ago
from invirt.web.answers import Page
from invirt.web.plots import HIGH, WIDE

LOOKUP = TemplateLookup(
    directories=[str(Path(__file__).parent / "pages")],
    default_filters=["h"],
    strict_undefined=True,
    input_encoding="utf-8",
)


def page(answer: Page, frame: Mapping[str, Any]) -> str:
    """The HTML.  frame: what each page has around it."""
    helps = {
        "state": state,
        "ago": ago,
        "since": since,
        "plain": plain,
        "config": config,
        "gib": gib,
        "person": person,
    }
    sizes = {"WIDE": WIDE, "HIGH": HIGH}
    template = LOOKUP.get_template(f"{answer.name}.mako")
    return str(template.render(**frame, **helps, **sizes, again=answer.again, **answer.values))


def state(machine: Any) -> str:
    """A machine's state as people read it."""
    if getattr(machine, "move", None):
        return str(machine.moving)
    if machine.state == "unknown" and machine.silence is not None:
        return f"unknown, last seen {machine.seen} {ago(round(machine.silence))}"
    return str(machine.state)


def since(moment: datetime | None) -> str:
    """How long ago."""
    return ago(max(0, round((datetime.now(UTC) - moment).total_seconds()))) if moment else ""


def gib(mebibytes: int) -> str:
    """An amount of memory."""
    return f"{mebibytes / 1024:.3g} GiB" if mebibytes >= 1024 else f"{mebibytes} MiB"


def person(principal: str) -> str:
    """Somebody as people of the site's own realm know them."""
    return principal.removesuffix(f"@{config.site.realm}")


def plain(name: str) -> str:
    """A step's or a kind's name as words."""
    return name.replace("-", " ").replace("_", " ")
