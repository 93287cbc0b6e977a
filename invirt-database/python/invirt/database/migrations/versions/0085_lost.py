"""Hosts that are lost: it is certain that nothing runs there, until somebody has them rejoin."""

from __future__ import annotations

from alembic import op

revision = "0085"
down_revision = "0083"

COLUMNS = """
ALTER TABLE hosts ADD COLUMN lost_at timestamptz, ADD COLUMN lost_by one_line,
    ADD CONSTRAINT host_lost CHECK ((lost_at IS NULL) = (lost_by IS NULL));
COMMENT ON COLUMN hosts.lost_at IS 'since when it is certain that it is off: it gets nothing until it rejoins';
COMMENT ON COLUMN hosts.lost_by IS 'who vouches for that, and how it is known';
GRANT UPDATE (lost_at, lost_by) ON hosts TO invirt_remote;
"""

# Whoever reserves has the host's row locked, so what was promised before is given back here, and
# what comes after is refused.  A second call changes nothing but what a killed one left.
FUNCTIONS = """
CREATE FUNCTION lose_host(host integer, who text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    lost text;
BEGIN
    UPDATE hosts h SET lost_at = coalesce(h.lost_at, now()), lost_by = coalesce(h.lost_by, who)
        WHERE h.host_id = host RETURNING h.name INTO lost;
    UPDATE guest_states g SET state = 'off', why = 'host', since = now()
        WHERE g.host_id = host AND g.state <> 'off';
    UPDATE machines m SET why_off = lost || ' was lost' WHERE m.wanted_on
        AND EXISTS (SELECT FROM reservations r WHERE r.machine_id = m.machine_id AND r.host_id = host)
        AND NOT EXISTS (SELECT FROM reservations r WHERE r.machine_id = m.machine_id AND r.host_id <> host);
    DELETE FROM reservations r WHERE r.host_id = host;
END $$;
COMMENT ON FUNCTION lose_host IS 'its guests are off, and nothing is promised there';
CREATE FUNCTION refuse_lost() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    lost text := (SELECT h.name FROM hosts h WHERE h.host_id = NEW.host_id AND h.lost_at IS NOT NULL);
BEGIN
    IF lost IS NOT NULL THEN
        RAISE EXCEPTION 'the host % was lost: it gets no machines', lost
            USING CONSTRAINT = 'no_room', HINT = 'admin host rejoin takes it back into service.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER lost BEFORE INSERT OR UPDATE OF host_id ON reservations
    FOR EACH ROW EXECUTE FUNCTION refuse_lost();
REVOKE EXECUTE ON FUNCTION lose_host, refuse_lost FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lose_host TO invirt_remote;
"""
HOSTS = """
CREATE {how} VIEW web.hosts AS SELECT h.host_id, h.name::text AS name, h.hostname::text AS hostname,
    h.memory, h.enabled, h.hypervisor, s.strangers,
    extract(epoch FROM now() - s.seen_at)::double precision AS silence,
    coalesce(r.memory, 0)::bigint AS promised, r.machines, s.load, s.accelerator{more}
    FROM hosts h LEFT JOIN host_signs s USING (host_id) CROSS JOIN LATERAL (
        SELECT sum(memory) AS memory, count(*) AS machines FROM reservations WHERE host_id = h.host_id) r
"""
AWAY = """
DROP TRIGGER lost ON reservations;
DROP FUNCTION refuse_lost();
DROP FUNCTION lose_host(integer, text);
ALTER TABLE hosts DROP COLUMN lost_at, DROP COLUMN lost_by;
"""


def upgrade() -> None:
    """None is lost."""
    op.execute(COLUMNS)
    op.execute(FUNCTIONS.replace(":", r"\:"))
    op.execute(
        HOSTS.format(how="OR REPLACE", more=", h.lost_at, h.lost_by::text AS lost_by").replace(":", r"\:")
    )


def downgrade() -> None:
    """One that was lost gets machines again: the version before knows but enabled."""
    op.execute("DROP VIEW web.hosts")
    op.execute(HOSTS.format(how="", more="").replace(":", r"\:"))
    op.execute(
        "COMMENT ON COLUMN web.hosts.silence IS 'seconds since it last said anything; null: it never did'"
    )
    op.execute("GRANT SELECT ON web.hosts TO invirt_web")
    op.execute(AWAY)
