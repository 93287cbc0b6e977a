"""Each door that a site may have: who comes in by it, as whom, and who doesn't."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from invirt_lab.browser import Browser
from tests.parts.realm import PASSWORD
from tests.web.server.conftest import Doors, WebServer
from tests.web.server.test_sign_on import SPELLINGS, dropping

SAFE = "correct horse"  # alice's, in the file; the KDC has another one


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Doors:
    files = tmp_path_factory.mktemp("doors")
    for name in ("alice", "root/admin", "bob@OTHER.TEST", "host/web.invirt.test", "a,b"):
        argv = ["htpasswd", "-i", "-B", "-C", "4", *([] if name != "alice" else ["-c"])]
        argv += [str(files / "passwords"), name]
        subprocess.run(argv, input=SAFE, text=True, check=True, capture_output=True, timeout=20)
    shutil.chown(files / "passwords", group="www-data")
    (files / "passwords").chmod(0o640)
    return Doors("  doors: [file, password]\n", files)


def is_signed_on(web: WebServer, browser: Browser, principal: str) -> None:
    page = browser.ask("/")
    assert page.status == 200 and f'title="{principal}"' in page.text, (page, web.log())


def test_the_page_offers_what_there_is(web: WebServer) -> None:
    text = web.browser().ask("/sign-on").text
    assert re.findall(r'href="/sign-on/(\w+)\?', text) == ["file", "password"]


def test_a_door_that_is_not_listed_is_not_there(web: WebServer) -> None:
    for headers in ({}, {"Remoteuser": "alice@INVIRT.TEST"}):
        for door in ("ticket", "kerberos"):
            assert web.browser().ask(f"/sign-on/{door}", headers=headers).status == 404


def test_a_file_s_password(web: WebServer) -> None:
    """alice's of the file is no password for the KDC, nor the other way round."""
    browser = web.browser()
    assert browser.sign_on("alice", PASSWORD, door="file").status == 401
    assert browser.sign_on("alice", SAFE, door="password").status == 401
    assert browser.sign_on("nobody", SAFE, door="file").status == 401
    assert browser.sign_on("", "", door="file").status == 401
    assert not browser.cookies
    assert browser.sign_on("alice", SAFE, door="file").to == "/"
    is_signed_on(web, browser, "alice@INVIRT.TEST")
    assert browser.send("/", "/sign-off").to == "/sign-on"
    assert browser.ask("/").status == 303


@pytest.mark.parametrize("name", ["bob@OTHER.TEST", "host/web.invirt.test", "a,b"])
def test_a_name_in_the_file_that_is_no_person_s(web: WebServer, name: str) -> None:
    browser = web.browser()
    answer = browser.sign_on(name, SAFE, door="file")
    assert answer.status == 403 and "whom you signed on as" in answer.text
    assert not browser.cookies


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("door", ["file"])
def test_a_forged_header_signs_on_nobody(web: WebServer, door: str, name: str) -> None:
    for more in dropping(name):
        for said in ("carol", "carol@INVIRT.TEST"):
            browser = web.browser()
            assert browser.ask(f"/sign-on/{door}", headers={name: said, **more}).status in (400, 401)
            assert not browser.cookies
            browser.sign_on("alice", SAFE, {name: said, **more}, door=door)
            page = browser.ask("/")
            assert "carol" not in page.text
            assert page.status == 303 or 'title="alice@INVIRT.TEST"' in page.text
