"""A server signs on as itself, with the keytab of its host."""

from __future__ import annotations

import os

KEYTAB = "/etc/krb5.keytab"
CACHE = "FILE:/run/invirt/krb5cc"


def use_host_keytab() -> None:
    """Let GSSAPI get and renew tickets from the host's keytab.

    What is set in the environment already is left alone.  MIT's library asks
    the KDC by itself when the cache holds no ticket that is still good.  What it
    got so it renews at half of its life, in the process that comes by then, which a
    KDC that stands still holds up; so invirt-tickets.timer renews before that.
    """
    os.environ.setdefault("KRB5_CLIENT_KTNAME", KEYTAB)
    os.environ.setdefault("KRB5CCNAME", CACHE)
