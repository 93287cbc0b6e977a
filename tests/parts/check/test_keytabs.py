"""Mistakes with keytabs, before a real KDC."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from invirt.check import keytabs
from invirt.check.server import Server
from tests.parts.check.conftest import found, put
from tests.parts.realm import Realm

PATH = "/etc/krb5.keytab"
pytestmark = pytest.mark.usefixtures("invirt_yaml")


@pytest.fixture(autouse=True)
def _signs_on(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5_CONFIG", str(realm.folder / "krb5.conf"))


@pytest.fixture
def name(request: pytest.FixtureRequest, server: Server) -> str:
    """Of a server that only this test changes the keys of."""
    server.name = f"{request.node.name.partition('[')[0].replace('_', '-')[:40].strip('-')}.invirt.test"
    return server.name


def give(realm: Realm, server: Server, *principals: str) -> Path:
    """A keytab of these, as it should be."""
    file = server.file(PATH)
    file.parent.mkdir(parents=True, exist_ok=True)
    realm.keytab(*principals, file=file)
    file.chmod(0o600)
    return file


def kadmin(realm: Realm, *lines: str) -> None:
    subprocess.run(
        ["kadmin.local", "-r", realm.name],
        input="\n".join(lines) + "\n",
        env=realm.environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_a_good_keytab_is_well(realm: Realm, server: Server, name: str) -> None:
    give(realm, server, f"host/{name}", f"HTTP/{name}")
    assert found(keytabs.look, server) == ""


def test_none_at_all(server: Server, name: str) -> None:
    assert f"ERROR {PATH}: there is no such keytab" in found(keytabs.look, server)


def test_the_first_entry_is_another_s(realm: Realm, server: Server, name: str) -> None:
    give(realm, server, f"HTTP/{name}", f"host/{name}")
    assert f"its first entry is HTTP/{name}@INVIRT.TEST, not host/{name}" in found(keytabs.look, server)


def test_of_another_server(realm: Realm, server: Server, name: str) -> None:
    give(realm, server, "host/other.invirt.test")
    assert f"it holds no key of host/{name}@INVIRT.TEST, but of host/other" in found(keytabs.look, server)


def test_a_newer_key_at_the_kdc(realm: Realm, server: Server, name: str) -> None:
    give(realm, server, f"host/{name}")
    kadmin(realm, f"cpw -randkey host/{name}")
    assert f"ERROR {PATH}: the KDC has another key of host/{name}" in found(keytabs.look, server)


def test_unknown_to_the_kdc(realm: Realm, server: Server, name: str) -> None:
    give(realm, server, f"host/{name}")
    kadmin(realm, f"delprinc -force host/{name}")
    assert f"it knows no host/{name}" in found(keytabs.look, server)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.chmod(0o644), "its mode is 0644, its group root: others can read"),
        (lambda file: os.chown(file, 65534, 0), "it is nobody's"),
        (lambda file: file.write_text("no keytab"), "it is damaged"),
    ],
    ids=["mode", "owner", "damaged"],
)
def test_the_file(realm: Realm, server: Server, name: str, spoil: Callable[[Path], None], said: str) -> None:
    spoil(give(realm, server, f"host/{name}"))
    assert f"ERROR {PATH}: {said}" in found(keytabs.look, server)


def test_a_kdc_that_stands_still_is_a_finding(
    realm: Realm, server: Server, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keytabs, "PATIENCE", 2)
    give(realm, server, f"host/{name}")
    assert realm.kdc
    realm.kdc.send_signal(signal.SIGSTOP)
    try:
        assert "ERROR KDC of INVIRT.TEST: it doesn't answer" in found(keytabs.look, server)
    finally:
        realm.kdc.send_signal(signal.SIGCONT)


def test_a_role_s_own_keytab(realm: Realm, server: Server, name: str) -> None:
    """PostgreSQL's, which callers ask for by the name that invirt.yaml has."""
    server.roles = ("database",)
    give(realm, server, f"host/{name}")
    assert "ERROR /etc/postgresql-common/krb5.keytab: there is no such keytab" in found(keytabs.look, server)
    own = put(server, "/etc/postgresql-common/krb5.keytab")
    own.unlink()
    realm.keytab("postgres/db.invirt.test", file=own)
    own.chmod(0o640)
    said = found(keytabs.look, server)
    assert "krb5.keytab: it is root's" in said
    assert "its mode is 0640, its group root" in said
    assert "the KDC has" not in said
