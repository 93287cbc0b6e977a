"""The pages show what larger quotas are asked for."""

from __future__ import annotations

from alembic import op

revision = "0121"
down_revision = "0120"

VIEW = """
CREATE VIEW web.quota_requests AS SELECT r.request_id, r.owner_id, o.name, r.resource, r.amount, q.amount AS has,
    r.principal::text AS principal, r.why::text AS why, r.at, r.state, r.decided_by::text AS decided_by,
    r.decided_at, r.answer::text AS answer
    FROM quota_requests r JOIN owners o USING (owner_id) LEFT JOIN quotas q USING (owner_id, resource);
COMMENT ON VIEW web.quota_requests IS 'has: what the quota is now; null: there is no bound';
GRANT SELECT ON web.quota_requests TO invirt_web;
"""


def upgrade() -> None:
    """A view."""
    op.execute(VIEW.replace(":", r"\:"))


def downgrade() -> None:
    """No page asks for it."""
    op.execute("DROP VIEW web.quota_requests")
