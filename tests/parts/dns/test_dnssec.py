"""A signed zone: what is delegated is not the zone's own, and who validates believes every answer."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from invirt import config
from invirt.base import templates
from tests.parts.database.rows import machine
from tests.parts.dns.conftest import DEADLINE, ZONES, PowerDns
from tests.parts.postgres import Database
from tests.parts.realm import loopback

EXTRA = "INSERT INTO dns.extra_records (name, type, content) VALUES (%s, %s, %s)"
DIGEST = "13 2 " + "ab" * 32
RECORDS = [
    ("ns.child.invirt.test", "A", "10.86.0.9"),
    ("child.invirt.test", "NS", "ns.child.invirt.test"),
    ("safe.invirt.test", "NS", "ns.child.invirt.test"),
    ("safe.invirt.test", "DS", f"4711 {DIGEST}"),
    ("a.deep.invirt.test", "NS", "ns.example.org"),
]

BELIEVED = "fully validated"
Validated = Callable[..., str]


@pytest.fixture
def signed(powerdns: PowerDns, database: Database) -> PowerDns:
    """Signs invirt.test, in which are remus and RECORDS."""
    sign(powerdns, "invirt.test")
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    for row in RECORDS:
        database.execute(EXTRA, row)
    return powerdns


def sign(powerdns: PowerDns, zone: str) -> None:
    """As the README says."""
    powerdns.util("set-nsec3", zone, "1 0 0 -", "narrow")
    powerdns.util("secure-zone", zone)
    powerdns.stop()  # it keeps what it knows of keys for a minute
    powerdns.start()


def key(powerdns: PowerDns, zone: str) -> list[str]:
    """The zone's: its tag, algorithm, digest's kind and digest."""
    return powerdns.util("export-zone-ds", zone).split(" DS ")[1].split()[:4]


@pytest.fixture
def validated(signed: PowerDns, tmp_path: Path) -> Validated:
    """Ask bind's delv, which trusts invirt.test's key alone; returns its verdict."""
    tag, algorithm, kind, digest = key(signed, "invirt.test")
    anchor = tmp_path / "anchor"
    anchor.write_text(f'trust-anchors {{ invirt.test. static-ds {tag} {algorithm} {kind} "{digest}"; }};\n')

    def ask(name: str, type: str, address: str = signed.address) -> str:
        argv = ["delv", f"@{address}", "-a", str(anchor), "+root=invirt.test", name, type]
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=DEADLINE)
        verdicts = [line[2:] for line in done.stdout.splitlines() if line.startswith("; ")]
        return verdicts[0] if verdicts else done.stdout + done.stderr

    return ask


def said(powerdns: PowerDns, name: str, type: str = "A") -> list[str]:
    """Names and types of the answer, without denials; of signatures what they sign."""
    words = [record.split() for record in powerdns.ask(name, type, "+dnssec").records]
    found = {
        f"{name} signs {rest[0]}" if kind == "RRSIG" else f"{name} {kind}" for name, kind, *rest in words
    }
    return sorted(
        one.replace(".invirt.test.", "") for one in found if "NSEC3" not in one and "SOA" not in one
    )


def test_what_is_live_is_signed(signed: PowerDns, validated: Validated, database: Database) -> None:
    assert said(signed, "remus.invirt.test") == ["remus A", "remus signs A"]
    database.execute("UPDATE machines SET name = 'romulus'")
    assert said(signed, "romulus.invirt.test") == ["romulus A", "romulus signs A"]
    assert validated("romulus.invirt.test", "A") == BELIEVED
    assert validated("romulus.invirt.test", "AAAA") == f"negative response, {BELIEVED}"
    assert validated("remus.invirt.test", "A") == f"negative response, {BELIEVED}"
    denied = signed.ask("remus.invirt.test", "A", "+dnssec")
    assert denied.status == "NXDOMAIN" and "NSEC3" in denied.text and "RRSIG" in denied.text


def test_a_delegation_and_what_is_there_and_below_are_not_signed(
    signed: PowerDns, validated: Validated, database: Database
) -> None:
    glue = ["child NS", "ns.child A"]
    for name in ("child.invirt.test", "www.child.invirt.test", "ns.child.invirt.test"):
        assert said(signed, name) == glue
    assert said(signed, "safe.invirt.test") == ["ns.child A", "safe DS", "safe NS", "safe signs DS"]
    database.execute("UPDATE nics SET hostname = 'child.invirt.test'")
    assert said(signed, "child.invirt.test") == glue, "the delegation wins over a NIC's further name"
    assert validated("child.invirt.test", "DS") == f"negative response, {BELIEVED}"
    assert validated("safe.invirt.test", "DS") == BELIEVED
    assert validated("deep.invirt.test", "A") == f"negative response, {BELIEVED}"
    assert " 0 errors, 0 warnings" in signed.util("check-zone", "invirt.test")


def test_two_servers_on_the_database_sign_as_one(
    signed: PowerDns, validated: Validated, database: Database, tmp_path: Path
) -> None:
    """The keys are there, too: what one is told, both are.  A secondary would get nothing."""
    folder = tmp_path / "second"
    folder.mkdir()
    second = PowerDns(folder, loopback())
    second.start()
    try:
        both = (signed, second)
        assert len({server.ask("invirt.test", "DNSKEY").records[0] for server in both}) == 1
        for there, gone in (("remus", "romulus"), ("romulus", "remus")):
            database.execute("UPDATE machines SET name = %s", (there,))
            for server in both:
                assert validated(f"{there}.invirt.test", "A", server.address) == BELIEVED
                denied = validated(f"{gone}.invirt.test", "A", server.address)
                assert denied == f"negative response, {BELIEVED}"
                assert server.transfer("invirt.test") == set()
        signed.stop()
        assert validated("romulus.invirt.test", "A", second.address) == BELIEVED
    finally:
        second.stop()


def test_what_is_delegated_no_more_is_the_zone_s_own(
    signed: PowerDns, validated: Validated, database: Database
) -> None:
    database.execute("DELETE FROM dns.extra_records WHERE name = 'child.invirt.test'")
    assert said(signed, "ns.child.invirt.test") == ["ns.child A", "ns.child signs A"]
    assert validated("ns.child.invirt.test", "A") == BELIEVED


def test_a_zone_of_ours_inside_another(signed: PowerDns, validated: Validated, database: Database) -> None:
    """The outer one delegates it, and has its DS records."""
    text = database.config.read_text()
    database.config.write_text(text.replace("zones: [", "zones: [in.side.invirt.test, "))
    config.reload()
    database.execute(templates.render(ZONES))
    database.execute("UPDATE nics SET hostname = 'a.in.side.invirt.test'")
    sign(signed, "in.side.invirt.test")
    assert validated("in.side.invirt.test", "DS") == f"negative response, {BELIEVED}"
    assert validated("side.invirt.test", "A") == f"negative response, {BELIEVED}"
    assert validated("a.in.side.invirt.test", "A") == "unsigned answer"
    database.execute(EXTRA, ("in.side.invirt.test", "DS", " ".join(key(signed, "in.side.invirt.test"))))
    assert validated("in.side.invirt.test", "DS") == BELIEVED
    assert validated("a.in.side.invirt.test", "A") == BELIEVED
    for zone in ("invirt.test", "in.side.invirt.test"):
        assert " 0 errors" in signed.util("check-zone", zone)
