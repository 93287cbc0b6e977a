"""PowerDNS answers from the database: at once, and never anything else."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import psycopg2
import pytest

from invirt import config
from invirt.base import templates
from tests.parts.database.rows import machine
from tests.parts.dns.conftest import DEADLINE, ZONES, PowerDns
from tests.parts.postgres import Cluster, Database

EXTRA = "INSERT INTO dns.extra_records (name, type, content) VALUES (%s, %s, %s)"


def serial(powerdns: PowerDns, zone: str = "invirt.test") -> int:
    return int(powerdns.ask(zone, "SOA").records[0].split()[4])


def nic(database: Database, name: str, **values: object) -> None:
    """Set columns of a machine's only NIC."""
    for column, value in values.items():
        database.execute(
            f"UPDATE nics n SET {column} = %s FROM machines m"
            " WHERE m.machine_id = n.machine_id AND m.name = %s",
            (value, name),
        )


def test_a_machine_has_its_name_and_address_from_the_next_query_on(
    powerdns: PowerDns, database: Database
) -> None:
    assert powerdns.ask("remus.invirt.test").status == "NXDOMAIN"

    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    assert powerdns.ask("remus.invirt.test").records == ["remus.invirt.test. A 10.5.0.10"]
    assert powerdns.addresses("10.0.5.10.in-addr.arpa", "PTR") == ["remus.invirt.test."]

    nic(database, "remus", ip="10.5.0.11")
    assert powerdns.addresses("remus.invirt.test") == ["10.5.0.11"]
    assert powerdns.ask("10.0.5.10.in-addr.arpa", "PTR").status == "NXDOMAIN"

    database.execute("UPDATE machines SET name = 'romulus'")
    assert powerdns.ask("remus.invirt.test").status == "NXDOMAIN"
    assert powerdns.addresses("11.0.5.10.in-addr.arpa", "PTR") == ["romulus.invirt.test."]

    database.execute("DELETE FROM machines")
    assert powerdns.ask("romulus.invirt.test").status == "NXDOMAIN"


def test_a_machine_s_keys_as_ssh_has_them(powerdns: PowerDns, database: Database, tmp_path: Path) -> None:
    """At its own name, for as long as it is known by them."""

    def asked(name: str) -> set[str]:
        found = (
            record.split(" ", 2)[2] for record in powerdns.ask(name, "SSHFP").records if " SSHFP " in record
        )
        return {content.replace(" ", "").lower() for content in found}

    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    database.execute("INSERT INTO nics (machine_id, mac_addr, ip) SELECT machine_id, '02:00:00:00:00:09',"
                     " '10.5.0.12' FROM machines")  # fmt: skip
    wanted = set()
    for kind in ("ed25519", "ecdsa", "rsa"):
        key = str(tmp_path / kind)
        keygen("-q", "-t", kind, "-N", "", "-f", key)
        fingerprint = keygen("-l", "-f", key).split()[1]
        database.execute(
            "INSERT INTO host_keys SELECT machine_id, %s, %s FROM machines", (kind.upper(), fingerprint)
        )
        wanted |= {
            line.split(" ", 3)[3].replace(" ", "") for line in keygen("-r", "x", "-f", key).splitlines()
        }
    wanted = {line for line in wanted if line[1] == "2"}  # of SHA-256
    assert asked("remus.invirt.test") == wanted and len(wanted) == 3
    assert len(powerdns.ask("remus.invirt.test", "SSHFP").records) == 3  # not for each NIC
    before = serial(powerdns)
    database.execute("UPDATE machines SET name = 'romulus'")
    assert asked("romulus.invirt.test") == wanted and not asked("remus.invirt.test")
    database.execute("DELETE FROM host_keys WHERE kind <> 'RSA'")
    assert len(asked("romulus.invirt.test")) == 1 and serial(powerdns) > before
    database.execute("DELETE FROM machines")
    assert powerdns.ask("romulus.invirt.test", "SSHFP").status == "NXDOMAIN"


def keygen(*words: str) -> str:
    """What ssh-keygen says."""
    return subprocess.run(
        ["ssh-keygen", *words], check=True, capture_output=True, text=True, timeout=60
    ).stdout


