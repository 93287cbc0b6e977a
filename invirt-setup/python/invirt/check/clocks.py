"""The clock, against the database's, by which all of the site is timed."""

from __future__ import annotations

from invirt import config
from invirt.check.findings import Findings, error, warning
from invirt.check.server import Server

NEAR = 2.0  # seconds: what NTP keeps by far
FAR = 60.0  # seconds: Kerberos refuses 300


def look(server: Server) -> Findings:
    """How far it is off; between this server and the KDC, signing on tells."""
    for said in server.heard:
        if abs(said.ahead) > NEAR:
            found = error if abs(said.ahead) > FAR else warning
            how = "behind" if said.ahead > 0 else "ahead of"
            what = f"it is {abs(said.ahead):.1f} s {how} that of {config.database.hostname}"
            yield found("clock", what, "Set the one that is wrong, and keep both by NTP (chrony).")
            return
