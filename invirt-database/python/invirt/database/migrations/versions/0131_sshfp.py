"""By what ssh knows a machine is in DNS, at its own name: SSHFP (RFC 4255), of the keys that its installer has told."""

from __future__ import annotations

from alembic import op

revision = "0131"
down_revision = "0130"

# In dns.names a machine's keys have a source of their own, above all numbers of NICs: it may have several, or none.
VIEW = """
CREATE FUNCTION dns.keys_of(machine_id integer) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT 1073741824 + machine_id $$;
COMMENT ON FUNCTION dns.keys_of IS 'the source, in dns.names, of what is known of a machine''s keys';
CREATE VIEW dns.of_host_keys AS
SELECT dns.keys_of(k.machine_id) AS source, zone AS domain_id, own.name, 'SSHFP' AS type,
    format('%s 2 %s', CASE k.kind WHEN 'RSA' THEN 1 WHEN 'ECDSA' THEN 3 WHEN 'ED25519' THEN 4 END,
        encode(decode(substr(k.fingerprint, 8) || '=', 'base64'), 'hex')) AS content
FROM host_keys k JOIN machines m USING (machine_id),
    LATERAL (SELECT m.name || '.' || s.domain AS name FROM dns.site s) AS own, dns.zone(own.name) AS zone
WHERE zone IS NOT NULL AND k.kind IN ('RSA', 'ECDSA', 'ED25519');
COMMENT ON COLUMN dns.names.source IS
    'the NIC, or dns.keys_of a machine; with a minus, the extra record; 0, the zone itself; null, what is below this name';
"""
REFRESH = """
CREATE OR REPLACE FUNCTION dns.refresh(changed integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    gone dns.names[];
    come dns.names[];
BEGIN
    WITH old AS (DELETE FROM dns.names n WHERE source = changed RETURNING n)
        SELECT array_agg(n) INTO gone FROM old;
    {keys}IF changed > 0 THEN
        WITH new AS (INSERT INTO dns.names AS n SELECT * FROM dns.of_nics WHERE source = changed RETURNING n)
            SELECT array_agg(n) INTO come FROM new;
    ELSE
        WITH new AS (INSERT INTO dns.names AS n SELECT * FROM dns.of_extra_records WHERE source = changed RETURNING n)
            SELECT array_agg(n) INTO come FROM new;
    END IF;
    PERFORM dns.settle(gone || come);
END $$;
"""
KEYS = """IF changed > dns.keys_of(0) THEN
        WITH new AS (INSERT INTO dns.names AS n SELECT * FROM dns.of_host_keys
                WHERE source = changed RETURNING n)
            SELECT array_agg(n) INTO come FROM new;
    ELS"""
FOLLOW = """
CREATE OR REPLACE FUNCTION dns.follow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    own text[];
BEGIN
    PERFORM dns.advance();
    IF TG_TABLE_NAME = 'machines' THEN
        own := ARRAY(SELECT name || '.' || s.domain FROM dns.site s, unnest(ARRAY[OLD.name, NEW.name]) AS name);
        PERFORM dns.refresh(nic_id) FROM (SELECT nic_id FROM nics WHERE machine_id = OLD.machine_id
            UNION SELECT nic_id FROM nics WHERE hostname = ANY (own)
            UNION SELECT nic_id FROM hostnames WHERE hostname = ANY (own)) AS named;{renamed}
    ELSIF TG_TABLE_NAME = 'extra_records' THEN
        PERFORM dns.refresh(-record_id) FROM unnest(ARRAY[OLD.record_id, NEW.record_id]) AS record_id
            WHERE record_id IS NOT NULL;{told}
    ELSE
        PERFORM dns.refresh(nic_id) FROM unnest(ARRAY[OLD.nic_id, NEW.nic_id]) AS nic_id WHERE nic_id IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;
"""
RENAMED = """
        PERFORM dns.refresh(dns.keys_of(k.machine_id)) FROM (SELECT DISTINCT machine_id FROM host_keys
            WHERE machine_id = OLD.machine_id) AS k;"""
TOLD = """
    ELSIF TG_TABLE_NAME = 'host_keys' THEN
        PERFORM dns.refresh(dns.keys_of(machine_id)) FROM (SELECT DISTINCT machine_id
            FROM unnest(ARRAY[OLD.machine_id, NEW.machine_id]) AS machine_id) AS k WHERE machine_id IS NOT NULL;"""
FILL = """
CREATE OR REPLACE FUNCTION dns.fill() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dns.advance();
    DELETE FROM dns.names;
    INSERT INTO dns.names TABLE dns.of_zones UNION ALL TABLE dns.of_extra_records UNION ALL TABLE dns.of_nics{more};
    PERFORM dns.settle(ARRAY(SELECT n FROM dns.names n));
END $$;
"""
MORE = " UNION ALL TABLE dns.of_host_keys"
WATCHED = """
CREATE CONSTRAINT TRIGGER dns AFTER INSERT OR DELETE OR UPDATE ON host_keys
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dns.follow();
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA dns FROM PUBLIC;
"""


def upgrade() -> None:
    """Also for the machines that have told already."""
    for part in (VIEW, REFRESH.format(keys=KEYS), FOLLOW.format(renamed=RENAMED, told=TOLD), FILL.format(more=MORE),
                 WATCHED):  # fmt: skip
        op.execute(part.replace(":", r"\:"))
    op.execute("SELECT dns.advance() FROM host_keys LIMIT 1")
    op.execute(
        "SELECT dns.refresh(dns.keys_of(machine_id)) FROM (SELECT DISTINCT machine_id FROM host_keys) AS k"
    )


def downgrade() -> None:
    """Without them."""
    op.execute("DROP TRIGGER dns ON host_keys")
    op.execute("SELECT dns.advance() FROM host_keys LIMIT 1")
    op.execute("DELETE FROM dns.names WHERE source > dns.keys_of(0)")
    for part in (REFRESH.format(keys=""), FOLLOW.format(renamed="", told=""), FILL.format(more="")):
        op.execute(part.replace(":", r"\:"))
    op.execute("DROP VIEW dns.of_host_keys")
    op.execute("DROP FUNCTION dns.keys_of(integer)")
