"""Moves on pages: from where, where to, and how far one is that is under way."""

from __future__ import annotations

from alembic import op

revision = "0092"
down_revision = "0091"

# The source stands in the first step there; the target where something is sent, or changes its home.
MOVES = """
CREATE VIEW web.moves AS SELECT o.operation_id, o.machine_id, o.state,
    max(s.detail->>'host') FILTER (WHERE s.name IN ('hand over', 'shut down to move', 'copy volume')) AS source,
    max(coalesce(s.detail->>'to', CASE s.name WHEN 'change home' THEN s.detail->>'host' END)) AS target,
    max(s.detail->>'progress') FILTER (WHERE s.state = 'doing') AS progress
    FROM operations o JOIN operation_steps s USING (operation_id) WHERE o.kind IN ('migrate', 'cold-migrate')
    GROUP BY o.operation_id, o.machine_id, o.state;
GRANT SELECT ON web.moves TO invirt_web;
"""


def upgrade() -> None:
    """Those of all that moved, too."""
    op.execute(MOVES)


def downgrade() -> None:
    """Take it away."""
    op.execute("DROP VIEW web.moves")
