"""A server signs on as itself, with the keytab of its host."""

from __future__ import annotations

import os

KEYTAB = "/etc/krb5.keytab"
CACHE = "FILE:/run/invirt/krb5cc"
INITIATE = 1  # GSS_C_INITIATE of gssapi.h: to sign on, not to be signed on to


def use_host_keytab() -> None:
    """Let GSSAPI get and renew tickets from the host's keytab.

    What is set in the environment already is left alone.  MIT's library asks
    the KDC by itself when the cache holds no ticket that is still good.  What it
    got so it renews at half of its life, in the process that comes by then, which a
    KDC that stands still holds up; so invirt-tickets.timer renews before that.
    """
    os.environ.setdefault("KRB5_CLIENT_KTNAME", KEYTAB)
    os.environ.setdefault("KRB5CCNAME", CACHE)


def seconds_left() -> float:
    """For which our ticket is good; one that isn't any more is replaced first.  0 if there is none.

    Waits for the KDC, as long as that takes.
    """
    import ctypes  # only for those who ask

    library = ctypes.CDLL("libgssapi_krb5.so.2")
    minor, left, credential = ctypes.c_uint32(), ctypes.c_uint32(), ctypes.c_void_p()
    wanted = (None, 0, None, INITIATE)  # any name, mechanism and time
    asked = (ctypes.byref(minor), *wanted, ctypes.byref(credential), None, ctypes.byref(left))
    if library.gss_acquire_cred(*asked):
        return 0.0
    library.gss_release_cred(ctypes.byref(minor), ctypes.byref(credential))
    return float(left.value)
