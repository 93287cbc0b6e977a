"""What quotas count: planned once a session, where an SQL function was planned whole at each call."""

from __future__ import annotations

from alembic import op

revision = "0120"
down_revision = "0103"

USED = """
CREATE OR REPLACE FUNCTION quota_used(of_owners integer[], resource text) RETURNS bigint LANGUAGE plpgsql STABLE
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    CASE resource
    WHEN 'machines' THEN RETURN (SELECT count(*) FROM machines m WHERE m.owner_id = ANY (of_owners));
    WHEN 'running' THEN RETURN (SELECT count(*) FROM machines m WHERE m.owner_id = ANY (of_owners)
        AND EXISTS (SELECT FROM reservations r WHERE r.machine_id = m.machine_id));
    WHEN 'memory' THEN RETURN (
        SELECT coalesce(sum((SELECT c.memory FROM machine_memory c WHERE c.machine_id = m.machine_id)), 0)
        FROM machines m WHERE m.owner_id = ANY (of_owners));
    WHEN 'disk' THEN RETURN (SELECT coalesce(sum(d.size), 0) FROM machines m JOIN disks d USING (machine_id)
        WHERE m.owner_id = ANY (of_owners)) + quota_trash(of_owners);
    WHEN 'cpus' THEN RETURN (SELECT coalesce(sum(m.cpus), 0) FROM machines m WHERE m.owner_id = ANY (of_owners));
    WHEN 'addresses' THEN RETURN (SELECT count(n.ip) FROM machines m JOIN nics n USING (machine_id)
        WHERE m.owner_id = ANY (of_owners));
    ELSE RETURN NULL;
    END CASE;
END $$;
"""


def upgrade() -> None:
    """The same sums."""
    op.execute(USED)


def downgrade() -> None:
    """It may stay: it counts the same."""