def test_a_new_zone_is_answered_for_soon(powerdns: PowerDns, database: Database) -> None:
    """PowerDNS keeps the list of zones alone, for five seconds where no secondaries make it look."""
    text = database.config.read_text().replace(f"[{powerdns.secondary}]", "[]")
    database.config.write_text(text)
    config.reload()
    powerdns.stop()
    powerdns.start()
    assert powerdns.ask("new.test", "SOA").status == "REFUSED"
    database.config.write_text(text.replace("zones: [", "zones: [new.test, "))
    config.reload()
    database.execute(templates.render(ZONES))
    deadline = time.monotonic() + DEADLINE
    while powerdns.ask("new.test", "SOA").status != "NOERROR":
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_two_machines_that_swap_addresses(powerdns: PowerDns, database: Database) -> None:
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    machine(database, "romulus", ip="10.5.0.11", mac="02:00:00:00:00:02")
    nic(database, "remus", ip=None)
    nic(database, "romulus", ip="10.5.0.10")
    nic(database, "remus", ip="10.5.0.11")
    assert powerdns.addresses("remus.invirt.test") == ["10.5.0.11"]
    assert powerdns.addresses("10.0.5.10.in-addr.arpa", "PTR") == ["romulus.invirt.test."]


def test_ipv6(powerdns: PowerDns, database: Database) -> None:
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    assert powerdns.ask("remus.invirt.test", "AAAA").status == "NOERROR"
    assert powerdns.addresses("remus.invirt.test", "AAAA") == []
    nic(database, "remus", ip6="2001:db8::a")
    assert powerdns.addresses("remus.invirt.test", "AAAA") == ["2001:db8::a"]
    assert powerdns.addresses("remus.invirt.test") == ["10.5.0.10"]
    backwards = "a." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"
    assert powerdns.addresses(backwards, "PTR") == ["remus.invirt.test."]


def test_host_names_in_several_domains(powerdns: PowerDns, database: Database) -> None:
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    nic(database, "remus", hostname="www.a.other.test")
    database.execute("INSERT INTO hostnames SELECT 'shop.other.test', nic_id FROM nics")

    for name in ("remus.invirt.test", "www.a.other.test", "shop.other.test"):
        assert powerdns.addresses(name) == ["10.5.0.10"]
    assert powerdns.addresses("10.0.5.10.in-addr.arpa", "PTR") == ["www.a.other.test."]
    # Nothing has the name a.other.test, but something is below it (RFC 8020).
    assert powerdns.ask("a.other.test").status == "NOERROR"
    assert powerdns.ask("b.other.test").status == "NXDOMAIN"
    assert powerdns.ask("0.5.10.in-addr.arpa", "PTR").status == "NOERROR"
    assert powerdns.ask("1.5.10.in-addr.arpa", "PTR").status == "NXDOMAIN"
    database.execute("DELETE FROM hostnames")
    assert powerdns.ask("shop.other.test").status == "NXDOMAIN"


def test_a_host_name_cant_take_a_machines_own(powerdns: PowerDns, database: Database) -> None:
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    machine(database, "romulus", ip="10.5.0.11", mac="02:00:00:00:00:02")
    nic(database, "romulus", hostname="remus.invirt.test")
    assert powerdns.addresses("remus.invirt.test") == ["10.5.0.10"]
    assert "remus.invirt.test. A 10.5.0.11" not in powerdns.transfer("invirt.test")


def test_the_zone_s_own_and_extra_records(powerdns: PowerDns, database: Database) -> None:
    assert powerdns.addresses("invirt.test", "NS") == ["dns.invirt.test.", "ns2.invirt.test."]
    soa = powerdns.ask("invirt.test", "SOA").records[0]
    assert soa.startswith("invirt.test. SOA dns.invirt.test. hostmaster.invirt.test. ")
    for row in (
        ("invirt.test", "MX", "10 mail.example.org"),
        ("_sip._tcp.invirt.test", "SRV", "0 5 5060 remus.invirt.test"),
        ("remus.invirt.test", "TXT", '"two words"'),
        ("dns.invirt.test", "A", "10.86.0.5"),
        ("*.wild.invirt.test", "CNAME", "remus.invirt.test"),
    ):
        database.execute(EXTRA, row)
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    assert powerdns.ask("invirt.test", "MX").records == ["invirt.test. MX 10 mail.example.org."]
    assert powerdns.ask("_sip._tcp.invirt.test", "SRV").records[0].endswith("0 5 5060 remus.invirt.test.")
    assert powerdns.ask("remus.invirt.test", "TXT").records == ['remus.invirt.test. TXT "two words"']
    assert powerdns.addresses("dns.invirt.test") == ["10.86.0.5"]
    assert powerdns.addresses("any.wild.invirt.test") == ["10.5.0.10"]


