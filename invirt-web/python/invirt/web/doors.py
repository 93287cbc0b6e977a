"""The doors: where Apache signs people on, each in its own way; /sign-on/NAME.

invirt.yaml says which of them there are (web.doors).  Apache's configuration and the
pages are made of this table: another way to sign on is another row, its name in the
schema, and its module in the package's postinst.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from invirt import config
from invirt.base.errors import BadInput, NotFound
from invirt.web import accounts, session

KEYTAB = "/etc/invirt/web/http.keytab"
PASSWORDS = "/etc/invirt/web/passwords"
OIDC_SECRET = "/etc/invirt/web/oidc.conf"
CERTIFIED = {"email": "SAN_Email_0", "subject-email": "S_DN_Email", "upn": "SAN_OTHER_msUPN_0"}
# No "/": alice/admin@example.org is a mail address that somebody may be given, and root/admin a principal.
_ADDRESS = re.compile(r"([A-Za-z0-9._+-]{1,64})@([A-Za-z0-9.-]{1,253})", re.ASCII)


def _of_the_realm(said: str) -> str:
    return f"{said}@{config.site.realm}"


def _by_domain(said: str) -> str:
    """The principal of a mail address, of a domain that the site names; raises BadInput for any other."""
    realms = {one.domain: one.realm for one in config.web.realms}
    found = _ADDRESS.fullmatch(said)
    realm = realms.get(found[2].lower()) if found else None
    if not found or not realm:
        raise BadInput(
            f"{said[:100]!a} is no address of {' or '.join(realms)}",
            hint=f"Sign on in another way, or ask {config.site.contact}.",
        )
    return f"{found[1]}@{realm}"


@dataclass(frozen=True)
class Door:
    """One of them.

    words: what it is called on the page, {provider}'s host in its place.  apache: its lines.
    who: Apache's expression for whom they sign on.  only: what else must hold.  principal: makes
    a principal of that.  hint: what to do where nobody was signed on.  still: whether a principal
    may still sign on; None where nobody can tell.
    """

    words: str
    apache: Callable[[], tuple[str, ...]]
    principal: Callable[[str], str] = str
    who: Callable[[], str] = lambda: "%{REMOTE_USER}"
    only: Callable[[], str] = str
    hint: str = "Sign on again; a browser may need a second try."
    still: Callable[[str], bool | None] = lambda _: None

    @property
    def called(self) -> str:
        """The words as they are shown."""
        return self.words.format(provider=urlsplit(config.web.oidc.provider).hostname)


def _gssapi(*more: str) -> Callable[[], tuple[str, ...]]:
    lines = ("AuthType GSSAPI", f"GssapiCredStore keytab:{KEYTAB}", "GssapiSSLonly On", *more)
    return lambda: (*lines, "Require valid-user")


def _file() -> tuple[str, ...]:
    return ("AuthType Basic", "AuthBasicProvider file", f"AuthUserFile {PASSWORDS}", "Require valid-user")


def _oidc() -> tuple[str, ...]:
    """What the provider says stays in Apache; 400 is Debian 13's answer to a token that doesn't count."""
    lines = ("AuthType openid-connect", "OIDCPassClaimsAs environment", "Require valid-user")
    return (*lines, "ErrorDocument 400 /sign-on/failed")


def oidc_server() -> tuple[str, ...]:
    """Apache's lines about the provider, for the server as a whole; the client's secret is in OIDC_SECRET.

    The module's own session is for the way from the provider to the door; ours is what lasts.
    """
    oidc = config.web.oidc
    return (
        f"OIDCProviderMetadataURL {oidc.provider}/.well-known/openid-configuration",
        f"OIDCClientID {oidc.client}",
        f'OIDCScope "openid {"email" if oidc.claim == "email" else "profile"}"',
        "OIDCPKCEMethod S256",
        f"OIDCRedirectURI https://{config.web.hostname}/sign-on/oidc/back",
        f"OIDCDefaultURL https://{config.web.hostname}/sign-on/failed",
        'OIDCCryptoPassphrase "exec:/usr/bin/od -An -N32 -tx8 -w32 /dev/urandom"',
        "OIDCCookiePath /sign-on/",
        "OIDCCookieSameSite On",
        "OIDCSessionInactivityTimeout 10",
        "OIDCSessionMaxDuration 15",
        "OIDCStateMaxNumberOfCookies 7 true",
        f"IncludeOptional {OIDC_SECRET}",
    )


def _claim() -> str:
    return f"%{{reqenv:OIDC_CLAIM_{config.web.oidc.claim}}}"


def _verified() -> str:
    return "%{reqenv:OIDC_CLAIM_email_verified} == '1'" if config.web.oidc.claim == "email" else ""


DOORS = {
    "ticket": Door("with your Kerberos ticket", _gssapi(), still=accounts.of_kdc),
    "password": Door(  # the KDC checks it
        "with your password", _gssapi("GssapiBasicAuth On"), still=accounts.of_kdc
    ),
    "file": Door("with this server's password", _file, _of_the_realm, still=accounts.of_file),
    "certificate": Door(
        "with your certificate",
        lambda: ("Require all granted",),
        _by_domain,
        lambda: f"%{{SSL:SSL_CLIENT_{CERTIFIED[config.web.certificate.name]}}}",
        lambda: "%{SSL:SSL_CLIENT_VERIFY} == 'SUCCESS'",
        "Your browser gave no certificate that names you. Close it, open it again, and choose one.",
    ),
    "oidc": Door(
        "at {provider}",
        _oidc,
        _by_domain,
        _claim,
        _verified,
        "Where you signed on, nobody says that your mail address is yours. Have it confirmed there.",
    ),
}


def there() -> dict[str, Door]:
    """Those of this site, in its order."""
    return {name: DOORS[name] for name in config.web.doors}


def said(door: Door) -> str:
    """Apache's line that says whom it signed on: nothing for nobody, or for a name of other letters."""
    who = door.who()
    held = " && ".join(filter(None, (door.only(), rf"{who} =~ m#^[!-~]{{1,255}}\\z#")))
    return f'RequestHeader set {session.HEADER} "expr={who}" "expr={held}"'


def principal(name: str, headers: Mapping[str, str]) -> str:
    """Whom Apache has signed on at a door; raises Denied for nobody, NotFound for a door that isn't there."""
    door = there().get(name)
    if door is None:
        raise NotFound("there is no such page")
    return session.at_door(headers, door.principal, door.hint)


def still(name: str, principal: str) -> bool | None:
    """Whether somebody may still sign on at a door; None where nobody can tell, False if there is no door."""
    door = there().get(name)
    return door.still(principal) if door else False
