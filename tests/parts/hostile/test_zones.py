"""Zones: whatever names and records the database takes, a real PowerDNS gives away, each as it was meant."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import psycopg2.extensions
import pytest
from hypothesis import strategies as st

from tests.examples import given, thorough
from tests.parts.database.rows import machine
from tests.parts.dns.conftest import PowerDns, powerdns
from tests.parts.dns.secondary import Secondary, secondary
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
# Of each type's form.
SAMPLES = {
    "A": ["10.0.0.1", "10.0.0.2"],
    "AAAA": ["2001:db8::1", "::ffff:1.2.3.4"],
    "CAA": ['0 issue "ca.example.org"', '128 iodef "mailto:a@b.c"', '0 issue ";"'],
    "CNAME": ["www.invirt.test", "remus.invirt.test", "a.example.org"],
    "DS": ["1 13 2 " + "ab" * 32, "2 8 1 " + "AB" * 20, "3 14 4 " + "01" * 48],
    "HTTPS": [
        *("0 .", "0 a.example.org", "1 .", '1 . alpn="h2,h3" no-default-alpn port=8443', "65535 a.b port=0"),
        "1 . ipv4hint=1.2.3.4,1.2.3.5 ipv6hint=2001:db8::1,::",
        '16 a.b alpn="h2" port=1 ipv4hint=1.2.3.4',
    ],
    "LOC": [
        *(
            "42 21 54.000 N 71 6 18.000 W -24m 30m",
            "1 0 0 S 0 0 0 E 0m",
            "89 59 59.999 N 179 59 59.999 W 10.00m",
        ),
        *("1 2 3.5 S 9 0 1.25 E -99999m 1m 10000m 10m", "52 0 0 N 4 0 0 E 99999.99m 0m 0m 9000000m"),
    ],
    "MX": ["0 .", "10 a.example.org", "0 mail.invirt.test"],
    "NAPTR": [
        *(
            '10 20 "u" "E2U+sip" "!^.*$!sip:info@example.org!" .',
            '1 1 "S" "SIP+D2U" "" _sip._udp.example.org',
        ),
        '1 1 "" "" "!^abc$!x!i" .',
    ],
    "NS": ["ns.example.org", "ns.www.invirt.test"],
    "PTR": ["a.example.org"],
    "SRV": ["0 5 5060 sip.example.org", "0 0 0 ."],
    "SSHFP": ["4 2 " + "ab" * 32, "1 1 " + "01" * 20],
    "SVCB": ["0 a.example.org", '1 a.example.org alpn="dot,h2" port=853'],
    "TLSA": ["3 1 1 " + "ab" * 32, "0 0 0 00"],
    "TXT": ['"x"', '"' + "y" * 255 + '" "z"', '"\\"\\\\"', '""'],
    "URI": ['10 1 "https://example.org/?a=b;c"', '1 1 "' + "x" * 600 + '"', '1 1 "x"'],
}
# Near to them; BIND would refuse some, and the zone with them.
NEAR = {
    "DS": ["1 13 2 ab", "1 13 9 ab"],
    "HTTPS": ["1 . ipv6hint=1::2::3", "0 . port=1", "1 . no-default-alpn", "1 . port=1 port=1"],
    "LOC": ["90 0 1 N 0 0 0 E 0m", "1 60 0 N 0 0 0 E 0m"],
    "NAPTR": ['1 1 "u" "x" "!^(.*$!x!" .', r'1 1 "u" "x" "!^a$!\\\\1!" .'],
    "SSHFP": ["1 1 ab", "4 2 ab"],
    "TXT": ['"' + "x" * 256 + '"'],
}
TYPES = [*SAMPLES]
ANY = {type: SAMPLES[type] + NEAR.get(type, []) for type in TYPES}
SECONDARY = ["invirt.test", "other.test", "10.in-addr.arpa"]
OWNER = NAME.map("{}.x.invirt.test".format) | TEXT.map("{}.x.invirt.test".format)
EXTRA = "INSERT INTO dns.extra_records (name, type, content) VALUES (%s, %s, %s)"


@pytest.fixture
def zone(powerdns: PowerDns, database: Database) -> Iterator[psycopg2.extensions.connection]:
    """A connection to the database of a PowerDNS, in which remus is alice's."""
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    with closing(database.connect()) as connected:
        yield connected


