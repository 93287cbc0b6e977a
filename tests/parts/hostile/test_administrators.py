"""Whatever invirt-admin is told: done whole or refused in words; what is kept is rendered as it is."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest
from hypothesis import strategies as st

from invirt.base import cli, identity, validate
from invirt.base.errors import BadInput, CommandFailed, NotFound
from invirt.database import connection
from invirt.database.commands.admin import COMMAND
from invirt.database.session import session
from invirt.host import xmconfig
from invirt.host.network.rules import rules
from invirt.host.qemu import guest
from invirt.host.xen import config as xen
from invirt.remote import remconffs
from tests.examples import given, thorough
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database
from tests.unit.hostile.test_rendered import option

MAC = "02:00:00:00:00:01"
# What makes sense where an argument is called so.
SENSE = {
    "name": [
        "host1",
        "host9",
        "linux",
        "hvm",
        "alice",
        "bob",
        "remus",
        "mail.invirt.test",
        "*.x.invirt.test",
        "default",
    ],
    "names": ["fine", "remus", "root"],
    "hostname": ["host9.invirt.test", "www.invirt.test", "none"],
    "owner": ["alice"],
    "machine": ["remus"],
    "principal": ["bob@INVIRT.TEST", "alice@INVIRT.TEST", "ANYUSER"],
    "mac": [MAC, "02-00-00-00-00-01", "0200.0000.0001"],
    "ip": ["10.5.0.11", "10.5.0.99", "none"],
    "ip6": ["2001:db8::1", "fe80::1", "::ffff:1.2.3.4", "none"],
    "first": ["10.5.0.10", "10.6.0.10"],
    "last": ["10.5.0.19", "10.6.0.19"],
    "gateway": ["10.6.0.1"],
    "prefix": ["24", "33"],
    "type": ["A", "AAAA", "MX", "TXT", "SOA"],
    "content": ["10.0.0.1", "10 mail.invirt.test", '"two words"', '"a\\"b"'],
    "place": ["fast", "/srv/fast", "/srv/../etc", "-f"],
    "host": ["host1"],
    "add": ["host1", "host2"],
    "remove": ["host1", "host2"],
    "kernel": ["/boot/vmlinuz", "/boot/../etc/passwd", "vmlinuz", ""],
    "append": ["console=ttyS0 quiet", 'a="b c"', "a,b=c", "x\\y", ""],
}
NUMBERS = ["0", "1", "64", "-1", "1e3", "9" * 10, "9" * 40, "٣", "1_0", " 1", ""]
TEXT = st.text(max_size=12).map(lambda text: text.replace("\0", ""))
ESCAPED = st.binary(max_size=4).map(lambda said: said.replace(b"\0", b"").decode(errors="surrogateescape"))
ODD = st.sampled_from(["ALL", "../x", "a" * 64, "x\nANYUSER", "'; DROP TABLE hosts; --", "%s", "\x9b", "--"])


def value(argument: cli.Argument) -> st.SearchStrategy[str]:
    """Words for an argument: mostly such as make sense."""
    words = SENSE.get(argument.name, []) + [str(choice) for choice in argument.choices]
    numbers = NUMBERS if argument.type is not str else []
    sensible = words + numbers or ["x"]
    return st.one_of(*[st.sampled_from(sensible)] * 3, TEXT, ESCAPED, ODD)


def lines(place: cli.Place) -> st.SearchStrategy[list[str]]:
    """The command lines of a verb: its arguments, and some of its options."""
    made = [st.just(list(place.words[1:]))]
    for argument in (*place.row.places, *place.row.options):
        names = [argument.names[-1]] if isinstance(argument, cli.Option) else []
        flag = isinstance(argument, cli.Flag)
        words = st.just(names) if flag else value(argument).map(lambda said, names=names: [*names, said])  # type: ignore[misc]
        made.append(words if argument.required else st.just([]) | words)
    return st.tuples(*made).map(lambda parts: [word for part in parts for word in part])


LINES = st.one_of(*(lines(place) for place in cli.whole(COMMAND).all() if place.verb))
TABLES = [
    *("owners", "members", "types", "hosts", "address_ranges", "reserved_names", "machines", "disks", "nics"),
    *("hostnames", "machine_access", "dns.extra_records", "pools", "pool_hosts"),
]
WORLD = " UNION ALL ".join(f"SELECT '{table}', to_jsonb(t)::text FROM {table} t" for table in TABLES)
ZONES = (
    "SELECT dns.set_site('invirt.test', ARRAY['invirt.test', '10.in-addr.arpa'],"
    " ARRAY['ns.invirt.test'], 'hostmaster.invirt.test', 30)"
)
SEEN = "SELECT hostname::text FROM hosts JOIN pool_sight USING (host_id) JOIN disks USING (pool_id) LIMIT 1"
PLACE = """
SELECT CASE coalesce(driver, 'lvm') WHEN 'lvm' THEN '/dev/' ELSE '' END || coalesce(place, 'invirt')
FROM pools JOIN disks USING (pool_id)
"""
SHARED_GROUP = """
SELECT pool_id FROM pools JOIN disks USING (pool_id)
WHERE coalesce(driver, 'lvm') = 'lvm'
    AND (SELECT count(*) FROM pool_sight s WHERE s.pool_id = pools.pool_id) > 1
