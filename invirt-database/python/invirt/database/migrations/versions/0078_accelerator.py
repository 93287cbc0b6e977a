"""What a host runs its guests with, and why, told with each sign of life."""

from __future__ import annotations

from alembic import op

revision = "0078"
down_revision = "0077"

COLUMNS = """
ALTER TABLE host_signs
    ADD COLUMN accelerator text CONSTRAINT sign_accelerator CHECK (accelerator IN ('kvm', 'tcg', 'xen', 'none')),
    ADD COLUMN reason text CONSTRAINT sign_reason CHECK (length(reason) <= 200);
COMMENT ON COLUMN host_signs.accelerator IS 'what guests run with: tcg is QEMU''s emulation';
COMMENT ON COLUMN host_signs.reason IS 'why it is that one';
GRANT UPDATE (accelerator, reason) ON host_signs TO invirt_host;
"""
HOSTS = """
CREATE {how} VIEW web.hosts AS SELECT h.host_id, h.name::text AS name, h.hostname::text AS hostname,
    h.memory, h.enabled, h.hypervisor, s.strangers,
    extract(epoch FROM now() - s.seen_at)::double precision AS silence,
    coalesce(r.memory, 0)::bigint AS promised, r.machines, s.load{more}
    FROM hosts h LEFT JOIN host_signs s USING (host_id) CROSS JOIN LATERAL (
        SELECT sum(memory) AS memory, count(*) AS machines FROM reservations WHERE host_id = h.host_id) r
"""


def upgrade() -> None:
    """Hosts of the version before tell none."""
    op.execute(COLUMNS)
    op.execute(HOSTS.format(how="OR REPLACE", more=", s.accelerator").replace(":", r"\:"))


def downgrade() -> None:
    """Take them away."""
    op.execute("DROP VIEW web.hosts")
    op.execute(HOSTS.format(how="", more="").replace(":", r"\:"))
    op.execute(
        "COMMENT ON COLUMN web.hosts.silence IS 'seconds since it last said anything; null: it never did'"
    )
    op.execute("GRANT SELECT ON web.hosts TO invirt_web")
    op.execute("ALTER TABLE host_signs DROP COLUMN accelerator, DROP COLUMN reason")
