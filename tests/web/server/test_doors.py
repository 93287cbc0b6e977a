"""Each door that a site may have: who comes in by it, as whom, and who doesn't."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from invirt_lab.browser import Answer, Browser
from tests.parts.realm import PASSWORD, loopback
from tests.parts.waiting import until
from tests.web.server.certificates import Authority
from tests.web.server.conftest import ROOT, WEB, Doors, WebServer
from tests.web.server.provider import ISSUER, NAME, SECRET, Provider, running
from tests.web.server.test_account import signed_on
from tests.web.server.test_sign_on import SPELLINGS, dropping

PORT = 8443
UNIT = ROOT / "invirt-web/systemd/invirt-web-names.service"
CERTIFICATES = {
    "alice": ("alice@people.test",),
    "capitals": ("alice@PEOPLE.Test",),
    "other": ("alice@other.test",),
    "two": ("alice@people.test", "carol@people.test"),
    "unmapped": ("alice@elsewhere.test",),
    "below": ("alice@x.people.test",),
    "behind": ("alice@people.test.elsewhere.test",),
    "realm": ("alice@INVIRT.TEST",),
    "twice": ("carol@INVIRT.TEST@people.test",),
    "slash": ("root/admin@people.test",),
    "escaped": ("carol\\@INVIRT.TEST@people.test",),
    "comma": ("alice,carol@people.test",),
    "space": ("alice @people.test",),
    "percent": ("alice%0a@people.test",),
    "newline": ("alice@people.test\r\nRemoteuser: carol@people.test",),
    "ended-line": ("alice@people.test\n",),
    "null": ("alice@people.test\0.elsewhere.test",),
    "empty": ("",),
    "nobody": ("@people.test",),
    "none": (),
}
GOOD = {"alice": "alice@INVIRT.TEST", "capitals": "alice@INVIRT.TEST", "other": "alice@OTHER.TEST"}
GOOD["two"] = "alice@INVIRT.TEST"  # the first counts
SAFE = "correct horse"  # alice's, in the file; the KDC has another one


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with running(tmp_path_factory.mktemp("provider"), loopback()) as started:
        yield started


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Doors:
    files = tmp_path_factory.mktemp("doors")
    for name in ("alice", "root/admin", "bob@OTHER.TEST", "host/web.invirt.test", "a,b"):
        argv = ["htpasswd", "-i", "-B", "-C", "4", *([] if name != "alice" else ["-c"])]
        argv += [str(files / "passwords"), name]
        subprocess.run(argv, input=SAFE, text=True, check=True, capture_output=True, timeout=20)
    shutil.chown(files / "passwords", group="www-data")
    (files / "passwords").chmod(0o640)
    people = Authority(files)
    people.begin().rename(files / "clients.pem")
    for name, addresses in CERTIFICATES.items():
        people.give(name, *addresses)
    people.give("subject", subject="alice@people.test")
    people.give("ended", "alice@people.test", ended=1)
    people.give("withdrawn", "alice@people.test", withdrawn=True)
    people.give("service", "alice@people.test", usage=ExtendedKeyUsageOID.SERVER_AUTH)
    Authority(files, "others").give("stranger", "alice@people.test")
    people.withdraw().rename(files / "clients.crl")
    shutil.copy(provider.certificate, files)
    secret = f'OIDCClientSecret "{SECRET}"\nOIDCCABundlePath /etc/invirt/web/login.crt\n'
    (files / "oidc.conf").write_text(secret)
    (files / "oidc.conf").chmod(0o600)
    words = f"""\
  doors: [file, certificate, oidc, password]
  oidc: {{provider: "{ISSUER}"}}
  realms: [{{domain: people.test, realm: INVIRT.TEST}}, {{domain: other.test, realm: OTHER.TEST}}]
  certificate: {{port: {PORT}, revoked: /etc/invirt/web/clients.crl}}
"""
    return Doors(words, files, {NAME: provider.address})


def is_signed_on(web: WebServer, browser: Browser, principal: str) -> None:
    page = browser.ask("/")
    assert page.status == 200 and f'title="{principal}"' in page.text, (page, web.log())


def test_the_page_offers_what_there_is(web: WebServer) -> None:
    text = web.browser().ask("/sign-on").text
    assert re.findall(r'href="/sign-on/(\w+)\?', text) == ["file", "certificate", "oidc", "password"]


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


def names(web: WebServer, *change: str) -> None:
    """Change the file of passwords, and have the unit that systemd starts then do its work."""
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    for argv in (change, ["mkdir", "-p", "/run/invirt-web-names"], shlex.split(line)):
        subprocess.run([*web.enter, *argv], input=SAFE, text=True, check=True, timeout=20)


def test_who_is_taken_out_of_the_file_is_out(web: WebServer) -> None:
    file = "/etc/invirt/web/passwords"
    names(web, "htpasswd", "-i", "-B", "-C", "4", file, "eva")
    assert web.browser().sign_on("eva", SAFE, door="file").status == 303
    names(web, "htpasswd", "-D", file, "eva")
    assert signed_on(web, "eva", door="file").ask("/").status == 303
    is_signed_on(web, signed_on(web, "alice", door="file"), "alice@INVIRT.TEST")


@pytest.mark.parametrize("name", ["bob@OTHER.TEST", "host/web.invirt.test", "a,b"])
def test_a_name_in_the_file_that_is_no_person_s(web: WebServer, name: str) -> None:
    browser = web.browser()
    answer = browser.sign_on(name, SAFE, door="file")
    assert answer.status == 403 and "whom you signed on as" in answer.text
    assert not browser.cookies


def holder(web: WebServer, doors: Doors, name: str) -> Browser:
    """A browser at the certificates' port, with one of them or none."""
    own = str(doors.files / f"{name}.pem") if doors.files and name else ""
    return Browser(web.address, WEB, str(web.folder / "server.crt"), PORT, own=own)