"""


class Rome:
    """The site, as it was at the beginning of each example."""

    def __init__(self, database: Database, owner: psycopg2.extensions.connection, file: Path) -> None:
        self.database, self.owner, self.file = database, owner, file
        site(database)
        machine(database, "remus", ip="10.5.0.10", mac=MAC, disk=1)
        self.rows(ZONES)
        tables = ", ".join(TABLES)
        self.rows("CREATE SCHEMA kept")
        for table in TABLES:
            self.rows(f'CREATE TABLE kept."{table}" AS SELECT * FROM {table}')
        again = (
            f'INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept."{table}"' for table in TABLES
        )
        self.again = (
            f"BEGIN; SET LOCAL session_replication_role = replica; TRUNCATE {tables} CASCADE;"
            f" {'; '.join(again)}; SELECT dns.rebuild(); COMMIT"
        )
        self.superuser = database.connect("postgres")

    def rows(self, query: str, *values: object) -> list[Any]:
        with self.owner.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def begin_again(self) -> None:
        """The triggers, which would count, are left out."""
        with self.superuser.cursor() as cursor:
            cursor.execute(self.again)

    def host(self) -> str:
        """A host that sees remus' disk, "" if there is none."""
        return next(iter(self.rows(SEEN)), ("",))[0]

    def world(self) -> list[Any]:
        return sorted(self.rows(WORLD))


@pytest.fixture
def rome(database: Database, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rome]:
    """alice's remus on a small site."""
    with closing(database.connect()) as owner:
        made = Rome(database, owner, checkout / "invirt-host/files/etc/xen/invirt-database")
        monkeypatch.setattr(identity, "hostname", made.host)
        yield made
        made.superuser.close()


def call(argv: list[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of invirt-admin, on a terminal in UTF-8."""
    connection.role = None  # which a domain's configuration has changed
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    errors = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = cli.main(COMMAND, argv)
    said = []
    for stream in (out, errors):
        stream.flush()
        said.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return code, said[0], said[1]


@given(LINES)
@thorough(4)
def test_invirt_admin(rome: Rome, argv: list[str]) -> None:
    rome.begin_again()
    before = rome.world()
    code, out, errors = call(argv)
    assert code in (0, 2, 3, 5), (argv, errors)
    assert "Traceback" not in errors
    assert bool(errors.strip()) == (code != 0)
    assert all(line.isprintable() for line in (out + errors).split("\n")), (out, errors)
    if code != 0 or "list" in argv:
        assert rome.world() == before
        return
    access(rome)
    try:
        domains(rome)
    finally:
        session.remove()  # a configuration that is refused leaves it, amid a transaction
    zones(rome)
    leases(rome)


def access(rome: Rome) -> None:
    """Each principal is in the files that let people in, or none of them is."""
    who = [one for (one,) in rome.rows("SELECT principal::text FROM members")]
    files = remconffs.render(1, [("remus", who)]).files
    assert files["/acl/remus"].decode().split("\n")[:-2] == who


def domains(rome: Rome) -> None:
    """The domain's configuration says what the rows say, and QEMU is told just that."""
    (row,) = rome.rows(
        "SELECT t.virt, t.kernel, t.initrd, t.append FROM types t JOIN machines USING (type_id)"
    )
    virt, kernel, initrd, append = row
    if not rome.host():
        with pytest.raises(NotFound, match="in a pool that this host sees"):
            xmconfig.evaluate(rome.file, {"machine_name": "remus"})
        return
    if rome.rows(SHARED_GROUP):  # whether locks guard it LVM would say, which has no group here
        with pytest.raises(CommandFailed, match="this host has no volume group"):
            xmconfig.evaluate(rome.file, {"machine_name": "remus"})
        return
    config = xmconfig.evaluate(rome.file, {"machine_name": "remus"})
    assert config.settings["type"] == virt
    [(place,)] = rome.rows(PLACE)
    assert [disk["target"] for disk in config.devices("disk")] == [f"{place}/d_remus_hda"]
    if virt == "hvm":
        return
    assert (config.text("kernel"), config.text("ramdisk")) == (kernel or "", initrd or "")
    assert config.text("extra") == f"{append or ''} hostname=remus"
    for nic in config.devices("vif"):
        rules(nic["vifname"], nic["mac"], nic["ip"].split(), name="d_remus")
    if kernel:
        files = dict.fromkeys(
            ["qmp", "console", "log", "hda", *(nic["vifname"] for nic in config.devices("vif"))], 9
        )
        assert option(guest.arguments(config, "tcg", files), "-append") == [f"{append or ''} hostname=remus"]
    with contextlib.suppress(BadInput):
        assert f'"{append or ""} hostname=remus"' in xen.rendered(config)


def zones(rome: Rome) -> None:
    """What transfers and lookups are made of: a name and a line of content each."""
    for name, content in rome.rows("SELECT name, content FROM dns.records WHERE type IS NOT NULL"):
        assert re.fullmatch(r"(\*\.)?[a-z0-9_.-]+", name)
        assert content.isprintable()
    for mac, label in rome.rows("SELECT mac_addr, m.name FROM nics JOIN machines m USING (machine_id)"):
        assert validate.machine_name(label)
        assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", mac)


def leases(rome: Rome) -> None:
    """Kea gets each NIC's own MAC and address."""
    rows = rome.rows(
        "SELECT encode(h.dhcp_identifier, 'hex'), replace(n.mac_addr::text, ':', ''),"
        " '0.0.0.0'::inet + h.ipv4_address, n.ip, h.hostname"
        " FROM dhcp.hosts h JOIN nics n ON h.ipv4_address = n.ip - '0.0.0.0'::inet"
    )
    for identifier, mac, address, ip, hostname in rows:
        assert (identifier, address, hostname) == (mac, ip, "remus")
    json.dumps(rows)
