"""A realm's database, lost and restored: the same principals with the same keys."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from invirt.backup import archive, realm
from invirt.backup.archive import Content

KDC_CONF = """\
[realms]
    INVIRT.TEST = {{
        database_name = {0}/principal
        key_stash_file = {0}/stash
        supported_enctypes = aes256-cts:normal
    }}
"""


def tool(*words: str) -> str:
    """One of Kerberos' own, on this test's realm."""
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout


def keys(folder: Path) -> str:
    """Numbers and keys of a principal."""
    (folder / "keytab").unlink(missing_ok=True)
    tool("kadmin.local", "-q", f"ktadd -norandkey -k {folder}/keytab host/db.invirt.test")
    return tool("klist", "-ekK", str(folder / "keytab"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A realm of one principal, made as an administrator would."""
    folder = tmp_path / "krb5kdc"
    folder.mkdir()
    (folder / "kdc.conf").write_text(KDC_CONF.format(folder))
    (tmp_path / "krb5.conf").write_text("[libdefaults]\ndefault_realm = INVIRT.TEST\n")
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
    monkeypatch.setenv("KRB5_KDC_PROFILE", str(folder / "kdc.conf"))
    monkeypatch.setattr(realm, "PRINCIPALS", folder / "principal")
    monkeypatch.setattr(realm, "FOLDERS", (folder,))
    tool("kdb5_util", "create", "-s", "-P", "secret")
    tool("kadmin.local", "-q", "add_principal -randkey host/db.invirt.test")
    return folder


def test_a_realm_comes_back(folder: Path, tmp_path: Path) -> None:
    """By its stash, without its password."""
    before, secret = keys(tmp_path), tmp_path / "passphrase"
    secret.write_text("correct horse battery\n")
    with archive.workshop(tmp_path / "state") as work:
        content = Content({"server": "kdc.invirt.test", "made": "now"})
        realm.save(content, work)
        archive.write(content, tmp_path / "backup", secret, work)
    for path in folder.iterdir():
        path.unlink()
    assert not realm.is_here()
    (tmp_path / "out").mkdir()
    realm.restore(archive.read(tmp_path / "backup", secret, tmp_path / "out").members, tmp_path / "out")
    assert realm.is_here()
    assert keys(tmp_path) == before
    assert (folder / "stash").stat().st_mode & 0o777 == 0o600
