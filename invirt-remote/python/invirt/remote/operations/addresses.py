"""MACs and addresses for new machines."""

from __future__ import annotations

import secrets

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
    ip = _free_address(cursor)
    for _ in range(TRIES):
        mac = "00:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))
        cursor.execute(
            "INSERT INTO nics (machine_id, mac_addr, ip) VALUES (%s, %s, %s)"
            " ON CONFLICT (mac_addr) DO NOTHING",
            (machine_id, mac, ip),
        )
        if cursor.rowcount == 1:
            return ip
    raise NoRoom("no MAC is free", hint="There are 16 million of them: this should never be seen.")


def _free_address(cursor: Cursor) -> str:
    """The smallest address that nobody has; the ranges stay locked until the transaction's end."""
    cursor.execute("SELECT range_id FROM address_ranges ORDER BY first FOR NO KEY UPDATE")
    for found in cursor.fetchall():
        cursor.execute(FREE, (found.range_id,))
        if ip := cursor.fetchone().ip:
            return str(ip)
    raise NoRoom("no address is free", hint="An administrator can add a range of addresses.")
