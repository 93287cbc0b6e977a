"""Records in DNS, as an administrator adds them: made to fit, or refused with the reason."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
import sqlalchemy

from invirt.base import cli
from invirt.database import schema
from invirt.database.commands.admin import COMMAND
from tests.parts.database.rows import machine, site
from tests.parts.database.test_admin import Admin
from tests.parts.postgres import Database

SITE = "SELECT dns.set_site(%s, %s, ARRAY['ns.invirt.test'], 'h.invirt.test', 30)"
ZONES = ["invirt.test", "other.test", "10.in-addr.arpa"]
RAW = "INSERT INTO dns.extra_records (name, type, content) VALUES (%s, %s, %s)"


class Records(Admin):
    """Adds records to a site's zones."""

    def add(self, name: str, type: str, content: str) -> str:
        """What is said of it; nothing when it is taken."""
        status = cli.main(COMMAND, ["record", "add", name, type, content])
        printed = self.capsys.readouterr()
        assert status == (2 if printed.err else 0), printed.err
        return printed.err

    def contents(self) -> list[object]:
        """Of all that there are."""
        return [row["content"] for row in self.rows("record list")]


@pytest.fixture
def records(database: Database, capsys: pytest.CaptureFixture[str]) -> Records:
    """On a site with zones, and a machine remus."""
    site(database)
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    database.execute(SITE, ("invirt.test", ZONES))
    return Records(capsys)


def test_from_the_first_to_the_last_day(records: Records) -> None:
    assert not records.add("dns.invirt.test", "A", "10.0.0.5")
    assert records.rows("record list") == [
        {"name": "dns.invirt.test", "type": "A", "content": "10.0.0.5", "fault": None}
    ]
    assert "already" in records.add("dns.invirt.test", "A", "10.0.0.5")
    assert "no such record" in records("record remove dns.invirt.test A 10.0.0.6", status=3)
    records("record remove DNS.invirt.test. a 10.0.0.5")
    assert records("record list") == ""


@pytest.mark.parametrize(
    ("type", "given", "kept"),
    [
        ("MX", "1 MAIL.EXAMPLE.ORG.", "1 mail.example.org"),
        ("mx", "0 .", "0 ."),
        ("CAA", '0 ISSUE "Ca.Example.org"', '0 issue "Ca.Example.org"'),
        ("HTTPS", '1 . ALPN="h2"', '1 . alpn="h2"'),
        ("LOC", "42 21 54 n 71 6 18 w -24M", "42 21 54 N 71 6 18 W -24m"),
        ("AAAA", "2001:DB8::1", "2001:db8::1"),
        ("TXT", '"Two Words" "and more"', '"Two Words" "and more"'),
        ("TXT", f'"{"k" * 300}"', f'"{"k" * 255}" "{"k" * 45}"'),
        ("TXT", '"' + r"\"" * 256 + '"', '"' + r"\"" * 255 + r'" "\""'),
        ("TXT", '""', '""'),
    ],
)
def test_made_to_fit(records: Records, type: str, given: str, kept: str) -> None:
    assert not records.add("X.Invirt.Test.", type, given)
    assert records.contents() == [kept]


@pytest.mark.parametrize(
    ("type", "content", "said"),
    [
        ("SOA", "x", "a record's type is one of"),
        ("A", "10.0.0.256", "the content of A is an IPv4 address"),
        ("AAAA", "1::2::3", "the content of AAAA is an IPv6 address"),
        ("MX", "mail.example.org", "the content of MX is a number and a name"),
        ("MX", "1 .", "0 . for no mail"),
        ("TXT", "v=spf1 -all", "each in quotes"),
        ("DS", "1 13 2 abcd", "as many letters as its kind has"),
        ("SSHFP", "4 2 abcd", "as many letters as its kind has"),
        ("HTTPS", "0 . port=443", "with priority 0, the name alone"),
        ("NAPTR", r'1 1 "u" "E2U+sip" "!^(.*)$!\\1!" .', "without groups"),
        ("URI", "1 1 https://example.org", "in quotes"),
        ("CNAME", ".".join(["a" * 60] * 5), "the content of CNAME is a name"),
    ],
)
def test_refused_with_the_form(records: Records, type: str, content: str, said: str) -> None:
    assert said in records.add("x.invirt.test", type, content)


def test_in_zones_of_ours_alone(records: Records) -> None:
    said = records.add("www.example.org", "A", "10.0.0.5")
    assert "www.example.org is in no zone of ours" in said
    assert "10.in-addr.arpa invirt.test other.test" in said
    assert "test is in no zone of ours" in records.add("other.test", "DS", "1 13 2 " + "ab" * 32)
    assert "no zone of ours" in records.add("xinvirt.test", "A", "10.0.0.5")
    assert "NS and DS can't be at *" in records.add("*.invirt.test", "NS", "ns.example.org")


