"""The doors: where Apache signs people on, each in its own way; /sign-on/NAME.

Apache's configuration and the pages are made of this table: another way to sign on is
another row, and its module in the package's postinst.
"""

from __future__ import annotations

from dataclasses import dataclass

KEYTAB = "/etc/invirt/web/http.keytab"


@dataclass(frozen=True)
class Door:
    """words: what it is called on the page.  apache: its lines, which leave a principal in REMOTE_USER."""

    words: str
    apache: tuple[str, ...]


_GSSAPI = ("AuthType GSSAPI", f"GssapiCredStore keytab:{KEYTAB}", "GssapiSSLonly On")
DOORS = {
    "ticket": Door("with your Kerberos ticket", _GSSAPI),
    "password": Door("with your password", (*_GSSAPI, "GssapiBasicAuth On")),  # the KDC checks it
}
