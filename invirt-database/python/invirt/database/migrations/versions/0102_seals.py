"""The audit is sealed: each row that is committed gets a hash of itself and of the seal before."""

from __future__ import annotations

from alembic import op

revision = "0102"
down_revision = "0112"

COLUMNS = """
ALTER TABLE audit ADD COLUMN address text CONSTRAINT audit_address CHECK (length(address) <= 100),
    ADD COLUMN machine_id integer;
COMMENT ON COLUMN audit.address IS 'of the computer that asked, or of the web server; null: of before';
COMMENT ON COLUMN audit.machine_id IS 'which machine had the name then: another may have it later';
CREATE INDEX audit_machine_id ON audit (machine_id, audit_id) WHERE machine_id IS NOT NULL;
CREATE OR REPLACE VIEW web.audit AS SELECT audit_id, at, principal, via, command, arguments, machine_name, outcome,
    message, administrator, address FROM audit;
CREATE OR REPLACE FUNCTION note_administrator() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    NEW.administrator := coalesce(NEW.administrator, as_administrator(NEW.principal, NEW.machine_name));
    IF TG_TABLE_NAME = 'audit' THEN
        NEW.machine_id := (SELECT m.machine_id FROM machines m WHERE m.name = NEW.machine_name);
    END IF;
    RETURN NEW;
END $$;
"""

# What is committed is sealed, and not what a writer's transaction sees: that one may be undone, and rows come in
# another order than their numbers. A row waits in audit_unsealed from its own transaction on; nobody but the
# database's owner takes it out.
SEALS = """
CREATE TABLE audit_seals (
    position bigint PRIMARY KEY,
    audit_id bigint NOT NULL UNIQUE,
    hash bytea NOT NULL
);
COMMENT ON TABLE audit_seals IS 'SHA-256 of the hash before and the row, in the order in which they were sealed';
CREATE TABLE audit_unsealed (audit_id bigint PRIMARY KEY);
INSERT INTO audit_unsealed SELECT audit_id FROM audit;
CREATE FUNCTION wait_for_seal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO audit_unsealed VALUES (NEW.audit_id);
    RETURN NULL;
END $$;
CREATE TRIGGER seal AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION wait_for_seal();
CREATE FUNCTION audit_hash(before bytea, a audit) RETURNS bytea LANGUAGE sql STABLE
SET search_path = public, pg_temp AS $$
SELECT sha256(before || convert_to(json_build_array(a.audit_id,
    to_char(a.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), a.principal, a.via, a.address, a.command,
    a.arguments, a.machine_name, a.machine_id, a.outcome, a.message, a.administrator)::text, 'UTF8'))
$$;
CREATE FUNCTION seal_audit(most integer) RETURNS TABLE (sealed bigint, last bigint, hash bytea)
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    row audit;
BEGIN
    LOCK TABLE audit_seals IN EXCLUSIVE MODE;
    sealed := 0;
    SELECT s.position, s.hash INTO last, hash FROM audit_seals s ORDER BY s.position DESC LIMIT 1;
    FOR row IN SELECT a.* FROM audit_unsealed u JOIN audit a USING (audit_id) ORDER BY audit_id LIMIT most LOOP
        hash := audit_hash(coalesce(hash, ''), row);
        last := coalesce(last, 0) + 1;
        sealed := sealed + 1;
        INSERT INTO audit_seals VALUES (last, row.audit_id, hash);
        DELETE FROM audit_unsealed u WHERE u.audit_id = row.audit_id;
    END LOOP;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION seal_audit IS 'how many it has sealed, and the last seal of all';
CREATE FUNCTION verify_audit() RETURNS TABLE (at bigint, wrong text) LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    row record;
    before bytea := '';
    expected bigint := 1;
BEGIN
    FOR row IN SELECT s.position, s.audit_id AS number, s.hash, a AS entry, a.audit_id FROM audit_seals s
            LEFT JOIN audit a USING (audit_id) ORDER BY s.position LOOP
        at := row.position;
        IF row.position <> expected THEN
            wrong := 'the seals before it are gone';
            RETURN NEXT;
        ELSIF row.audit_id IS NULL THEN
            wrong := 'the row ' || row.number || ' is gone';
            RETURN NEXT;
        ELSIF row.hash <> audit_hash(before, row.entry) THEN
            wrong := 'the row ' || row.number || ' is not as it was sealed';
            RETURN NEXT;
        END IF;
        before := row.hash;
        expected := row.position + 1;
    END LOOP;
    FOR row IN SELECT a.audit_id FROM audit a WHERE NOT EXISTS (SELECT FROM audit_seals s WHERE s.audit_id = a.audit_id)
            AND NOT EXISTS (SELECT FROM audit_unsealed u WHERE u.audit_id = a.audit_id) LOOP
        at := NULL;
        wrong := 'the row ' || row.audit_id || ' has no seal, and waits for none';
        RETURN NEXT;
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION wait_for_seal, audit_hash, seal_audit, verify_audit FROM PUBLIC;
"""
AWAY = """
DROP FUNCTION verify_audit, seal_audit, audit_hash(bytea, audit);
DROP TRIGGER seal ON audit;
DROP FUNCTION wait_for_seal;
DROP TABLE audit_seals, audit_unsealed;
DROP VIEW web.audit;
CREATE VIEW web.audit AS SELECT audit_id, at, principal, via, command, arguments, machine_name, outcome,
    message, administrator FROM audit;
GRANT SELECT ON web.audit TO invirt_web;
CREATE OR REPLACE FUNCTION note_administrator() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    NEW.administrator := coalesce(NEW.administrator, as_administrator(NEW.principal, NEW.machine_name));
    RETURN NEW;
END $$;
ALTER TABLE audit DROP COLUMN address, DROP COLUMN machine_id;
"""


def upgrade() -> None:
    """What is there waits for its seals, too."""
    for part in (COLUMNS, SEALS):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Rows stay, and nothing says whether they are as they were."""
    op.execute(AWAY.replace(":", r"\:"))