def test_a_cname_goes_alone_whichever_comes_first(records: Records, database: Database) -> None:
    assert not records.add("a.invirt.test", "CNAME", "b.example.org")
    goes_alone = "a CNAME goes alone, and a.invirt.test would have CNAME "
    assert goes_alone + "TXT" in records.add("a.invirt.test", "TXT", '"x"')
    assert "two CNAMEs" in records.add("A.invirt.test", "CNAME", "c.example.org")
    assert not records.add("b.invirt.test", "MX", "0 .")
    assert "CNAME MX" in records.add("b.invirt.test", "CNAME", "c.example.org")
    for zone in ("invirt.test", "other.test"):
        assert "CNAME NS SOA" in records.add(zone, "CNAME", "c.example.org")
    mac = "02:00:00:00:00:01"
    assert goes_alone + "A" not in records(f"nic set {mac} --hostname c.invirt.test")
    assert "A CNAME" in records.add("c.invirt.test", "CNAME", "b.example.org")
    for line in (f"nic set {mac} --hostname a.invirt.test", f"nic name a.invirt.test {mac}"):
        assert "a.invirt.test would have A CNAME" in records(line, status=2)
    mine = records.rows("range list")[0]
    assert (mine["first"], mine["last"]) == ("10.5.0.10", "10.5.0.19")
    for last in (10, 11):  # whose it is now, or will be: no create could get it
        assert "may be a machine's" in records.add(f"{last}.0.5.10.in-addr.arpa", "CNAME", "x.example.org")
    with pytest.raises(psycopg2.Error, match="may be a machine's"):
        database.execute(RAW, ("12.0.5.10.in-addr.arpa", "CNAME", "x.example.org"))
    for name in ("9.0.5.10.in-addr.arpa", "300.0.5.10.in-addr.arpa", "a.10.0.5.10.in-addr.arpa"):
        assert not records.add(name, "CNAME", "9.x.example.org")
    said = records("range add 10.5.0.5 10.5.0.9 --prefix 24 --gateway 10.5.0.1", status=2)
    assert "9.0.5.10.in-addr.arpa is of an address that may be a machine's" in said
    with pytest.raises(psycopg2.Error, match="may be a machine's"):
        database.execute("UPDATE address_ranges SET first = '10.5.0.9'")
    database.execute("UPDATE address_ranges SET last = '10.5.0.20'")


def test_of_a_range_and_a_cname_at_once_one_is_taken(records: Records, database: Database) -> None:
    """Whoever comes second waits for the first."""
    first = database.connect("invirt")
    first.cursor().execute("UPDATE address_ranges SET last = '10.5.0.25'")
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(database.execute, RAW, ("25.0.5.10.in-addr.arpa", "CNAME", "x.example.org"))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        deadline = time.monotonic() + 20
        while not database.execute(waiting)[0][0] and time.monotonic() < deadline:
            time.sleep(0.01)
        first.commit()
        with pytest.raises(psycopg2.Error, match="may be a machine's"):
            second.result(20)
    first.close()


def test_no_mail_is_no_mail(records: Records) -> None:
    assert not records.add("a.invirt.test", "MX", "0 .")
    assert "MX 0 . (no mail) goes alone" in records.add("a.invirt.test", "MX", "1 mail.example.org")


def test_a_hundred_records_of_a_type(records: Records, database: Database) -> None:
    """As many as BIND takes."""
    database.execute(
        "INSERT INTO dns.extra_records (name, type, content)"
        " SELECT 'a.invirt.test', 'A', '10.0.0.' || number FROM generate_series(1, 100) AS number"
    )
    assert "more than 100" in records.add("a.invirt.test", "A", "10.0.0.200")
    assert not records.add("a.invirt.test", "TXT", '"x"')


def test_rows_change_places_in_one_transaction(records: Records, database: Database) -> None:
    """What counts is how it is at the end."""
    assert not records.add("a.invirt.test", "CNAME", "b.example.org")
    database.execute(
        "INSERT INTO dns.extra_records (name, type, content) VALUES ('a.invirt.test', 'A', '10.0.0.1');"
        " DELETE FROM dns.extra_records WHERE type = 'CNAME'"
    )
    assert records.contents() == ["10.0.0.1"]


def test_what_was_taken_before_stays_and_is_shown(records: Records, database: Database) -> None:
    engine = sqlalchemy.create_engine(f"postgresql://invirt@/{database.name}?host={database.socket}")
    with engine.begin() as connection:
        schema.downgrade(connection, "0030")
    for row in (
        ("a.invirt.test", "CNAME", "b.example.org"),
        ("a.invirt.test", "TXT", '"x"'),
        ("b.invirt.test", "DS", "1 13 2 ab"),
        ("c.example.org", "A", "10.0.0.1"),
        ("*.invirt.test", "NS", "ns.example.org"),
        ("fine.invirt.test", "A", "10.0.0.1"),
        ("15.0.5.10.in-addr.arpa", "CNAME", "x.example.org"),
    ):
        database.execute(RAW, row)
    with engine.begin() as connection:
        schema.upgrade(connection)
    engine.dispose()
    faults = {f"{row['name']} {row['type']}": row["fault"] for row in records.rows("record list")}
    alone = "a CNAME goes alone, and a.invirt.test would have CNAME TXT"
    assert faults == {
        "15.0.5.10.in-addr.arpa CNAME": "no machine can have the address that it is the name of",
        "*.invirt.test NS": "a delegation is of one name",
        "a.invirt.test CNAME": alone,
        "a.invirt.test TXT": alone,
        "b.invirt.test DS": "its content isn't of its type's form",
        "c.example.org A": "it is in no zone of ours",
        "fine.invirt.test A": None,
    }
    database.execute("SELECT dns.rebuild()")
    database.execute("UPDATE nics SET ip = '10.5.0.11'")
    with pytest.raises(psycopg2.errors.RaiseException, match="would have"):
        database.execute(RAW, ("a.invirt.test", "MX", "0 ."))
    database.execute("DELETE FROM dns.extra_records WHERE type = 'CNAME'")
    assert not records.add("a.invirt.test", "MX", "0 .")
