"""A host's load, told with each sign of life."""

from __future__ import annotations

from alembic import op

revision = "0076"
down_revision = "0075"

COLUMN = """
ALTER TABLE host_signs ADD COLUMN load real CONSTRAINT sign_load CHECK (load BETWEEN 0 AND 1000);
COMMENT ON COLUMN host_signs.load IS 'what wants to run there, for each of its CPUs: the last minute''s mean';
GRANT UPDATE (load) ON host_signs TO invirt_host;
"""
HOSTS = """
CREATE {how} VIEW web.hosts AS SELECT h.host_id, h.name::text AS name, h.hostname::text AS hostname,
    h.memory, h.enabled, h.hypervisor, s.strangers,
    extract(epoch FROM now() - s.seen_at)::double precision AS silence,
    coalesce(r.memory, 0)::bigint AS promised, r.machines{more}
    FROM hosts h LEFT JOIN host_signs s USING (host_id) CROSS JOIN LATERAL (
        SELECT sum(memory) AS memory, count(*) AS machines FROM reservations WHERE host_id = h.host_id) r
"""


def upgrade() -> None:
    """Hosts of the version before tell none."""
    op.execute(COLUMN)
    op.execute(HOSTS.format(how="OR REPLACE", more=", s.load").replace(":", r"\:"))


def downgrade() -> None:
    """Take it away."""
    op.execute("DROP VIEW web.hosts")
    op.execute(HOSTS.format(how="", more="").replace(":", r"\:"))
    op.execute(
        "COMMENT ON COLUMN web.hosts.silence IS 'seconds since it last said anything; null: it never did'"
    )
    op.execute("GRANT SELECT ON web.hosts TO invirt_web")
    op.execute("ALTER TABLE host_signs DROP COLUMN load")
