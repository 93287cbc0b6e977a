"""Encryption by a passphrase, as OpenPGP has had it for long: any gpg opens it, without Invirt.

`gpg --decrypt FILE | tar -x` is all that is needed.  What was changed, or cut off, is refused.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invirt.base.errors import BadInput, CommandFailed, InvirtError
from invirt.base.process import run

TIMEOUT = 4 * 3600  # seconds: some MiB are written in each
LEAST = 12  # letters of a passphrase

# As gpg 2.2 of Debian 12 reads it, too, whichever writes it.
_HOW = ("--rfc4880", "--cipher-algo", "AES256", "--s2k-digest-algo", "SHA512", "--s2k-count", "65011712")


def encrypt(source: Path, to: Path, passphrase: Path) -> None:
    """Write to, encrypted; the passphrase is the first line of a file."""
    with _gpg(passphrase) as gpg:
        run(
            [*gpg, *_HOW, "--compress-algo", "none", "--output", str(to), "--symmetric", str(source)],
            timeout=TIMEOUT,
        )


def decrypt(source: Path, to: Path, passphrase: Path) -> None:
    """Write to, decrypted; raises InvirtError, and leaves nothing, unless all is as it was written."""
    with _gpg(passphrase) as gpg:
        try:
            run([*gpg, "--output", str(to), "--decrypt", str(source)], timeout=TIMEOUT)
        except CommandFailed as error:
            to.unlink(missing_ok=True)
            raise InvirtError(
                f"{source} can't be opened: it is damaged, or its passphrase is another than in {passphrase}",
                hint=error.hint,
            ) from error


@contextmanager
def _gpg(passphrase: Path) -> Iterator[list[str]]:
    """gpg with a home of its own, whose agent ends with it."""
    if not passphrase.is_file():
        raise BadInput(
            f"there is no passphrase in {passphrase}",
            hint=f"(umask 077; openssl rand -base64 24 >{passphrase}); and keep it elsewhere, too.",
        )
    if len(passphrase.read_text().partition("\n")[0]) < LEAST:
        raise BadInput(
            f"the passphrase in {passphrase} is shorter than {LEAST} letters", hint="openssl rand -base64 24"
        )
    with tempfile.TemporaryDirectory(prefix="gpg-", dir="/tmp") as home:  # its socket wants a short path
        try:
            yield [
                *("gpg", "--homedir", home, "--batch", "--yes", "--quiet", "--no-tty", "--no-symkey-cache"),
                *("--pinentry-mode", "loopback", "--passphrase-file", str(passphrase)),
            ]
        finally:
            run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
