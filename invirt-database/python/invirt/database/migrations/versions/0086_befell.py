"""What befell machines whose host was lost, in one sentence for every door; until they are switched off."""

from __future__ import annotations

from alembic import op

revision = "0086"
down_revision = "0099"

COLUMNS = """
ALTER TABLE machines ADD COLUMN lost_at timestamptz, ADD COLUMN lost_host one_line,
    ADD CONSTRAINT machine_lost CHECK ((lost_at IS NULL) = (lost_host IS NULL));
COMMENT ON COLUMN machines.lost_at IS 'when the host that it ran on was declared lost; null once it was switched off since';
COMMENT ON COLUMN machines.lost_host IS 'the name of that host';
"""
LOSE = """
CREATE OR REPLACE FUNCTION lose_host(host integer, who text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    lost text;
BEGIN
    UPDATE hosts h SET lost_at = coalesce(h.lost_at, now()), lost_by = coalesce(h.lost_by, who)
        WHERE h.host_id = host RETURNING h.name INTO lost;
    UPDATE guest_states g SET state = 'off', why = 'host', since = now()
        WHERE g.host_id = host AND g.state <> 'off';
    UPDATE machines m SET {what} WHERE m.wanted_on
        AND EXISTS (SELECT FROM reservations r WHERE r.machine_id = m.machine_id AND r.host_id = host)
        AND NOT EXISTS (SELECT FROM reservations r WHERE r.machine_id = m.machine_id AND r.host_id <> host);
    DELETE FROM reservations r WHERE r.host_id = host;
END $$;
"""
WORD = """
CREATE OR REPLACE FUNCTION owners_word() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE machines SET wanted_on = NEW.kind = 'boot', why_off = ''{more} WHERE machine_id = NEW.machine_id;
    RETURN NULL;
END $$;
"""
BEFELL = """, CASE WHEN m.lost_at > now() - interval '7 days'
        THEN format('%s was lost at %s, and the machine %s', m.lost_host,
            to_char(m.lost_at, 'YYYY-MM-DD HH24:MI'), coalesce(
                (SELECT format('was started again on %s at %s', b.detail->>'host',
                    to_char(o.finished_at, 'YYYY-MM-DD HH24:MI'))
                FROM operations o JOIN operation_steps b USING (operation_id)
                WHERE o.machine_id = m.machine_id AND (o.kind, o.state, b.name) = ('boot', 'done', 'boot guest')
                    AND o.finished_at >= m.lost_at ORDER BY o.operation_id LIMIT 1),
                CASE WHEN m.wanted_on THEN 'waits to be started elsewhere' ELSE 'is off' END)) END AS befell"""
STATES = """
CREATE OR REPLACE VIEW machine_states AS SELECT m.machine_id, m.host_id,
    CASE WHEN m.host_id IS NULL THEN 'off'
        WHEN greatest(s.seen_at, o.finished_at) < now() - interval '15 s' OR s.seen_at IS NULL THEN 'unknown'
        WHEN o.finished_at > s.seen_at THEN 'running' ELSE coalesce(g.state, 'off') END AS state,
    CASE WHEN m.host_id IS NULL THEN 'off' WHEN o.finished_at > s.seen_at THEN 'running'
        ELSE coalesce(g.state, 'off') END AS seen,
    g.since, g.why, extract(epoch FROM now() - s.seen_at)::double precision AS silence{more}
    FROM machines m LEFT JOIN host_signs s USING (host_id)
    LEFT JOIN guest_states g ON g.machine_id = m.machine_id AND g.host_id = m.host_id
    LEFT JOIN reservations r ON r.machine_id = m.machine_id AND r.host_id = m.host_id
    LEFT JOIN operations o ON o.operation_id = r.operation_id AND o.state = 'done';
"""
MACHINES = """
CREATE OR REPLACE VIEW web.machines AS SELECT m.machine_id, m.name::text AS name, o.name AS owner, t.name::text AS type,
    m.memory, m.cpus, m.description::text AS description, m.created_at, m.autostart, m.wanted_on, m.why_off,
    h.name::text AS host, s.state, s.seen, s.since, s.why, s.silence, m.priority{more}
    FROM machines m JOIN owners o USING (owner_id) JOIN types t USING (type_id)
    JOIN machine_states s USING (machine_id) LEFT JOIN hosts h ON h.host_id = m.host_id
"""
NOTE = """
COMMENT ON COLUMN machine_states.befell IS 'for its owner: what became of it when its host was lost; null for the others';
"""


def _run(text: str) -> None:
    op.execute(text.replace(":", r"\:"))


def upgrade() -> None:
    """Of hosts that were lost before nothing is known any more."""
    _run(COLUMNS)
    lost = "why_off = lost || ' was lost', lost_at = now(), lost_host = lost"
    _run(LOSE.replace("{what}", lost))
    _run(WORD.replace("{more}", ",\n        lost_at = CASE NEW.kind WHEN 'boot' THEN lost_at END,"
                                " lost_host = CASE NEW.kind WHEN 'boot' THEN lost_host END"))  # fmt: skip
    _run(STATES.replace("{more}", BEFELL))
    _run(MACHINES.replace("{more}", ", s.befell"))
    _run(NOTE)


def downgrade() -> None:
    """The views without the column need to be made anew, with all that stands on them."""
    op.execute("DROP VIEW web.machines")
    op.execute("DROP VIEW machine_states")
    _run(LOSE.replace("{what}", "why_off = lost || ' was lost'"))
    _run(WORD.replace("{more}", ""))
    _run(STATES.replace("{more}", "").replace("OR REPLACE ", ""))
    _run(MACHINES.replace("{more}", "").replace("OR REPLACE ", ""))
    op.execute("GRANT SELECT ON machine_states TO invirt_remote, invirt_web")
    op.execute("GRANT SELECT ON web.machines TO invirt_web")
    op.execute("ALTER TABLE machines DROP COLUMN lost_at, DROP COLUMN lost_host")
