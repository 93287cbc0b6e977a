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
web:
  doors: [file, ticket, certificate]
  realms: [{domain: people.test, realm: INVIRT.TEST}, {domain: other.test, realm: OTHER.TEST}]
"""


@pytest.fixture(autouse=True)
def site(invirt_yaml: Path) -> None:
    invirt_yaml.write_text(SITE)
    config.reload()


def test_those_of_the_site_in_its_order() -> None:
    assert list(doors.there()) == ["file", "ticket", "certificate"]


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


@pytest.mark.parametrize(
    ("said", "principal"),
    [
        ("alice@people.test", "alice@INVIRT.TEST"),
        ("Alice.Smith+x@Other.TEST", "Alice.Smith+x@OTHER.TEST"),
    ],
)
def test_a_mail_address_is_of_a_named_domain(said: str, principal: str) -> None:
    assert doors.principal("certificate", {"Remoteuser": said}) == principal


@pytest.mark.parametrize(
    "said",
    [
        *(
            "alice",
            "alice@",
            "@people.test",
            "alice@INVIRT.TEST",
            "alice@elsewhere.test",
            "alice@x.people.test",
        ),
        *("root/admin@people.test", "a@b@people.test", "alice@people.test\n", "alice@people.test."),
        *(
            "alice\\@people.test",
            "a,b@people.test",
            "al ice@people.test",
            "alice@people.test,bob@people.test",
        ),
        *("älice@people.test", "alice@peopl\u212f.test", "alice%0a@people.test", "<b>@people.test"),
    ],
)
def test_any_other_is_refused_with_the_reason(said: str) -> None:
    with pytest.raises(Denied) as caught:
        doors.principal("certificate", {"Remoteuser": said})
    assert "is no address of people.test or other.test" in caught.value.message
    assert "root" in caught.value.hint


def test_without_a_certificate_one_is_told_so() -> None:
    with pytest.raises(Denied) as caught:
        doors.principal("certificate", {})
    assert "certificate" in caught.value.hint


def test_apache_says_nothing_but_visible_letters() -> None:
    for name, door in doors.DOORS.items():
        assert doors.said(door).endswith(' =~ m#^[!-~]{1,255}\\\\z#"'), name


def test_an_address_must_be_verified_and_another_claim_says_itself(invirt_yaml: Path) -> None:
    assert "%{reqenv:OIDC_CLAIM_email_verified} == '1' && " in doors.said(doors.DOORS["oidc"])
    assert 'OIDCScope "openid email"' in doors.oidc_server()
    more = "  oidc: {provider: 'https://login.test/realms/x', claim: upn}\n"
    invirt_yaml.write_text(SITE.replace("certificate]", "certificate, oidc]") + more)
    config.reload()
    assert '"expr=%{reqenv:OIDC_CLAIM_upn}" "expr=%{reqenv:OIDC_CLAIM_upn} =~' in doors.said(
        doors.DOORS["oidc"]
    )
    assert 'OIDCScope "openid profile"' in doors.oidc_server()
    assert doors.there()["oidc"].called == "at login.test"