@pytest.fixture
def bind(powerdns: PowerDns, tmp_path: Path) -> Iterator[Secondary]:
    """A secondary of it."""
    with secondary(tmp_path / "bind", powerdns, SECONDARY) as made:
        yield made


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
    if type in ("TXT", "CAA", "NAPTR", "URI"):
        return content.split('"')[0], texts(content), content.split('"')[-1].strip(" .")
    if type == "LOC":
        degrees = re.sub(r"\.0+(?=[ m])|(?<=\.[1-9])0+", "", content).split(" ")
        return degrees + ["1m", "10000m", "10m"][len(degrees) - 9 :]  # RFC 1876
    words = content.replace('"', "").lower().split(" ")
    if type in ("DS", "SSHFP", "TLSA"):  # dig breaks long ones
        head = 2 if type == "SSHFP" else 3
        return words[:head], "".join(words[head:])
    return [word.removesuffix(".") for word in words]


RECORD = st.tuples(OWNER, st.sampled_from(TYPES), CONTENT) | st.sampled_from(TYPES).flatmap(
    lambda type: st.tuples(OWNER, st.just(type), st.sampled_from(ANY[type]))
)


@given(st.lists(RECORD, min_size=1, max_size=6))
@thorough(20)
def test_records(
    powerdns: PowerDns,
    zone: psycopg2.extensions.connection,
    bind: Secondary,
    rows: list[tuple[str, str, str]],
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
    assert bind.takes("invirt.test"), bind.log()[-2000:]
    assert ["remus.invirt.test.", "A", "10.5.0.10"] in found


def test_every_type(zone: psycopg2.extensions.connection, bind: Secondary) -> None:
    rows = [(type, content) for type, contents in SAMPLES.items() for content in contents]
    with zone.cursor() as cursor:
        for number, row in enumerate(rows):
            cursor.execute(EXTRA, (f"x{number}.invirt.test", *row))
    assert bind.takes("invirt.test"), bind.log()[-2000:]


PLACES = [
    *(
        "invirt.test",
        "remus.invirt.test",
        "www.invirt.test",
        "a.www.invirt.test",
        "*.invirt.test",
        "*.www.invirt.test",
    ),
    *("10.0.5.10.in-addr.arpa", "0.5.10.in-addr.arpa", "other.test", "romulus.invirt.test", "in.other.test"),
]
PLACE = st.sampled_from(PLACES)
ADD = st.sampled_from(TYPES).flatmap(
    lambda type: st.tuples(st.just(EXTRA), st.tuples(PLACE, st.just(type), st.sampled_from(ANY[type])))
)
CHANGE = st.one_of(
    ADD,
    ADD,
    st.tuples(st.just("UPDATE nics SET hostname = %s"), st.tuples(PLACE)),
    st.tuples(st.just("INSERT INTO hostnames SELECT %s, nic_id FROM nics"), st.tuples(PLACE)),
    st.tuples(
        st.just("UPDATE machines SET name = %s"), st.tuples(st.sampled_from(["remus", "www", "romulus"]))
    ),
    st.tuples(st.just("DELETE FROM dns.extra_records WHERE name = %s"), st.tuples(PLACE)),
)


@given(st.lists(CHANGE, min_size=10, max_size=40))
@thorough(10)
def test_secondaries(
    zone: psycopg2.extensions.connection, bind: Secondary, changes: list[tuple[str, tuple[str, ...]]]
) -> None:
    """What is taken between records, names of NICs and machines' own, too."""
    with zone.cursor() as cursor:
        cursor.execute(
            "UPDATE nics SET hostname = NULL; DELETE FROM hostnames; DELETE FROM dns.extra_records"
        )
        for change in changes:
            with contextlib.suppress(psycopg2.Error):  # refused
                cursor.execute(*change)
    for one in SECONDARY:
        assert bind.takes(one), bind.log()[-2000:]
