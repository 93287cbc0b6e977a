"""What the pages show of a NIC: its further names in DNS, too."""

from __future__ import annotations

from alembic import op

revision = "0073"
down_revision = "0072"

NICS = """
CREATE {how} VIEW web.nics AS SELECT machine_id, nic_id, host(ip) AS ip, host(ip6) AS ip6,
    mac_addr::text AS mac_addr, hostname::text AS hostname{more} FROM nics n
"""
NAMES = """,
    ARRAY(SELECT f.hostname::text FROM hostnames f WHERE f.nic_id = n.nic_id ORDER BY 1) AS further_names"""


def upgrade() -> None:
    """They come last, as views want it."""
    op.execute(NICS.format(how="OR REPLACE", more=NAMES).replace(":", r"\:"))


def downgrade() -> None:
    """Without them, a view is another one."""
    op.execute("DROP VIEW web.nics")
    op.execute(NICS.format(how="", more="").replace(":", r"\:"))
    op.execute("GRANT SELECT ON web.nics TO invirt_web")
