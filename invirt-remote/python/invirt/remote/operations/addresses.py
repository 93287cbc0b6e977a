"""MACs and addresses for new machines."""

from __future__ import annotations

import secrets
from typing import Any

from invirt.base.errors import NoRoom
from invirt.remote.rows import Cursor

TRIES = 10  # of a random MAC that nobody has

# The first address of the range, or the one after another that is taken.  In
# both branches the index on nics.ip is followed from the range's start.
FREE = """
SELECT coalesce(
    (SELECT first WHERE NOT EXISTS (SELECT FROM nics WHERE ip = first)),
    (SELECT ip + 1 FROM nics n WHERE ip >= first AND ip < last
        AND NOT EXISTS (SELECT FROM nics x WHERE x.ip = n.ip + 1) ORDER BY ip LIMIT 1)) AS ip
FROM address_ranges WHERE range_id = %s
"""


def add_nic(cursor: Cursor, machine_id: int) -> str:
    """Give a machine a nic with a new MAC and the smallest free address, which is returned.

    Raises NoRoom when all ranges are used up.
    """
    return _insert(cursor, machine_id, _free_address(cursor))


def _insert(cursor: Cursor, machine_id: int, ip: str, wanted: str | None = None) -> str:
    """Enter a nic with the MAC that is wanted, or a new one; returns ip."""
    for _ in range(TRIES):
        mac = wanted or "00:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
        cursor.execute(
            "INSERT INTO nics (machine_id, mac_addr, ip) VALUES (%s, %s, %s)"
            " ON CONFLICT (mac_addr) DO NOTHING",
            (machine_id, mac, ip),
        )
        if cursor.rowcount == 1:
            return ip
    raise NoRoom("no MAC is free", hint="There are 16 million of them: this should never be seen.")


def add_old_nic(cursor: Cursor, machine_id: int, nic: dict[str, Any]) -> str:
    """Give a machine a nic of the trash back, as far as nobody has its MAC, addresses and names now.

    Returns its address, which is another one where the old one is taken, or in no range any more.
    """
    old_ip, mac, names = nic["ip"], nic["mac_addr"], nic["hostnames"]
    cursor.execute(
        "SELECT EXISTS (SELECT FROM nics WHERE mac_addr = %(mac)s::macaddr) AS mac,"
        " NOT EXISTS (SELECT FROM address_ranges WHERE %(ip)s::inet BETWEEN first AND last)"
        "  OR EXISTS (SELECT FROM nics WHERE ip = %(ip)s::inet) AS ip,"
        " EXISTS (SELECT FROM nics WHERE ip6 = %(ip6)s::inet) AS ip6,"
        " EXISTS (SELECT FROM nics WHERE hostname = %(hostname)s) AS hostname",
        {"mac": mac, "ip": old_ip, "ip6": nic["ip6"], "hostname": nic["hostname"]},
    )
    taken = cursor.fetchone()
    ip = _insert(
        cursor, machine_id, _free_address(cursor) if taken.ip else old_ip, None if taken.mac else mac
    )
    cursor.execute(
        "UPDATE nics SET ip6 = %s, hostname = %s WHERE machine_id = %s AND ip = %s RETURNING nic_id",
        (None if taken.ip6 else nic["ip6"], None if taken.hostname else nic["hostname"], machine_id, ip),
    )
    cursor.execute(
        "INSERT INTO hostnames (hostname, nic_id) SELECT unnest(%s::text[]), %s ON CONFLICT DO NOTHING",
        (names, cursor.fetchone().nic_id),
    )
    return ip


def _free_address(cursor: Cursor) -> str:
    """The smallest address that nobody has; the ranges stay locked until the transaction's end."""
    cursor.execute("SELECT range_id FROM address_ranges ORDER BY first FOR NO KEY UPDATE")
    for found in cursor.fetchall():
        cursor.execute(FREE, (found.range_id,))
        if ip := cursor.fetchone().ip:
            return str(ip)
    raise NoRoom("no address is free", hint="An administrator can add a range of addresses.")
