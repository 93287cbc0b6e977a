"""The key of this server: what it has signed installers take, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invirt.base import files
from invirt.base.errors import CommandFailed, InvirtError
from invirt.base.process import run

HOME = "gnupg"  # of gpg: root's alone
KEYRING = "keyring.gpg"  # the public key, for `invirt-admin autoinstall add … --keyring`


def ready(state: Path) -> Path:
    """Make the key, unless it is there; returns the file of the public one."""
    keyring = state / KEYRING
    if not keyring.exists():
        (state / HOME).mkdir(mode=0o700, exist_ok=True)
        with _gpg(state) as gpg:
            if not run([*gpg, "--list-secret-keys", "--with-colons"]).stdout:
                run([*gpg, "--quick-generate-key", "Invirt autoinstaller", "ed25519", "sign", "never"])
            run([*gpg, "--export", "--output", str(keyring.with_suffix(".new"))])
        keyring.with_suffix(".new").rename(keyring)
    return keyring


def sign(state: Path, text: str, to: Path) -> None:
    """Write text with its signature to a file, which is replaced whole."""
    with _gpg(state) as gpg:
        files.replace(to, run([*gpg, "--clearsign"], input=text).stdout.encode())


def read(state: Path, file: Path) -> str:
    """What was signed in a file; raises InvirtError if this server's key hasn't signed it."""
    try:
        words = ["gpgv", "-q", "--keyring", str(state / KEYRING), "--output", "-", str(file)]
        return run(words).stdout
    except CommandFailed as error:
        raise InvirtError(
            f"{file} isn't signed by this server's key", hint=f"Build it again. {error.hint}"
        ) from error


@contextmanager
def _gpg(state: Path) -> Iterator[list[str]]:
    """The command line of gpg, whose agent ends with it."""
    home = str(state / HOME)
    try:
        yield ["gpg", "--homedir", home, "--batch", "--yes", "--quiet", "--no-tty", "--passphrase", ""]
    finally:
        run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
