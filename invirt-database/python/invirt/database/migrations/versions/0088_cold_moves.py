"""A machine whose disks are on their way to another host has memory reserved there before they are."""

from __future__ import annotations

from alembic import op

revision = "0088"
down_revision = "0098"

# Those of a cold move that is under way become true at its pivot, all at once.
SIGHT = """
CREATE OR REPLACE FUNCTION check_sight() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    blind record;
    machine integer;
    pool integer;
BEGIN
    IF TG_TABLE_NAME IN ('reservations', 'disks') THEN
        machine := NEW.machine_id;
        PERFORM FROM machines m WHERE m.machine_id = machine FOR NO KEY UPDATE;
        PERFORM FROM pools p WHERE p.pool_id IN (SELECT d.pool_id FROM disks d WHERE d.machine_id = machine)
            ORDER BY p.pool_id FOR SHARE;
    ELSE
        pool := OLD.pool_id;
        PERFORM FROM pools p WHERE p.pool_id = pool FOR NO KEY UPDATE;
    END IF;
    SELECT m.name AS machine, p.name AS pool, h.name AS host INTO blind
        FROM reservations r JOIN disks d USING (machine_id) JOIN machines m USING (machine_id)
        JOIN hosts h ON h.host_id = r.host_id JOIN pools p USING (pool_id)
        WHERE (r.machine_id = machine OR p.pool_id = pool) AND NOT EXISTS (SELECT FROM pool_sight s
            WHERE s.pool_id = p.pool_id AND s.host_id = r.host_id){but} LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the host % would not see the pool %, where % has a disk',
            blind.host, blind.pool, blind.machine USING CONSTRAINT = 'pool_sight';
    END IF;
    RETURN NULL;
END $$;
"""
BUT = """ AND NOT EXISTS (SELECT FROM operations o
            WHERE o.operation_id = r.operation_id AND o.kind = 'cold-migrate'
            AND o.state IN ('running', 'undoing', 'stuck'))"""


def upgrade() -> None:
    """None is under way."""
    op.execute(SIGHT.format(but=BUT).replace(":", r"\:"))


def downgrade() -> None:
    """One that is under way goes on, and fails where it must."""
    op.execute(SIGHT.format(but="").replace(":", r"\:"))
