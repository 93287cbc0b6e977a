"""What hosts see of their guests: each writes of itself alone, and of machines that are placed there."""

from __future__ import annotations

from alembic import op

revision = "0066"
down_revision = "0065"

TABLES = """
CREATE TABLE host_signs (
    host_id integer PRIMARY KEY REFERENCES hosts ON DELETE CASCADE,
    seen_at timestamptz NOT NULL DEFAULT now(),
    strangers integer NOT NULL DEFAULT 0 CONSTRAINT sign_strangers CHECK (strangers >= 0)
) WITH (fillfactor = 50);
COMMENT ON TABLE host_signs IS 'when a host last said that what it wrote of its guests is true';
COMMENT ON COLUMN host_signs.strangers IS 'guests that run there and have no reservation there';
CREATE TABLE guest_states (
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    host_id integer NOT NULL REFERENCES hosts ON DELETE CASCADE,
    state text NOT NULL CONSTRAINT guest_state CHECK (state IN ('running', 'paused', 'off')),
    why text CONSTRAINT guest_why CHECK (
        why IS NULL OR state = 'off' AND why IN ('poweroff', 'killed', 'crash', 'host')),
    since timestamptz NOT NULL,
    PRIMARY KEY (machine_id, host_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE guest_states IS 'what each host saw last of a machine''s guest; never what decides';
COMMENT ON COLUMN guest_states.why IS 'why it is off; host: with it';
CREATE INDEX guest_states_host_id ON guest_states (host_id);
GRANT SELECT ON host_signs, guest_states TO invirt_remote, invirt_host;
GRANT INSERT, UPDATE (seen_at, strangers) ON host_signs TO invirt_host;
GRANT INSERT, UPDATE (state, why, since) ON guest_states TO invirt_host;
"""

# A host sees its own row of hosts alone, and its own reservations.  One that lost its
# reservation may still say that the guest is off there.
OWN = "host_id IN (SELECT host_id FROM hosts)"
PLACED = """
EXISTS (SELECT FROM reservations r
    WHERE r.machine_id = guest_states.machine_id AND r.host_id = guest_states.host_id)
"""
POLICIES = f"""
ALTER TABLE host_signs ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON host_signs FOR SELECT TO invirt_remote USING (true);
CREATE POLICY host ON host_signs TO invirt_host USING ({OWN});
ALTER TABLE guest_states ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON guest_states FOR SELECT TO invirt_remote USING (true);
CREATE POLICY host ON guest_states FOR SELECT TO invirt_host USING ({OWN});
CREATE POLICY host_new ON guest_states FOR INSERT TO invirt_host WITH CHECK ({OWN} AND {PLACED});
CREATE POLICY host_again ON guest_states FOR UPDATE TO invirt_host
    USING ({OWN}) WITH CHECK ({OWN} AND (state = 'off' OR {PLACED}));
"""

# What was booted since its host's last sign runs: the host will say so at its next look.
# Times are the database's: a host's clock may be wrong, or lie.
VIEWS = """
CREATE VIEW claimed_twice AS SELECT m.machine_id, m.name, array_agg(h.name ORDER BY h.name) AS hosts
    FROM guest_states g JOIN machines m USING (machine_id) JOIN hosts h ON h.host_id = g.host_id
    WHERE g.state <> 'off' AND NOT EXISTS (SELECT FROM operations o
        WHERE o.machine_id = m.machine_id AND o.state IN ('running', 'undoing'))
    GROUP BY m.machine_id HAVING count(*) > 1;
COMMENT ON VIEW claimed_twice IS 'machines whose guest more than one host says to have, and nobody moves';
CREATE VIEW machine_states AS SELECT m.machine_id, m.host_id,
    CASE WHEN m.host_id IS NULL THEN 'off'
        WHEN greatest(s.seen_at, o.finished_at) < now() - interval '15 s' OR s.seen_at IS NULL THEN 'unknown'
        WHEN o.finished_at > s.seen_at THEN 'running' ELSE coalesce(g.state, 'off') END AS state,
    CASE WHEN m.host_id IS NULL THEN 'off' WHEN o.finished_at > s.seen_at THEN 'running'
        ELSE coalesce(g.state, 'off') END AS seen,
    g.since, g.why, extract(epoch FROM now() - s.seen_at)::double precision AS silence
    FROM machines m LEFT JOIN host_signs s USING (host_id)
    LEFT JOIN guest_states g ON g.machine_id = m.machine_id AND g.host_id = m.host_id
    LEFT JOIN reservations r ON r.machine_id = m.machine_id AND r.host_id = m.host_id
    LEFT JOIN operations o ON o.operation_id = r.operation_id AND o.state = 'done';
COMMENT ON VIEW machine_states IS 'what is known of each machine where it is at home';
COMMENT ON COLUMN machine_states.seen IS 'what its host said last, however long ago';
COMMENT ON COLUMN machine_states.silence IS 'seconds since its host last said anything; null: it never did';
GRANT SELECT ON claimed_twice, machine_states TO invirt_remote;
"""
TRIGGERS = """
CREATE FUNCTION sign_now() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    NEW.seen_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER now BEFORE INSERT OR UPDATE ON host_signs FOR EACH ROW EXECUTE FUNCTION sign_now();

CREATE FUNCTION state_since() RETURNS trigger LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.since > now() OR NEW.since < now() - interval '10 years' THEN
        NEW.since := now();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER since BEFORE INSERT OR UPDATE ON guest_states FOR EACH ROW EXECUTE FUNCTION state_since();

CREATE FUNCTION state_told() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    claimed record;
BEGIN
    DELETE FROM guest_states g
        WHERE g.machine_id = NEW.machine_id AND g.host_id <> NEW.host_id AND g.state = 'off';
    SELECT c.name, c.hosts INTO claimed FROM claimed_twice c WHERE c.machine_id = NEW.machine_id;
    IF FOUND THEN
        RAISE WARNING 'the guest of % is claimed by more than one host: %', claimed.name,
            array_to_string(claimed.hosts, ', ');
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION state_told IS 'where it was off before is of no interest any more; two claims are an alarm';
CREATE TRIGGER told AFTER INSERT OR UPDATE OF state ON guest_states
    FOR EACH ROW WHEN (NEW.state <> 'off') EXECUTE FUNCTION state_told();
REVOKE EXECUTE ON FUNCTION sign_now, state_since, state_told FROM PUBLIC;
"""
AWAY = """
DROP VIEW machine_states;
DROP VIEW claimed_twice;
DROP TABLE guest_states;
DROP TABLE host_signs;
DROP FUNCTION state_told;
DROP FUNCTION state_since;
DROP FUNCTION sign_now;
"""


def upgrade() -> None:
    """Until a host of this version has written, nothing is known of it: it is asked, as before."""
    for part in (TABLES, POLICIES, VIEWS, TRIGGERS):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Hosts are asked again."""
    op.execute(AWAY)