@pytest.mark.parametrize(("name", "principal"), GOOD.items())
def test_a_certificate(web: WebServer, doors: Doors, name: str, principal: str) -> None:
    browser = holder(web, doors, name)
    answer = browser.ask("/sign-on/certificate?next=/help")
    assert answer.to == f"https://{WEB}/help", (answer, web.log())
    browser.port, browser.own = 443, ""
    is_signed_on(web, browser, principal)


@pytest.mark.parametrize("name", [*sorted(set(CERTIFICATES) - set(GOOD)), "subject", ""])
def test_a_certificate_that_names_nobody_of_the_site(web: WebServer, doors: Doors, name: str) -> None:
    browser = holder(web, doors, name)
    answer = browser.ask("/sign-on/certificate")
    assert answer.status == 403 and not browser.cookies, answer
    assert "is no address of people.test" in answer.text or "certificate that names you" in answer.text


@pytest.mark.parametrize("name", ["ended", "withdrawn", "service", "stranger"])
def test_a_certificate_that_does_not_count(web: WebServer, doors: Doors, name: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        holder(web, doors, name).ask("/sign-on/certificate")


def test_certificates_have_a_port_of_their_own(web: WebServer, doors: Doors) -> None:
    """Where nothing else is; and what comes to the others' port is led there, with all that it says."""
    answer = web.browser().ask("/sign-on/certificate?next=/help", headers={"Remoteuser": "alice@people.test"})
    assert answer.to == f"https://{WEB}:{PORT}/sign-on/certificate?next=/help"
    browser = holder(web, doors, "alice")
    for path in ("/", "/machines/x", "/sign-on", "/sign-on/file", "/sign-on/certificatex", "/api/1/machines"):
        answer = browser.ask(path, headers={"Remoteuser": "alice@people.test"})
        assert answer.status == 302 and answer.to == f"https://{WEB}{path}", answer
    assert browser.ask("/static/style.css").status == 200
    assert not browser.cookies


@pytest.mark.parametrize(
    "detour", ["file/../certificate", "%2e%2e/sign-on/certificate", "certificate/../file"]
)
def test_no_detour_leads_to_another_door_s_rule(web: WebServer, doors: Doors, detour: str) -> None:
    """alice's certificate at any path makes alice of the site's rule, or nobody."""
    for path in (f"/sign-on/{detour}", f"//sign-on//{detour}", f"/sign-on/{detour.replace('/', '%2f')}"):
        browser = holder(web, doors, "realm")
        answer = browser.ask(path)
        assert not browser.cookies and answer.status in (302, 308, 400, 403, 404), answer


def at_provider(provider: Provider, to: str) -> str:
    """Where the provider leads whoever was led to it."""
    there = urlsplit(to)
    assert there.netloc == NAME, to
    answer = Browser(provider.address, NAME, str(provider.certificate)).ask(f"{there.path}?{there.query}")
    assert answer.status == 302, answer
    back = urlsplit(answer.to)
    return f"{back.path}?{back.query}"


def by_provider(web: WebServer, provider: Provider, browser: Browser, **headers: str) -> Answer:
    """The last of its answers: of the door, or of what is before it."""
    headers["Accept"] = "text/html"  # programs are told 401
    answer = browser.ask("/sign-on/oidc?next=/help", headers=headers)
    if answer.status == 400:  # a header that is none
        return answer
    assert answer.status == 302, (answer, web.log())
    answer = browser.ask(at_provider(provider, answer.to), headers=headers)
    if answer.status != 302:
        return answer
    if not answer.to.endswith("/sign-on/oidc?next=/help"):
        return answer
    return browser.ask("/sign-on/oidc?next=/help", headers=headers)


def test_a_provider_signs_on(web: WebServer, provider: Provider) -> None:
    provider.says()
    browser = web.browser()
    answer = by_provider(web, provider, browser)
    assert answer.to == "/help", (provider.refused, web.log()[-3000:], answer)
    assert provider.asked["redirect_uri"] == f"https://{WEB}/sign-on/oidc/back"
    assert provider.asked["scope"] == "openid email"
    is_signed_on(web, browser, "alice@INVIRT.TEST")
    assert browser.send("/", "/sign-off").to == "/sign-on"
    assert browser.ask("/").status == 303


@pytest.mark.parametrize(
    "claims",
    [
        *({"email_verified": value} for value in (False, None, "false", "yes", 0)),
        *(
            {"email": [address]}
            for address in ("alice@elsewhere.test", "alice@people.test\nRemoteuser: x", 7)
        ),
        *(
            {"email": name}
            for name in sorted(
                {text for one in CERTIFICATES.values() for text in one}
                - {"alice@people.test", "alice@PEOPLE.Test", "alice@other.test", "carol@people.test"}
            )
        ),
        {"email": "älice@people.test"},
        {"email": None},
        {"email": True},
        {"email": {"a": "alice@people.test"}},
        {"email": "alice@people.test", "OIDC_CLAIM_email": "x", "email_verified": None},
    ],
    ids=str,
)
def test_whom_a_provider_does_not_vouch_for(
    web: WebServer, provider: Provider, claims: dict[str, Any]
) -> None:
    provider.says(**claims)
    browser = web.browser()
    answer = by_provider(web, provider, browser)
    refused = ("is no address of people.test", "nobody says that your mail address", "Provider error")
    assert any(words in answer.text for words in refused), (answer, web.log()[-3000:])
    assert "__Host-invirt" not in browser.cookies


@pytest.mark.parametrize("wrong", ["iss", "aud", "nonce", "exp", "iat", "key", "public"])
def test_a_token_that_does_not_count(web: WebServer, provider: Provider, wrong: str) -> None:
    provider.says(wrong=wrong)
    browser = web.browser()
    by_provider(web, provider, browser)
    assert not provider.refused
    assert "__Host-invirt" not in browser.cookies and browser.ask("/sign-on/oidc").status == 401


def test_a_provider_that_denies(web: WebServer, provider: Provider) -> None:
    provider.says(denies=True)
    browser = web.browser()
    answer = by_provider(web, provider, browser)
    assert "__Host-invirt" not in browser.cookies and "access_denied" not in answer.to
    provider.says()


def test_another_s_way_back_is_nobody_s(web: WebServer, provider: Provider) -> None:
    """A code that somebody else was given signs on nobody who is led to it."""
    provider.says()
    answer = web.browser().ask("/sign-on/oidc", headers={"Accept": "text/html"})
    back = at_provider(provider, answer.to)
    for browser in (web.browser(), web.browser("bob")):
        kept = dict(browser.cookies)
        answer = browser.ask(back, headers={"Accept": "text/html"})
        assert answer.to == f"https://{WEB}/sign-on/failed", answer
        assert {name: browser.cookies[name] for name in kept} == kept
        assert browser.ask("/sign-on/oidc").status == 401


def test_a_program_is_led_to_no_provider(web: WebServer) -> None:
    for path in ("/sign-on/oidc", "/sign-on/oidc/api"):
        assert web.browser().ask(path).status == 401


def come_in(web: WebServer, doors: Doors, provider: Provider, door: str, headers: dict[str, str]) -> Browser:
    """alice, who comes by that door, and says headers of her own there."""
    if door == "certificate":
        browser = holder(web, doors, "alice")
        browser.ask("/sign-on/certificate", headers=headers)
        browser.port = 443
        return browser
    browser = web.browser()
    if door == "oidc":
        by_provider(web, provider, browser, **headers)
    else:
        browser.sign_on("alice", SAFE, headers, door=door)
    return browser


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("door", ["file", "certificate", "oidc"])
def test_a_forged_header_makes_nobody_else(
    web: WebServer, doors: Doors, provider: Provider, door: str, name: str
) -> None:
    """Of nobody nobody, of alice alice or nobody."""
    provider.says()
    said = "carol" if door == "file" else "carol@people.test"  # what the door would make carol of
    for more in dropping(name):
        forged = {name: said, **more}
        nobody = web.browser() if door != "certificate" else holder(web, doors, "")
        answer = nobody.ask(f"/sign-on/{door}", headers=forged)
        assert answer.status in (400, 401, 403) and not nobody.cookies, answer
        page = come_in(web, doors, provider, door, forged).ask("/")
        assert "carol" not in page.text
        assert page.status == 303 or 'title="alice@INVIRT.TEST"' in page.text


def test_without_its_module_the_door_says_so(web: WebServer) -> None:
    """And all else is as it was."""
    assert web.apache
    lacks = "lacks libapache2-mod-auth-openidc"
    for program, words in (("a2dismod", lacks), ("a2enmod", "You were not signed on")):
        subprocess.run([*web.enter, program, "-q", "auth_openidc"], check=True, timeout=20)
        web.apache.send_signal(signal.SIGUSR1)
        until(lambda words=words: words in web.browser().ask("/sign-on/oidc").text, web.log)
        assert web.browser().sign_on("alice", SAFE, door="file").to == "/"
