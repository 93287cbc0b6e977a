"""The pages as an application: who is asked about before what."""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt import config
from invirt.web import app
from tests.unit.web.test_doors import SITE

FORM = "application/x-www-form-urlencoded"


class Untouched:
    """A body that nobody may read."""

    def read(self, count: int = -1) -> bytes:
        raise AssertionError("the form was read")

    readline = read


@pytest.mark.parametrize("path", ["/new", "/machines/remus/delete", "/site/hosts", "/sign-off"])
def test_nobody_s_form_is_read(path: str, invirt_yaml: Path) -> None:
    """Who isn't signed on is told so first."""
    invirt_yaml.write_text(SITE)
    config.reload()
    made = app.make(b"x" * 32)
    form = {"CONTENT_LENGTH": "9", "CONTENT_TYPE": FORM, "wsgi.input": Untouched()}
    answer = made.test_client().post(path, environ_overrides=form)
    assert answer.status_code == 403, answer.text
