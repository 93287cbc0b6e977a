"""Doors: which of them there are, and what they make of whom Apache has signed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt import config
from invirt.base.errors import Denied, NotFound
from invirt.web import doors

SITE = """\
site: {domain: invirt.test, realm: INVIRT.TEST}
database: {hostname: db.invirt.test}
remote: {hostname: remote.invirt.test}
web: {doors: [file, ticket]}
"""


@pytest.fixture(autouse=True)
def site(invirt_yaml: Path) -> None:
    invirt_yaml.write_text(SITE)
    config.reload()


def test_those_of_the_site_in_its_order() -> None:
    assert list(doors.there()) == ["file", "ticket"]


@pytest.mark.parametrize("name", ["password", "", "failed", "x"])
def test_another_is_not_there(name: str) -> None:
    with pytest.raises(NotFound):
        doors.principal(name, {"Remoteuser": "alice@INVIRT.TEST"})


def test_a_ticket_s_principal_is_taken_as_it_is() -> None:
    assert doors.principal("ticket", {"Remoteuser": "alice@OTHER.TEST"}) == "alice@OTHER.TEST"
    with pytest.raises(Denied):
        doors.principal("ticket", {"Remoteuser": "alice"})


def test_a_file_s_names_are_of_the_realm() -> None:
    assert doors.principal("file", {"Remoteuser": "alice"}) == "alice@INVIRT.TEST"
    for said in ("alice@OTHER.TEST", "alice@INVIRT.TEST", "", "a,b", "alice\n", "host/web.invirt.test"):
        with pytest.raises(Denied):
            doors.principal("file", {"Remoteuser": said})
