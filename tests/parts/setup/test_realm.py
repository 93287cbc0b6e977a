"""A realm that invirt-setup makes, by MIT's own tools, in a folder; and certificates, by openssl."""

from __future__ import annotations

import secrets
import socket
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from invirt.base import certificates as tls
from invirt.base.errors import CommandFailed, InvirtError
from invirt.setup import certificates, keytabs, rendered
from invirt.setup.answers import Answers, read
from invirt.setup.keytabs import Keytab
from invirt.setup.realm import Realm, conf, steps
from invirt.setup.steps import run
from tests.parts import realm as parts

SITE = """\
domain: vm.invirt.test
realm: INVIRT.TEST
addresses: {gateway: 192.0.2.1, first: 192.0.2.128, last: 192.0.2.250}
name: server1.invirt.test
address: 192.0.2.5
"""


@pytest.fixture
def site(tmp_path: Path) -> Answers:
    (tmp_path / "site.yaml").write_text(SITE)
    return read(tmp_path / "site.yaml")


@pytest.fixture
def realm(tmp_path: Path, site: Answers) -> Realm:
    """A realm that is to be made in the folder kdc."""
    made = Realm("INVIRT.TEST", tmp_path / "krb5.conf", tmp_path / "kdc.conf", tmp_path / "kdc")
    run([conf(rendered.krb5_conf(site), made.conf), steps(made)[0]])
    return made


def test_a_realm_is_made_whole_and_once(realm: Realm) -> None:
    step = steps(realm)[1]
    assert not step.done()
    left = realm.folder.with_name("kdc.invirt-new")  # by one that was killed
    left.mkdir()
    (left / "principal").write_text("half")
    step.do()
    assert step.done() and not left.exists()
    assert realm.folder.stat().st_mode & 0o777 == 0o700
    stash = (realm.folder / "stash").read_bytes()
    assert not any(record["done"] for record in run(steps(realm)[:2]))
    assert (realm.folder / "stash").read_bytes() == stash


def test_nothing_is_made_over_what_is_there(realm: Realm) -> None:
    realm.folder.mkdir()
    (realm.folder / "principal").write_text("somebody's")
    with pytest.raises(InvirtError, match="isn't empty"):
        realm.create()
    assert (realm.folder / "principal").read_text() == "somebody's"


def test_people_and_servers_sign_on(realm: Realm, site: Answers, tmp_path: Path) -> None:
    """A KDC that reads what was made, a ticket by the keytab and one by the password."""
    realm.create()
    keytab = Keytab("host/server1.invirt.test", tmp_path / "krb5.keytab")

    def source(principal: str) -> bytes:
        return keytabs.made(realm, principal)

    assert [record["done"] for record in run(keytabs.steps([keytab], source))] == [True]
    keytab.file.chmod(0o644)
    before = keytab.file.read_bytes()
    assert [record["done"] for record in run(keytabs.steps([keytab], source))] == [True]
    assert [record["done"] for record in run(keytabs.steps([keytab], source))] == [False]
    assert keytab.file.read_bytes() == before and keytab.file.stat().st_mode & 0o777 == 0o600
    password = secrets.token_urlsafe(9)
    realm.add_user("alice", password)
    assert realm.has("alice") and not realm.has("bob")

    address = parts.loopback()
    listen = f"[kdcdefaults]\n kdc_listen = {address}:88\n kdc_tcp_listen = {address}:88\n"
    realm.profile.write_text(listen + realm.profile.read_text())
    realm.conf.write_text(realm.conf.read_text().replace("kdc = server1.invirt.test", f"kdc = {address}"))
    kdc = parts.Realm(tmp_path, address, name=realm.name)  # starts it there, and asks it
    kdc.start()
    try:
        cache = ["-c", f"FILE:{tmp_path}/cache"]
        for argv, said in (
            (["-k", "-t", str(keytab.file), keytab.principal], ""),
            (["alice"], f"{password}\n"),
        ):
            done = subprocess.run(
                ["kinit", *cache, *argv], input=said, env=kdc.environment, capture_output=True, text=True,
                check=False, timeout=30,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
    finally:
        kdc.stop()


def test_anothers_realm_is_asked_for_by_name(tmp_path: Path) -> None:
    wanted = [Keytab("host/h.invirt.test", tmp_path / "a"), Keytab("HTTP/h.invirt.test", tmp_path / "b")]
    with pytest.raises(InvirtError) as caught:
        run(keytabs.steps(wanted, lambda principal: None))
    for one in wanted:
        assert one.principal in caught.value.message and f"ktadd -k {one.file}" in caught.value.hint


def test_krb5_conf_of_a_realm_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE + "kerberos: {make: false, kdcs: [kdc.invirt.test]}\n")
    file = tmp_path / "krb5.conf"
    step = conf(rendered.krb5_conf(read(tmp_path / "site.yaml")), file)
    file.write_text("[libdefaults]\n default_realm = INVIRT.TEST\n")
    assert not step.done()  # as Debian has it, who has guessed the realm
    file.write_text(
        "[libdefaults]\n default_realm = INVIRT.TEST\n[realms]\n INVIRT.TEST = {\n kdc=kdc.invirt.test\n }\n"
    )
    assert step.done()
    file.write_text("[libdefaults]\n default_realm = ELSEWHERE.TEST\n")
    assert [record["done"] for record in run([step])] == [True]
    assert "ELSEWHERE.TEST" in (tmp_path / "krb5.conf.before-invirt").read_text()
    assert file.read_text() == rendered.krb5_conf(read(tmp_path / "site.yaml"))


