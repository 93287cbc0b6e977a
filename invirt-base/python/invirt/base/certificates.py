"""TLS between a site's servers: certificates of its own authority, and whose they are."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any


def context(ca: Path | str, credentials: Path | str, *, server: bool) -> ssl.SSLContext:
    """For one side of a connection.  The other must show a certificate of the authority; ask names(), too.

    What systemd has put ready for the service under a file's name (LoadCredential)
    is taken instead of the file.  OpenSSL refuses a certificate whose extended key
    usage is for the other side alone.  OSError if a file is not as it should be.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False  # names() are compared instead, on both sides
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    made.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # a connection that is cut is no end
    made.load_verify_locations(_given(ca))
    made.load_cert_chain(_given(credentials))
    return made


def _given(file: Path | str) -> Path:
    given = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), Path(file).name)
    return given if given.exists() else Path(file)


def names(connection: ssl.SSLSocket | ssl.SSLObject) -> frozenset[str]:
    """The names in the other side's certificate: its CN and its DNS names.

    PermissionError unless the authority itself has signed it: a server's
    certificate that was made as an authority's, too, makes no others.
    """
    chain = getattr(connection, "_sslobj").get_verified_chain()  # noqa: B009 - public from Python 3.13 on
    shown = connection.getpeercert()
    if len(chain) != 2 or not shown:
        raise PermissionError("a certificate that the authority has not signed itself")
    fields: dict[str, Any] = dict(shown)
    common = [value for part in fields["subject"] for key, value in part if key == "commonName"]
    return frozenset([*common, *(value for kind, value in fields.get("subjectAltName", ()) if kind == "DNS")])
