"""How much a guest's link carries: what it receives waits (tc), what it sends beyond is dropped (nftables).

Its own table, beside the link's rules: what limits is no guard, and changes while these stay.
"""

from __future__ import annotations

import json
from collections.abc import Container
from contextlib import suppress

from invirt.base.errors import CommandFailed
from invirt.base.process import run

BURST = 0.02  # seconds of the rate that may come at once, and 64 KiB at least
LEAST = 64 << 10  # bytes
NAME = "invirt_limit_"
TABLE = """\
table netdev {name}
delete table netdev {name}
table netdev {name} {{
    chain sent {{
        type filter hook ingress device "{interface}" priority -400; policy accept;
        limit rate over {rate} bytes/second burst {burst} bytes drop
    }}
}}
"""
NONE = "table netdev {name}\ndelete table netdev {name}\n"


def shape(interface: str, download: int | None, upload: int | None) -> None:
    """Mbit a second, from now on; None: as much as there is.  Safe to repeat; raises CommandFailed."""
    if download:
        rate, burst = _bytes(download)
        how = f"tbf rate {8 * rate}bit burst {burst} latency 50ms"
        run(["tc", "qdisc", "replace", "dev", interface, "root", *how.split()])
    elif "tbf" in run(["tc", "qdisc", "show", "dev", interface], check=False).stdout:
        run(["tc", "qdisc", "del", "dev", interface, "root"])
    rate, burst = _bytes(upload or 1)
    text = (TABLE if upload else NONE).format(
        name=NAME + interface, interface=interface, rate=rate, burst=burst
    )
    run(["nft", "-f", "-"], input=text)


def forget(links: Container[str]) -> None:
    """Take away what was of links that are gone."""
    with suppress(CommandFailed, ValueError, KeyError):
        told = json.loads(run(["nft", "--json", "list", "tables", "netdev"]).stdout)["nftables"]
        names = [one["table"]["name"] for one in told if "table" in one]
        for name in names:
            if name.startswith(NAME) and name.removeprefix(NAME) not in links:
                run(["nft", "-f", "-"], input=NONE.format(name=name))


def _bytes(megabits: int) -> tuple[int, int]:
    """A second, and at once."""
    rate = megabits * 1_000_000 // 8
    return rate, max(LEAST, int(rate * BURST))
