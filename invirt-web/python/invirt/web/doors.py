"""The doors: where Apache signs people on, each in its own way; /sign-on/NAME.

invirt.yaml says which of them there are (web.doors).  Apache's configuration and the
pages are made of this table: another way to sign on is another row, its name in the
schema, and its module in the package's postinst.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from invirt import config
from invirt.base.errors import NotFound
from invirt.web import session

KEYTAB = "/etc/invirt/web/http.keytab"
PASSWORDS = "/etc/invirt/web/passwords"


def _of_the_realm(said: str) -> str:
    return f"{said}@{config.site.realm}"


@dataclass(frozen=True)
class Door:
    """One of them.

    words: what it is called on the page.  apache: its lines, which leave whom it signed on
    in REMOTE_USER.  principal: makes a principal of that.
    """

    words: str
    apache: tuple[str, ...]
    principal: Callable[[str], str] = str


_GSSAPI = ("AuthType GSSAPI", f"GssapiCredStore keytab:{KEYTAB}", "GssapiSSLonly On")
_FILE = ("AuthType Basic", "AuthBasicProvider file", f"AuthUserFile {PASSWORDS}")
DOORS = {
    "ticket": Door("with your Kerberos ticket", _GSSAPI),
    "password": Door("with your password", (*_GSSAPI, "GssapiBasicAuth On")),  # the KDC checks it
    "file": Door("with this server's password", _FILE, _of_the_realm),
}


def there() -> dict[str, Door]:
    """Those of this site, in its order."""
    return {name: DOORS[name] for name in config.web.doors}


def principal(name: str, headers: Mapping[str, str]) -> str:
    """Whom Apache has signed on at a door; raises Denied for nobody, NotFound for a door that isn't there."""
    door = there().get(name)
    if door is None:
        raise NotFound("there is no such page")
    return session.at_door(headers, door.principal)
