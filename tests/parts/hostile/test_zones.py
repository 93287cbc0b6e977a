"""Zones: whatever names and records the database takes, a real PowerDNS gives away, each as it was meant."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import psycopg2.extensions
import pytest
from hypothesis import strategies as st

from tests.examples import given, thorough
from tests.parts.database.rows import machine
from tests.parts.dns.conftest import PowerDns, powerdns
from tests.parts.postgres import Database

__all__ = ["powerdns"]  # the fixture

LABEL = st.from_regex(r"[a-z0-9_][a-z0-9_-]{0,5}[a-z0-9]", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=3).map(".".join)
NUMBER = st.integers(-1, 70_000) | st.integers(0, 255)
HEX = st.binary(max_size=20).map(bytes.hex) | st.sampled_from(["abc", "zz"])
ADDRESS = st.ip_addresses().map(str) | st.sampled_from(["10.0.0.999", "::1/64", "::ffff:1.2.3.4", "1.2.3"])
TEXT = st.text(max_size=12) | st.text(alphabet='a "\\;@$()\t', max_size=12) | st.just("x" * 300)
CONTENT = st.one_of(
    ADDRESS,
    NAME,
    st.builds("{} {}".format, NUMBER, NAME),
    st.builds("{} {} {} {}".format, NUMBER, NUMBER, NUMBER, NAME | HEX),
    st.builds("{} {} {}".format, NUMBER, NUMBER, HEX),
    st.builds('{} issue "{}"'.format, NUMBER, TEXT),
    st.lists(TEXT.map('"{}"'.format), min_size=1, max_size=2).map(" ".join),
    TEXT,
)
TYPES = ["A", "AAAA", "CAA", "CNAME", "DS", "MX", "NS", "PTR", "SRV", "SSHFP", "TLSA", "TXT"]
OWNER = NAME.map("{}.x.invirt.test".format) | TEXT.map("{}.x.invirt.test".format)
EXTRA = "INSERT INTO dns.extra_records (name, type, content) VALUES (%s, %s, %s)"


@pytest.fixture
def zone(powerdns: PowerDns, database: Database) -> Iterator[psycopg2.extensions.connection]:
    """A connection to the database of a PowerDNS, in which remus is alice's."""
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    with closing(database.connect()) as connected:
        yield connected


def texts(content: str) -> list[bytes]:
    """The strings of a TXT record as in a zone file (RFC 1035, 5.1)."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"', content)
    return [
        re.sub(
            rb"\\([0-9]{3}|.)",
            lambda escape: bytes([int(escape[1])]) if escape[1].isdigit() else escape[1],
            one.encode(),
        )
        for one in found
    ]


def meant(type: str, content: str) -> object:
    """A record's content as a value that can be compared, however it is written."""
    if type in ("A", "AAAA"):
        return ipaddress.ip_address(content)
    if type in ("TXT", "CAA"):
        return content.split('"')[0], texts(content)
    words = content.lower().split(" ")
    if type in ("DS", "SSHFP", "TLSA"):  # dig breaks long ones
        head = 2 if type == "SSHFP" else 3
        return words[:head], "".join(words[head:])
    return [word.removesuffix(".") for word in words]


@given(st.lists(st.tuples(OWNER, st.sampled_from(TYPES), CONTENT), min_size=1, max_size=6))
@thorough(20)
def test_records(
    powerdns: PowerDns, zone: psycopg2.extensions.connection, rows: list[tuple[str, str, str]]
) -> None:
    with zone.cursor() as cursor:
        cursor.execute("DELETE FROM dns.extra_records")
        for row in rows:
            with contextlib.suppress(psycopg2.Error, ValueError, UnicodeError):  # refused
                cursor.execute(EXTRA, row)
        cursor.execute("SELECT name, type, content FROM dns.extra_records")
        kept = cursor.fetchall()
    found = [record.split(" ", 2) for record in powerdns.transfer("invirt.test")]
    given_away = [
        (name, type, meant(type, content))
        for name, type, content in found
        if name.endswith(".x.invirt.test.")
    ]
    wanted = [(f"{name}.", type, meant(type, content)) for name, type, content in kept]
    assert sorted(map(repr, given_away)) == sorted(map(repr, wanted)), rows
    assert ["remus.invirt.test.", "A", "10.5.0.10"] in found
