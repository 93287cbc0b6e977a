"""Who somebody is: by a door alone, whatever a browser says of itself."""

from __future__ import annotations

import base64
import http.client
import subprocess
from pathlib import Path

import pytest

from tests.parts.realm import PASSWORD
from tests.web.server.conftest import WEB, WebServer

SPELLINGS = (
    *("Remoteuser", "remoteuser", "REMOTEUSER", "Remote-User", "Remote_User", "remote_user", "REMOTE_USER"),
    *("X-Remote-User", "x_remote-user", "X-Remoteuser", "Remoteuser ", "Http-Remoteuser", "HTTP_REMOTEUSER"),
)
PAGES = ("/", "/new", "/machines/remus", "/operations/1", "/site", "/site/audit", "/help")


def test_a_password_is_checked_by_the_kdc(web: WebServer) -> None:
    browser = web.browser()
    assert browser.sign_on("alice", "wrong").status == 401
    assert browser.sign_on("nobody", PASSWORD).status == 401
    assert not browser.cookies
    assert "were not signed on" in browser.sign_on("alice", "wrong").text
    assert browser.sign_on("alice", PASSWORD).to == "/"
    page = browser.ask("/")
    assert page.status == 200 and 'title="alice@INVIRT.TEST"' in page.text


def test_a_ticket_signs_on(web: WebServer) -> None:
    """By curl's own Negotiate, with the ticket of dora."""
    argv = ["curl", "-sS", "--negotiate", "-u", ":", "--cacert", str(web.folder / "server.crt"), "-i"]
    argv += ["--resolve", f"{WEB}:443:{web.address}", f"https://{WEB}/sign-on/ticket?next=/help"]
    done = subprocess.run(
        argv, env=web.realm.as_user("dora"), capture_output=True, text=True, check=False, timeout=60
    )
    assert "\nlocation: /help\n" in done.stdout.lower(), (done, web.log())
    assert "set-cookie: __Host-invirt=".lower() in done.stdout.lower()
    assert subprocess.run(
        [*argv[:2], *argv[5:]], capture_output=True, text=True, check=True, timeout=60
    ).stdout.startswith("HTTP/1.1 401")


def dropping(name: str) -> list[dict[str, str]]:
    """Headers that have Apache drop none, the forged one, its own, and all that could be taken for one."""
    every = ", ".join(("Remoteuser", "Remote-User", "X-Remote-User", "X-Remoteuser"))
    return [{}, *({"Connection": f"close, {names}"} for names in (name.strip(), "Remoteuser", every))]


@pytest.mark.parametrize("door", ["/sign-on/ticket", "/sign-on/password"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_a_forged_header_signs_on_nobody(web: WebServer, door: str, name: str) -> None:
    """At a door, and at any other page; also where Apache is made to drop its own."""
    browser = web.browser()
    for more in dropping(name):
        headers = {name: "alice@INVIRT.TEST", **more}
        for path in (door, "/"):
            answer = browser.ask(path, headers=headers)
            assert answer.status in (303, 400, 401), (path, headers, answer)
            assert answer.status != 303 or answer.to.startswith("/sign-on?"), answer
    assert "__Host-invirt" not in browser.cookies


@pytest.mark.parametrize("name", SPELLINGS)
def test_who_signs_on_is_nobody_else(web: WebServer, name: str) -> None:
    """bob's password and a header that says alice make bob, or nobody."""
    for more in dropping(name):
        browser = web.browser()
        answer = browser.sign_on("bob", PASSWORD, {name: "alice@INVIRT.TEST", **more})
        assert answer.status in (303, 400, 403), answer
        page = browser.ask("/")
        assert "alice" not in page.text
        assert page.status == 303 or 'title="bob@INVIRT.TEST"' in page.text


@pytest.mark.parametrize("path", PAGES)
def test_without_a_session_there_is_the_way_to_one(web: WebServer, path: str) -> None:
    answer = web.browser().ask(path)
    assert answer.status == 303 and answer.to == f"/sign-on?next={path}"


def test_a_forged_session_is_none(web: WebServer) -> None:
    browser = web.browser("alice")
    good = browser.cookies["__Host-invirt"]
    for bad in ("", "x", good[:-1], good[1:], good.replace(".", "", 1), good[: good.rindex(".")]):
        browser.cookies["__Host-invirt"] = bad
        assert browser.ask("/").status == 303, bad


def test_a_cookie_is_for_this_server_and_no_script(web: WebServer) -> None:
    answer = web.browser().sign_on("alice", PASSWORD)
    (cookie,) = answer.headers.get_all("Set-Cookie", [])
    assert cookie.startswith("__Host-invirt=")
    words = set(cookie.split("; ")[1:])
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= words
    assert not any(word.startswith("Domain") for word in words)


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "/sign-off", "x", "/a?b"]
)
def test_nobody_is_sent_elsewhere(web: WebServer, to: str) -> None:
    browser = web.browser()
    answer = browser.ask(f"/sign-on?next={to}")
    assert "evil" not in answer.text
    basic = base64.b64encode(b"alice:open-sesame").decode()
    answer = browser.ask(f"/sign-on/password?next={to}", headers={"Authorization": f"Basic {basic}"})
    assert answer.to == "/"


def test_signing_off_ends_it(web: WebServer) -> None:
    browser = web.browser("alice")
    assert browser.send("/", "/sign-off").to == "/sign-on"
    assert browser.ask("/").status == 303


def test_a_form_of_another_session_does_nothing(web: WebServer) -> None:
    browser = web.browser("alice")
    for secret in ("", "x", "None"):
        answer = browser.ask("/sign-off", {"secret": secret})
        assert answer.status == 403 and "another session" in answer.text
    assert browser.ask("/").status == 200


def test_headers_that_keep_browsers_safe(web: WebServer) -> None:
    for path in ("/", "/sign-on", "/nothing", "/static/style.css"):
        headers = web.browser("alice").ask(path).headers
        policy = headers["Content-Security-Policy"]
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Strict-Transport-Security"]
    page = web.browser("alice").ask("/").text
    assert "<script" not in page and " style=" not in page and "<style" not in page


def test_what_is_large_is_refused(web: WebServer) -> None:
    """By Apache, which waits for none of it: at a form, the API and a stream."""
    for path in ("/new", "/api/1/verbs/create", "/streams/operations/1"):
        for name, value, status in (("Content-Length", "65537", 413), ("Transfer-Encoding", "chunked", 411)):
            head = f"POST {path} HTTP/1.1\r\nHost: {WEB}\r\nConnection: close\r\n{name}: {value}\r\n\r\n"
            assert web.browser().say(head.encode()).status == status, (path, name)


def test_a_keytab_is_not_everyone_s(web: WebServer) -> None:
    """Nor the certificate's key: as the README says."""
    argv = [*web.enter, "stat", "-c", "%a %U %G", "/etc/invirt/web/http.keytab"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "640 root www-data\n"
    assert (Path(web.folder) / "key").stat().st_mode & 0o777 == 0o600


def test_plain_http_leads_to_tls(web: WebServer) -> None:
    plain = http.client.HTTPConnection(web.address, 80, timeout=20)
    plain.request("GET", "/new", headers={"Host": WEB})
    answer = plain.getresponse()
    assert answer.status == 301 and answer.headers["Location"] == f"https://{WEB}/new"
    plain.close()
