"""Members as a real LDAP server tells them, and when it doesn't."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest

from invirt import config
from invirt.base.errors import CommandFailed, InvirtError, NotFound
from invirt.database.mail import addresses
from invirt.database.members import asking
from tests.parts.members.conftest import Ldap, configure
from tests.parts.postgres import Database

REALM = "INVIRT.TEST"


def logins(found: list[str]) -> list[str]:
    return [principal.removesuffix(f"@{REALM}") for principal in found]


def test_groups_in_groups(directory: Ldap) -> None:
    """Each once, also in a circle; a name and a DN are the same group."""
    alice, bob, eve = (directory.person(f"nested-{name}") for name in ("alice", "bob", "eve"))
    inner = directory.group("nested-inner", bob)
    outer = directory.group("nested-outer", alice, inner)
    directory.add(f"dn: {inner}\nchangetype: modify\nadd: member\nmember: {outer}\n")
    assert logins(asking.ask("ldap", "nested-outer")) == ["nested-alice", "nested-bob"]
    assert asking.ask("ldap", outer) == asking.ask("ldap", "nested-inner")
    directory.add(f"dn: {inner}\nchangetype: modify\nadd: member\nmember: {eve}\n")
    assert "nested-eve@INVIRT.TEST" in asking.ask("ldap", "nested-outer")


def test_who_is_gone_from_the_directory_is_no_member(directory: Ldap) -> None:
    """The group may name them still."""
    here, gone = directory.person("here"), directory.person("gone")
    directory.group("dangling", here, gone, "uid=x,ou=nowhere,dc=invirt,dc=test")
    directory.add(f"dn: {gone}\nchangetype: delete\n")
    assert logins(asking.ask("ldap", "dangling")) == ["here"]


def test_posix_groups_name_logins(directory: Ldap) -> None:
    directory.add(
        "dn: cn=posix,ou=groups,dc=invirt,dc=test\nobjectClass: posixGroup\ncn: posix\n"
        "gidNumber: 5000\nmemberUid: alice\nmemberUid: bob\n",
        "-a",
    )
    assert logins(asking.ask("ldap", "posix")) == ["alice", "bob"]


def test_more_than_the_server_tells_at_once_comes_by_pages(directory: Ldap) -> None:
    """It tells 500 entries at most; more than an owner may have is refused, and not cut."""
    made = "".join(
        f"dn: uid=m{n},ou=people,dc=invirt,dc=test\nobjectClass: account\nuid: m{n}\n\n" for n in range(1100)
    )
    directory.add(made, "-a", "-c")
    members = [f"uid=m{n},ou=people,dc=invirt,dc=test" for n in range(1100)]
    directory.group("many", *members[:900])
    assert len(asking.ask("ldap", "many")) == 900
    directory.group("toomany", *members)
    with pytest.raises(CommandFailed, match="more than 1000"):
        asking.ask("ldap", "toomany")


def test_what_is_no_group_or_not_there(directory: Ldap) -> None:
    """None of it is an empty group."""
    directory.person("nobody-s")
    for name in ("ghost", "nobody-s", "uid=nobody-s,ou=people,dc=invirt,dc=test", "cn=x", "*"):
        with pytest.raises(InvirtError):
            asking.ask("ldap", name)


def test_odd_letters_are_refused_whole(directory: Ldap) -> None:
    good = directory.person("good")
    directory.add("dn: uid=a b,ou=people,dc=invirt,dc=test\nobjectClass: account\nuid: a b\n", "-a")
    directory.group("odd", good, "uid=a b,ou=people,dc=invirt,dc=test")
    with pytest.raises(InvirtError, match="not a principal"):
        asking.ask("ldap", "odd")


def test_a_certificate_that_nobody_vouches_for_is_refused(
    directory: Ldap, site: Database, tmp_path: Path
) -> None:
    """And so is one of another name."""
    other = tmp_path / "other.pem"
    other.write_text(Path("/etc/ssl/certs/ca-certificates.crt").read_text())
    configure(site, f"ldaps://127.0.0.1:{directory.port}", other, tmp_path / "password")
    with pytest.raises(CommandFailed, match="LDAP"):
        asking.ask("ldap", "nested-outer")
    configure(
        site, f"ldaps://localhost:{directory.port}", directory.folder / "cert.pem", tmp_path / "password"
    )
    with pytest.raises(CommandFailed, match="LDAP"):
        asking.ask("ldap", "nested-outer")


def test_a_wrong_password_tells_nobody(directory: Ldap, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(CommandFailed, match="Invalid credentials"):
        asking.ask("ldap", "nested-outer")


def test_a_server_that_hangs_costs_its_deadline(directory: Ldap, site: Database, tmp_path: Path) -> None:
    """Frozen, or taking connections and never a word."""
    program = (str(Path(__file__).parents[3] / "scripts/env"), "invirt-database-members")
    configure(
        site, f"ldaps://127.0.0.1:{directory.port}", directory.folder / "cert.pem", tmp_path / "password", 3
    )
    directory.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with pytest.raises(CommandFailed):
            asking.ask_apart("ldap", "nested-outer", program)
        assert time.monotonic() - begun < 20
    finally:
        directory.process.send_signal(signal.SIGCONT)


def test_nobody_listens(site: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)):
        pass
    with pytest.raises((CommandFailed, NotFound)):
        asking.ask("ldap", "staff")


def test_addresses_are_those_of_people(directory: Ldap, site: Database) -> None:
    """By a login or a whole principal; who has none, or something else there, gets no mail."""
    for login, mail in (
        ("post-alice", "alice.liddell@mail.test"),
        ("post-eve", "eve@mail.test\\n"),
        ("post-bob", ""),
    ):
        told = f"mail: {mail}\n" if mail else ""
        directory.add(
            f"dn: uid={login},ou=people,dc=invirt,dc=test\nobjectClass: inetOrgPerson\n"
            f"uid: {login}\ncn: x\nsn: x\n{told}",
            "-a",
        )
    site.config.write_text(site.config.read_text() + "mail: {people: 'ou=people,dc=invirt,dc=test'}\n")
    config.reload()
    assert addresses.address("post-alice@INVIRT.TEST") == "alice.liddell@mail.test"
    assert [addresses.address(f"{who}@INVIRT.TEST") for who in ("post-eve", "post-bob", "*", "x")] == [
        None
    ] * 4
