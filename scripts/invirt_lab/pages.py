"""The web server's pages, as a browser of this machine finds them."""

from __future__ import annotations

from invirt.base.errors import InvirtError
from invirt_lab import certificates, cluster
from invirt_lab.browser import Browser, words
from invirt_lab.site import SERVERS, USERS, WEB

HOME = f"https://{SERVERS[WEB].fqdn}"  # for those within


def url() -> str:
    """Their address on this machine; raises NotFound where there is no lab."""
    return f"https://127.0.0.1:{cluster.door()}/"


def password(user: str) -> str:
    """A user's, which the realm was given."""
    return cluster.on("client", "cat", f"/home/{user}/.password").stdout.strip()


def browser(user: str = "", name: str = "127.0.0.1") -> Browser:
    """One that comes from outside, and calls the server so; with user's session.

    Raises InvirtError where that isn't given.
    """
    made = Browser("127.0.0.1", name, str(certificates.AUTHORITY), port=cluster.door())
    if user and (answer := made.sign_on(user, password(user))).status != 303:
        raise InvirtError(f"{user} is not signed on: status {answer.status}", hint=words(answer.text))
    return made


def way_in() -> str:
    """What to tell a person who has a browser."""
    said = ", or ".join(f"{user} with the password {password(user)}" for user in USERS)
    return f"{url()} as {said}\nIt warns of the certificate unless it trusts {certificates.AUTHORITY}.\n"
