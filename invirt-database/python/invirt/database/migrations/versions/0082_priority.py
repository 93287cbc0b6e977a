"""Machines' priority: in which order those that are wanted on come back, where there isn't room for all."""

from __future__ import annotations

from alembic import op

revision = "0082"
down_revision = "0078"

COLUMN = """
ALTER TABLE machines ADD COLUMN priority smallint NOT NULL DEFAULT 5
    CONSTRAINT machine_priority CHECK (priority BETWEEN 0 AND 9);
COMMENT ON COLUMN machines.priority IS 'of those that are wanted on, but off, the higher come back first';
"""
MACHINES = """
CREATE {how} VIEW web.machines AS SELECT m.machine_id, m.name::text AS name, o.name AS owner, t.name::text AS type,
    m.memory, m.cpus, m.description::text AS description, m.created_at, m.autostart, m.wanted_on, m.why_off,
    h.name::text AS host, s.state, s.seen, s.since, s.why, s.silence{more}
    FROM machines m JOIN owners o USING (owner_id) JOIN types t USING (type_id)
    JOIN machine_states s USING (machine_id) LEFT JOIN hosts h ON h.host_id = m.host_id
"""


def upgrade() -> None:
    """All have the same."""
    op.execute(COLUMN)
    op.execute(MACHINES.format(how="OR REPLACE", more=", m.priority").replace(":", r"\:"))


def downgrade() -> None:
    """Take it away."""
    op.execute("DROP VIEW web.machines")
    op.execute(MACHINES.format(how="", more="").replace(":", r"\:"))
    op.execute("GRANT SELECT ON web.machines TO invirt_web")
    op.execute("ALTER TABLE machines DROP COLUMN priority")
