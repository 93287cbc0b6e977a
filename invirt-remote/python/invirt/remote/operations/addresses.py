"""MACs and addresses for new machines."""

from __future__ import annotations

import secrets
from typing import Any

from invirt.base.errors import NoRoom
from invirt.remote.rows import Cursor

TRIES = 10  # of a random MAC that nobody has

# What the same owner's machines have had lately is no stranger's: so whoever makes and deletes
# machines again and again holds no more addresses than the quota has machines.
OWN = """
SELECT h.ip FROM held_addresses h JOIN address_ranges r ON h.ip BETWEEN r.first AND r.last
WHERE h.owner_id = (SELECT owner_id FROM machines WHERE machine_id = %s) ORDER BY h.until, h.ip LIMIT 1
"""
# One that no machine has had: the first of the range, or the one after another that was given.
# In all branches indexes are followed from the range's start.
NEW = """
SELECT coalesce(
    (SELECT first WHERE NOT EXISTS (SELECT FROM nics WHERE ip = first)
        AND NOT EXISTS (SELECT FROM held_addresses WHERE ip = first)),
    (SELECT given.ip + 1 FROM (SELECT ip FROM nics UNION ALL SELECT ip FROM held_addresses) AS given
        WHERE given.ip >= first AND given.ip < last
        AND NOT EXISTS (SELECT FROM nics x WHERE x.ip = given.ip + 1)
        AND NOT EXISTS (SELECT FROM held_addresses x WHERE x.ip = given.ip + 1)
        ORDER BY given.ip LIMIT 1)) AS ip
FROM address_ranges WHERE range_id = %s
"""
RESTED = """
SELECT h.ip FROM held_addresses h JOIN address_ranges r ON h.ip BETWEEN r.first AND r.last
WHERE h.until <= now() ORDER BY h.until, h.ip LIMIT 1
"""
HELD = """
SELECT min(h.until) AS until FROM held_addresses h JOIN address_ranges r ON h.ip BETWEEN r.first AND r.last
"""
# After another owner's machine had it.
HELD_FROM = """EXISTS (SELECT FROM held_addresses h WHERE h.ip = %({})s::inet AND h.until > now()
    AND h.owner_id <> (SELECT m.owner_id FROM machines m WHERE m.machine_id = %(id)s))"""


def add_nic(cursor: Cursor, machine_id: int) -> str:
    """Give a machine a nic with a new MAC and a free address, which is returned.

    Raises NoRoom when all ranges are used up, or held.
    """
    ip = _free_address(cursor, machine_id)
    _insert(cursor, machine_id, ip)
    return ip


def _insert(cursor: Cursor, machine_id: int, ip: str | None, wanted: str | None = None) -> int:
    """Enter a nic with the MAC that is wanted, or a new one; returns its number."""
    for _ in range(TRIES):
        mac = wanted or "00:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
        cursor.execute(
            "INSERT INTO nics (machine_id, mac_addr, ip) VALUES (%s, %s, %s)"
            " ON CONFLICT (mac_addr) DO NOTHING RETURNING nic_id",
            (machine_id, mac, ip),
        )
        if found := cursor.fetchone():
            return int(found.nic_id)
    raise NoRoom("no MAC is free", hint="There are 16 million of them: this should never be seen.")


def add_old_nic(cursor: Cursor, machine_id: int, nic: dict[str, Any]) -> str:
    """Give a machine a nic of the trash back, as far as nobody has its MAC, addresses and names now.

    Returns its addresses; IPv4's is another one where the old one is taken, or in no range any more.
    """
    old_ip, mac, names = nic["ip"], nic["mac_addr"], nic["hostnames"]
    cursor.execute(
        "SELECT EXISTS (SELECT FROM nics WHERE mac_addr = %(mac)s::macaddr) AS mac,"
        " %(ip)s::inet IS NOT NULL AND ("
        "  NOT EXISTS (SELECT FROM address_ranges WHERE %(ip)s::inet BETWEEN first AND last)"
        f"  OR EXISTS (SELECT FROM nics WHERE ip = %(ip)s::inet) OR {HELD_FROM.format('ip')}) AS ip,"
        f" EXISTS (SELECT FROM nics WHERE ip6 = %(ip6)s::inet) OR {HELD_FROM.format('ip6')} AS ip6,"
        " EXISTS (SELECT FROM nics WHERE hostname = %(hostname)s) AS hostname",
        {"mac": mac, "ip": old_ip, "ip6": nic["ip6"], "hostname": nic["hostname"], "id": machine_id},
    )
    taken = cursor.fetchone()
    ip = _free_address(cursor, machine_id) if taken.ip else old_ip
    ip6 = None if taken.ip6 else nic["ip6"]
    number = _insert(cursor, machine_id, ip, None if taken.mac else mac)
    cursor.execute(
        "UPDATE nics SET ip6 = %s, hostname = %s WHERE nic_id = %s",
        (ip6, None if taken.hostname else nic["hostname"], number),
    )
    cursor.execute(
        "INSERT INTO hostnames (hostname, nic_id) SELECT unnest(%s::text[]), %s ON CONFLICT DO NOTHING",
        (names, number),
    )
    return " and ".join(filter(None, (ip, ip6)))


def _free_address(cursor: Cursor, machine_id: int) -> str:
    """The owner's last, one that is new, or the one that rested longest; the ranges stay locked."""
    cursor.execute("SELECT range_id FROM address_ranges ORDER BY first FOR NO KEY UPDATE")
    ranges = [found.range_id for found in cursor.fetchall()]
    for query, values in ((OWN, [machine_id]), *((NEW, [number]) for number in ranges), (RESTED, [])):
        cursor.execute(query, values)
        found = cursor.fetchone()
        if found and found.ip:
            return str(found.ip)
    cursor.execute(HELD)
    until = cursor.fetchone().until
    hint = f"One that is held from others since its machine went is free at {until:%H:%M}. " if until else ""
    raise NoRoom("no address is free", hint=f"{hint}An administrator can add a range of addresses.")
