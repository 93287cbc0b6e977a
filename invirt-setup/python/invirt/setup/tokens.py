"""One-time tokens: what one says, and what the first server keeps of it until it is used or ends.

A token has all that a new server needs to reach the first one and to know it: its
address, the SHA-256 of its certificate, and a secret that is said to nobody else. Here
only the secret's hash is kept, beside what the new server is to be given.
"""

from __future__ import annotations

import base64
import dataclasses
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invirt.base.errors import BadInput
from invirt.base.files import replace

PORT = 4375
LASTS = 3600  # seconds
FOLDER = Path("/var/lib/invirt-enrol")
USER = "invirt-enrol"  # whose the folder is: the service has nothing but what is offered now

_FORM = re.compile(
    r"(?P<address>[0-9]{1,3}(?:\.[0-9]{1,3}){3})/(?P<name>[a-z0-9][a-z0-9.-]{2,252})"
    r"/(?P<secret>[A-Za-z0-9_-]{22})/(?P<fingerprint>[A-Za-z0-9_-]{43})"
)


@dataclass(frozen=True)
class Token:
    """What is carried to the new server, by hand: ADDRESS/NAME/SECRET/FINGERPRINT.

    address: the first server's.  name: the new one's, full.  fingerprint: of the certificate
    that the first one will show.
    """

    address: str
    name: str
    secret: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.address}/{self.name}/{self.secret}/{self.fingerprint}"


def token(text: str) -> Token:
    """As it was printed; raises BadInput."""
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise BadInput("that is not a whole token", "Copy all of what `invirt-setup token NAME` printed.")
    return Token(**found.groupdict())


def secret() -> str:
    """One that nobody guesses: 128 bits."""
    return secrets.token_urlsafe(16)


def fingerprint(certificate: bytes) -> str:
    """The SHA-256 of a certificate (DER), in letters that a shell leaves alone."""
    return base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).decode().rstrip("=")


def hashed(text: str) -> str:
    """What is kept of a secret; it is too long for anybody to try all."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Offer:
    """What waits for a new server.

    secret: its hash.  ends: seconds since 1970.  claim: the hash of what the first who showed
    the secret calls itself; from then on nobody else is answered.  bundle: what it is given.
    """

    name: str
    secret: str
    ends: float
    bundle: dict[str, Any]
    claim: str = ""


@dataclass(frozen=True)
class Offers:
    """The offers of this server, a file each."""

    folder: Path = FOLDER
    owner: str = f"{USER}:{USER}"

    def make(self, name: str, said: str, bundle: dict[str, Any], lasts: float = LASTS) -> None:
        """Offer the bundle to whoever shows the secret; an earlier offer to that name is no more."""
        self._write(Offer(name, hashed(said), time.time() + lasts, bundle))

    def waiting(self) -> list[str]:
        """Whom something is offered to; what has ended is removed."""
        return [offer.name for file in sorted(self.folder.glob("*.json")) if (offer := self._read(file))]

    def claimed(self, name: str, said: str, claim: str) -> dict[str, Any] | None:
        """The bundle, for who shows the secret of that name, for the first time or as the one that did.

        That it has shown it is on the disk before this returns.
        """
        with self._locked():
            offer = self._of(name)
            if not offer or not hmac.compare_digest(offer.secret, hashed(said)):
                return None
            if offer.claim and not hmac.compare_digest(offer.claim, hashed(claim)):
                return None
            if not offer.claim:
                self._write(dataclasses.replace(offer, claim=hashed(claim)))
            return offer.bundle

    def end(self, name: str, claim: str) -> None:
        """The one who has claimed it has all of it on its disk."""
        with self._locked():
            offer = self._of(name)
            if offer and hmac.compare_digest(offer.claim, hashed(claim)):
                self._file(name).unlink()

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _of(self, name: str) -> Offer | None:
        plain = re.fullmatch(r"[a-z0-9][a-z0-9.-]{2,252}", name, re.ASCII)
        return self._read(self._file(name)) if plain else None

    def _read(self, file: Path) -> Offer | None:
        try:
            offer = Offer(**json.loads(file.read_text()))
        except FileNotFoundError:
            return None
        if offer.ends <= time.time():
            file.unlink(missing_ok=True)
            return None
        return offer

    def _write(self, offer: Offer) -> None:
        owner = self.owner if os.getuid() == 0 else ""
        replace(self._file(offer.name), json.dumps(dataclasses.asdict(offer)).encode(), 0o600, owner)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One at a time looks and claims."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