def test_each_record_of_a_transfer_is_what_a_query_answers(powerdns: PowerDns, database: Database) -> None:
    """lookup() and the views, which a transfer reads, say the same."""
    for number in range(5):
        machine(database, f"m{number}", ip=f"10.5.0.1{number}", mac=f"02:00:00:00:00:0{number}")
        nic(database, f"m{number}", ip6=f"2001:db8::{number}")
    nic(database, "m1", hostname="one.other.test")
    nic(database, "m2", hostname="m3.invirt.test")
    database.execute(EXTRA, ("m1.invirt.test", "TXT", '"extra"'))
    for zone in ("invirt.test", "other.test", "10.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"):
        transferred = powerdns.transfer(zone)
        asked = {
            record
            for name, type in {tuple(record.split()[:2]) for record in transferred}
            for record in powerdns.ask(name, type).records
        }
        assert transferred == asked and len(transferred) > 3


def test_the_serial_grows_with_each_change_and_not_without(powerdns: PowerDns, database: Database) -> None:
    seen = [serial(powerdns)]
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    seen.append(serial(powerdns))
    for change in (
        "UPDATE machines SET name = 'romulus'",
        "UPDATE nics SET ip = '10.5.0.12'",
        "UPDATE nics SET ip6 = '2001:db8::1'",
        "INSERT INTO hostnames SELECT 'a.other.test', nic_id FROM nics",
        "INSERT INTO dns.extra_records (name, type, content) VALUES ('invirt.test', 'TXT', '\"x\"')",
        "DELETE FROM machines",
    ):
        database.execute(change)
        seen.append(serial(powerdns))
    assert seen == sorted(set(seen))
    database.execute("UPDATE owners SET memory = memory")
    assert serial(powerdns) == seen[-1] and serial(powerdns, "other.test") == seen[-1]


def test_secondaries_are_told_of_a_change_and_nobody_else_gets_the_zone(
    powerdns: PowerDns, database: Database
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as secondary:
        secondary.bind((powerdns.secondary, 53))
        secondary.settimeout(DEADLINE)
        machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
        zones = set()
        deadline = time.monotonic() + DEADLINE
        while b"\x06invirt\x04test" not in zones:
            assert time.monotonic() < deadline
            message, sender = secondary.recvfrom(512)
            assert message[2] >> 3 & 15 == 4, "the opcode of NOTIFY"
            zones.add(message[12 : message.index(0, 12)])
            secondary.sendto(message[:2] + bytes([message[2] | 0x84]) + message[3:], sender)
    stranger = powerdns.ask("invirt.test", "AXFR", "-b", "127.200.0.1")
    friend = powerdns.ask("invirt.test", "AXFR", "-b", powerdns.secondary)
    assert stranger.records == []
    assert "remus.invirt.test. A 10.5.0.10" in friend.records


def test_what_the_role_may(database: Database) -> None:
    for forbidden in (
        "SELECT * FROM public.machines",
        "SELECT * FROM public.nics",
        "UPDATE public.counters SET value = 0",
        "INSERT INTO dns.extra_records (name, type, content) VALUES ('a.b', 'A', '1.1.1.1')",
        "DELETE FROM public.hostnames",
        "SELECT * FROM dns.extra_records",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            database.execute(forbidden, user="invirt_dns")


def test_while_the_database_is_gone_the_answer_is_no_answer(
    powerdns: PowerDns, database: Database, cluster: Cluster
) -> None:
    """SERVFAIL, so that resolvers ask a secondary; the first query after is right."""
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    assert powerdns.addresses("remus.invirt.test") == ["10.5.0.10"]
    cluster.run(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS false")
    cluster.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.name}'")
    try:
        for _ in range(5):
            assert powerdns.ask("remus.invirt.test").status in ("SERVFAIL", "silence")
            assert powerdns.ask("romulus.invirt.test").status in ("SERVFAIL", "silence")
    finally:
        cluster.run(f"ALTER DATABASE {database.name} ALLOW_CONNECTIONS true")
    nic(database, "remus", ip="10.5.0.11")
    deadline = time.monotonic() + DEADLINE
    while (answer := powerdns.ask("remus.invirt.test")).status != "NOERROR":
        assert time.monotonic() < deadline and answer.records == []
        time.sleep(0.2)
    assert answer.records == ["remus.invirt.test. A 10.5.0.11"]
    assert powerdns.process and os.path.exists(f"/proc/{powerdns.process.pid}")
