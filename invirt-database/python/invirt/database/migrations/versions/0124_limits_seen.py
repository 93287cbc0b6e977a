"""The pages show what a machine is held to."""

from __future__ import annotations

from alembic import op

revision = "0124"
down_revision = "0132"

# As the view limits; that one asks with the rights of who reads it, which the web server lacks.
VIEW = """
CREATE VIEW web.limits AS
SELECT m.machine_id, k.resource, least(coalesce(x.amount, o.standard, s.standard), coalesce(o.most, s.most)) AS amount,
    coalesce(o.standard, s.standard) AS standard, coalesce(o.most, s.most) AS most
FROM machines m
    CROSS JOIN (VALUES ('cap'), ('weight'), ('disk'), ('operations'), ('download'), ('upload')) AS k (resource)
    LEFT JOIN machine_limits x ON x.machine_id = m.machine_id AND x.resource = k.resource
    LEFT JOIN owner_limits o ON o.owner_id = m.owner_id AND o.resource = k.resource
    LEFT JOIN owner_limits s ON s.owner_id IS NULL AND s.resource = k.resource
WHERE coalesce(x.amount, o.standard, s.standard, o.most, s.most) IS NOT NULL;
COMMENT ON VIEW web.limits IS 'what counts for each machine, and what its owner may hold it to';
GRANT SELECT ON web.limits TO invirt_web;
"""


def upgrade() -> None:
    """A view."""
    op.execute(VIEW)


def downgrade() -> None:
    """No page asks for it."""
    op.execute("DROP VIEW web.limits")
