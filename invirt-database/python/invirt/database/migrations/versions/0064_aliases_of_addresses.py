"""No CNAME at the name of an address that machines are given, whichever of record and range comes first.

It was taken while the address was free; then each machine that was to get it was refused.
"""

from __future__ import annotations

from alembic import op

revision = "0064"
down_revision = "0063"

NUMBER = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
ADDRESS = rf"""
CREATE FUNCTION dns.address(name text) RETURNS inet LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT CASE WHEN name ~ '^({NUMBER}\.){{4}}in-addr\.arpa$' THEN (split_part(name, '.', 4) || '.'
    || split_part(name, '.', 3) || '.' || split_part(name, '.', 2) || '.' || split_part(name, '.', 1))::inet END $$;
COMMENT ON FUNCTION dns.address IS 'the IPv4 address that a name is of, backwards; or null';
"""
# Who writes either looks at the other when it is his turn, so two at once can't both be taken.
RULES = """
CREATE FUNCTION dns.refuse_aliases(low inet, high inet) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    alias text;
BEGIN
    PERFORM take_turn('aliases of addresses');
    SELECT e.name INTO alias FROM dns.extra_records e JOIN address_ranges r
        ON dns.address(e.name) BETWEEN r.first AND r.last
        WHERE e.type = 'CNAME' AND dns.address(e.name) BETWEEN low AND high ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a CNAME goes alone, and % is of an address that may be a machine''s', alias
            USING HINT = 'See `invirt-admin record list` and `invirt-admin range list`.';
    END IF;
END $$;
CREATE FUNCTION dns.check_alias() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM dns.refuse_aliases(dns.address(NEW.name), dns.address(NEW.name));
    RETURN NULL;
END $$;
CREATE FUNCTION dns.check_range() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM dns.refuse_aliases(NEW.first, NEW.last);
    RETURN NULL;
END $$;
CREATE TRIGGER alias AFTER INSERT OR UPDATE OF name, type ON dns.extra_records
    FOR EACH ROW WHEN (NEW.type = 'CNAME') EXECUTE FUNCTION dns.check_alias();
CREATE TRIGGER alias AFTER INSERT OR UPDATE OF first, last ON address_ranges
    FOR EACH ROW EXECUTE FUNCTION dns.check_range();
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA dns FROM PUBLIC;
"""
FAULTS = """
CREATE OR REPLACE VIEW dns.faults AS
SELECT e.record_id, CASE WHEN zone IS NULL THEN 'it is in no zone of ours'
    WHEN NOT dns.is_formed(e.type, e.content) THEN 'its content isn''t of its type''s form'
    WHEN e.type IN ('DS', 'NS') AND e.name LIKE '*%' THEN 'a delegation is of one name'
    {more} ELSE dns.fault(zone, e.name) END AS fault
FROM dns.extra_records e, dns.zone(CASE e.type WHEN 'DS' THEN dns.parent(e.name) ELSE e.name END) AS zone
"""
MORE = """
    WHEN e.type = 'CNAME' AND EXISTS (SELECT FROM address_ranges r WHERE dns.address(e.name) BETWEEN r.first AND r.last)
        THEN 'no machine can have the address that it is the name of'
"""


def upgrade() -> None:
    """Make the rule; records that are there already stay, and are told of as faulty."""
    for part in (ADDRESS, RULES, FAULTS.format(more=MORE)):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Remove it."""
    op.execute(FAULTS.format(more="").replace(":", r"\:"))
    for table in ("dns.extra_records", "address_ranges"):
        op.execute(f"DROP TRIGGER alias ON {table}")
    for function in ("check_alias()", "check_range()", "refuse_aliases(inet, inet)", "address(text)"):
        op.execute(f"DROP FUNCTION dns.{function}")
