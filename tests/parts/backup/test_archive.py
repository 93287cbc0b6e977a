"""A backup's file, by the real gpg: what isn't whole is refused, all of it."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from invirt.backup import archive, files, gpg
from invirt.backup.archive import Content, Manifest
from invirt.base.errors import BadInput, InvirtError


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file with a passphrase."""
    path = tmp_path / "passphrase"
    path.write_text("correct horse battery\n")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A server's files: some that are to be kept, some that are not."""
    root = tmp_path / "root"
    for name, text in {
        "etc/invirt/invirt.yaml": "site: {}\n",
        "etc/invirt/console/server.pem": "key",
        "etc/invirt/web/oidc.conf.mako": "a template",
        "etc/invirt/nftables/base.nft": "made of invirt.yaml",
        "etc/krb5.keytab": "keytab",
        "var/lib/invirt/templates.json": '{"sums": {"/etc/invirt/nftables/base.nft": []}, "reload": []}',
        "var/lib/invirt-setup/consoles/ca.key": "authority",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "etc/krb5.keytab").chmod(0o600)
    return root


@pytest.fixture
def made(root: Path, secret: Path, tmp_path: Path) -> Path:
    """A backup of that."""
    content = Content({"server": "db.invirt.test", "made": "now"})
    files.save(content, root, secret)
    with archive.workshop(tmp_path / "state") as work:
        archive.write(content, tmp_path / "backup", secret, work)
    assert not list((tmp_path / "state").iterdir())
    return tmp_path / "backup"


def read(made: Path, secret: Path, to: Path) -> Manifest:
    """Into an empty folder."""
    to.mkdir(parents=True)
    return archive.read(made, secret, to)


def test_it_comes_back(made: Path, secret: Path, tmp_path: Path) -> None:
    """With modes and owners; without what is made of invirt.yaml; what was there is kept."""
    manifest = read(made, secret, tmp_path / "out")
    assert [member.name for member in manifest.members] == [
        "files/etc/invirt/console/server.pem",
        "files/etc/invirt/invirt.yaml",
        "files/etc/krb5.keytab",
        "files/var/lib/invirt-setup/consoles/ca.key",
    ]
    fresh = tmp_path / "fresh"
    (fresh / "etc").mkdir(parents=True)
    (fresh / "etc/krb5.keytab").write_text("another")
    assert files.restore(manifest.members, tmp_path / "out", fresh) == [
        f"{fresh}/etc/krb5.keytab.before-restore"
    ]
    assert (fresh / "etc/krb5.keytab").read_text() == "keytab"
    assert (fresh / "etc/krb5.keytab").stat().st_mode & 0o777 == 0o600
    assert (fresh / "etc/invirt/invirt.yaml").read_text() == "site: {}\n"
    assert files.restore(manifest.members, tmp_path / "out", fresh) == []


def test_any_gpg_opens_it(made: Path, secret: Path, tmp_path: Path) -> None:
    """As the guide says, without a program of ours."""
    how = f"--homedir {tmp_path} --batch --pinentry-mode loopback --passphrase-file {secret}"
    words = f"gpg {how} --decrypt {made} | tar -x"
    subprocess.run(["sh", "-c", words], cwd=tmp_path, check=True, timeout=60, stderr=subprocess.DEVNULL)
    assert (tmp_path / "files/etc/krb5.keytab").read_text() == "keytab"
    subprocess.run(["gpgconf", "--homedir", tmp_path, "--kill", "all"], check=True, timeout=60)


def test_another_passphrase_is_refused(made: Path, secret: Path, tmp_path: Path) -> None:
    secret.write_text("another horse battery\n")
    with pytest.raises(InvirtError, match="passphrase is another"):
        read(made, secret, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    for wrong in ("", "short\n"):
        secret.write_text(wrong)
        with pytest.raises(BadInput, match="shorter than 12"):
            read(made, secret, tmp_path / f"short{len(wrong)}")
    secret.unlink()
    with pytest.raises(BadInput, match="no passphrase"):
        read(made, secret, tmp_path / "third")


def test_a_cut_or_changed_file_is_refused_whole(made: Path, secret: Path, tmp_path: Path) -> None:
    """Wherever it is cut, and whichever byte is another."""
    whole = made.read_bytes()
    places = range(30, len(whole), len(whole) // 4)
    damaged = [whole[:at] for at in (0, *places, len(whole) - 1)]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (*places, len(whole) - 1)]
    for number, content in enumerate(damaged):
        made.write_bytes(content)
        with pytest.raises(InvirtError):
            read(made, secret, tmp_path / f"out{number}")
        assert not list((tmp_path / f"out{number}").iterdir()), number


@pytest.mark.parametrize("wrong", ["sum", "more", "less", "outside", "link", "format", "none"])
def test_what_another_program_made_is_refused(wrong: str, secret: Path, tmp_path: Path) -> None:
    """Though its passphrase is right."""
    name = "../etc/shadow" if wrong == "outside" else "files/etc/a"
    told = archive.Member(name, "0" * 64, 1, 0o644, "root:root")
    if wrong != "sum":
        (tmp_path / "a").write_bytes(b"x")
        told = archive.Member(name, archive.digest(tmp_path / "a"), 1, 0o644, "root:root")
    manifest = Manifest({}, (told,), 99 if wrong == "format" else 1)
    with tarfile.open(tmp_path / "tar", "w") as tar:
        for member, content in ((archive.MANIFEST, manifest.text()), (name, b"x"), ("files/etc/b", b"y")):
            if (wrong, member) in (("none", archive.MANIFEST), ("less", name)):
                continue
            if member == "files/etc/b" and wrong != "more":
                continue
            info = tarfile.TarInfo(member)
            info.size = len(content)
            if wrong == "link" and member == name:
                info.type, info.size, info.linkname = tarfile.SYMTYPE, 0, "/etc/shadow"
            tar.addfile(info, io.BytesIO(content))
    gpg.encrypt(tmp_path / "tar", tmp_path / "backup", secret)
    with pytest.raises(InvirtError):
        read(tmp_path / "backup", secret, tmp_path / "in/out")
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["out"]


def test_the_oldest_go(tmp_path: Path) -> None:
    for host, day in (("db", 1), ("db", 2), ("db", 3), ("web", 1)):
        (tmp_path / archive.named(host, f"2026-11-0{day}")).touch()
    assert [path.name for path in archive.tidy(tmp_path, "db", 2)] == [archive.named("db", "2026-11-01")]
    assert len(list(tmp_path.iterdir())) == 3
    assert archive.tidy(tmp_path, "db", 14) == []