@pytest.fixture
def authority(tmp_path: Path) -> certificates.Authority:
    made = certificates.Authority("Invirt consoles", tmp_path / "authority")
    made.make()
    return made


def test_certificates_fit_what_servers_ask_for(authority: certificates.Authority, tmp_path: Path) -> None:
    """Two servers meet by TLS and know each other by name; each for its use alone."""
    server = certificates.Certificate(authority, tmp_path / "server.pem", ("serverAuth",))
    client = certificates.Certificate(authority, tmp_path / "client.pem", ("clientAuth",))
    for one, name in ((server, "host1.invirt.test"), (client, "console.invirt.test")):
        assert not one.good(name)
        one.put(authority.issue(name, one.usages))
        assert one.good(name) and not one.good("other.invirt.test")
    both = certificates.Certificate(authority, server.file, ("serverAuth", "clientAuth"))
    assert not both.good("host1.invirt.test")
    assert met(authority, server.file, client.file) == {"console.invirt.test"}
    with pytest.raises(ssl.SSLError):
        met(authority, client.file, client.file)


def met(authority: certificates.Authority, server: Path, client: Path) -> frozenset[str]:
    """The names that a server finds in its client's certificate."""
    ours, theirs = socket.socketpair()
    found: list[frozenset[str]] = []

    def serve() -> None:
        try:
            context = tls.context(authority.certificate, server, server=True)
            with context.wrap_socket(ours, server_side=True) as connection:
                found.append(tls.names(connection))
                connection.send(b".")
        except OSError:
            ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        context = tls.context(authority.certificate, client, server=False)
        with context.wrap_socket(theirs) as connection:
            connection.recv(1)
    finally:
        thread.join(30)
        theirs.close()
    return found[0]


def test_a_certificate_of_another_authority_is_made_anew(
    authority: certificates.Authority, tmp_path: Path
) -> None:
    other = certificates.Authority("another", tmp_path / "other")
    other.make()
    one = certificates.Certificate(authority, tmp_path / "server.pem", ("serverAuth",))
    one.put(other.issue("host1.invirt.test", one.usages))
    assert not one.good("host1.invirt.test")


def test_a_tool_that_fails_is_told(realm: Realm) -> None:
    with pytest.raises(CommandFailed, match="kadmin.local"):
        realm.add("host/x.invirt.test")
