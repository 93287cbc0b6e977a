"""Records that secondaries take: more types, each of its form, and the rules between those at one name.

A secondary refuses a zone as a whole for one record, so what BIND would not load isn't taken.
"""

from __future__ import annotations

from alembic import context, op

revision = "0031"
down_revision = "0030"

NUMBER8 = "(0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
NUMBER16 = "(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
IP = rf"{NUMBER8}(\.{NUMBER8}){{3}}"
IP6 = "[0-9a-f:]+"
LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?"
NAME = rf"(?=[^ ]{{1,253}}( |$))({LABEL}\.)*{LABEL}"
TARGET = rf"({NAME}|\.)"
HEX = "([0-9a-f]{2}|[0-9A-F]{2})"
LETTER = r"[ !#-\[\]-~]"
TEXT = rf'"({LETTER}|\\["\\]){{0,255}}"'
ANGLE = r"[1-5]?[0-9] [1-5]?[0-9](\.[0-9]{1,3})?"
METRES = r"(0|[1-9]0{0,6})(\.00)?m"
SERVICE = (
    rf'(0 {TARGET}|(?!0 ){NUMBER16} {TARGET}( alpn="[a-z0-9/.-]{{1,99}}(,[a-z0-9/.-]{{1,99}})*"( no-default-alpn)?)?'
    rf"( port={NUMBER16})?( ipv4hint={IP}(,{IP})*)?( ipv6hint={IP6}(,{IP6})*)?)"
)
# The lengths of digests are BIND's, which also wants to understand a NAPTR's regular expression.
FORMS = {
    "A": IP,
    "AAAA": "[0-9a-f:.]+",
    "CAA": rf'{NUMBER8} [a-z0-9]{{1,15}} "{LETTER}*"',
    "CNAME": NAME,
    "DS": f"{NUMBER16} {NUMBER8} (1 {HEX}{{20}}|2 {HEX}{{32}}|4 {HEX}{{48}})",
    "HTTPS": SERVICE,
    "LOC": (
        rf"[1-8]?[0-9] {ANGLE} [NS] (1[0-7][0-9]|[1-9]?[0-9]) {ANGLE} [EW]"
        rf" -?[0-9]{{1,5}}(\.[0-9]{{2}})?m( {METRES}){{0,3}}"
    ),
    "MX": rf"({NUMBER16} {NAME}|0 \.)",
    "NAPTR": (
        rf'{NUMBER16} {NUMBER16} "[A-Za-z0-9]{{0,8}}" "[A-Za-z0-9+:._-]{{0,64}}"'
        rf' ("" {NAME}|"!\^(\.\*|[A-Za-z0-9@:/_-]{{1,64}})\$![A-Za-z0-9.@:/_-]{{1,128}}!i?" \.)'
    ),
    "NS": NAME,
    "PTR": NAME,
    "SRV": f"{NUMBER16} {NUMBER16} {NUMBER16} {TARGET}",
    "SSHFP": f"{NUMBER8} (1 {HEX}{{20}}|2 {HEX}{{32}})",
    "SVCB": SERVICE,
    "TLSA": f"{NUMBER8} {NUMBER8} {NUMBER8} {HEX}+",
    "TXT": f"{TEXT}( {TEXT})*",
    "URI": f'{NUMBER16} {NUMBER16} "{LETTER}+"',
}
NEW_TYPES = ("HTTPS", "LOC", "NAPTR", "SVCB", "URI")
TYPE = "ALTER TABLE dns.extra_records ADD CONSTRAINT record_type CHECK (type IN ({types}))"
# A constraint for each type, so that what is said of it can be of that type.
CONSTRAINTS = {
    f"record_form_{type.lower()}": f"type <> '{type}' OR dns.is_formed(type, content)" for type in FORMS
} | {"record_wildcard": "type NOT IN ('DS', 'NS') OR name NOT LIKE '*%'"}

IS_FORMED = """
CREATE FUNCTION dns.is_formed(type text, content text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    hints text := substring(content FROM ' ipv6hint=(.*)');
    addresses text := CASE WHEN type = 'AAAA' THEN content WHEN type IN ('HTTPS', 'SVCB') THEN hints END;
BEGIN
    RETURN CASE type
        {forms} END
        AND NOT EXISTS (SELECT FROM string_to_table(addresses, ',') AS one WHERE family(one::inet) <> 6);
EXCEPTION WHEN invalid_text_representation THEN
    RETURN false;
END $$;
""".format(
    forms="\n        ".join(f"WHEN '{type}' THEN content ~ '^({form})$'" for type, form in FORMS.items())
)

PLACES = r"""
CREATE FUNCTION dns.check_place() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    place text := CASE NEW.type WHEN 'DS' THEN dns.parent(NEW.name) ELSE NEW.name END;
BEGIN
    IF dns.zone(place) IS NULL THEN
        RAISE EXCEPTION '% is in no zone of ours', place USING HINT = format(
            'Ours are %s; dns.zones of invirt.yaml makes more.', (SELECT string_agg(name, ' ' ORDER BY name) FROM dns.zones));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER place BEFORE INSERT OR UPDATE OF name, type ON dns.extra_records
    FOR EACH ROW EXECUTE FUNCTION dns.check_place();
"""

# Among all that is at a name, wherever it comes from: dns.names is whole at the
# end of a transaction, and those that change it come in turn.
BETWEEN = """
CREATE FUNCTION dns.fault(zone integer, name text) RETURNS text LANGUAGE plpgsql STABLE STRICT
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    found record;
BEGIN
    SELECT sum(number) AS number, max(number) AS most, string_agg(type, ' ' ORDER BY type) AS types,
        bool_or(type = 'CNAME') AS alias, bool_or(type = 'MX' AND number > 1 AND mailless) AS mail
        INTO found FROM (SELECT type, count(DISTINCT content) AS number, bool_or(content = '0 .') AS mailless
            FROM dns.names n WHERE n.name = $2 AND n.domain_id = $1 AND type IS NOT NULL GROUP BY type) AS kinds;
    RETURN CASE
        WHEN found.alias AND found.types <> 'CNAME' THEN format('a CNAME goes alone, and %s would have %s', $2, found.types)
        WHEN found.alias AND found.number > 1 THEN format('%s would have two CNAMEs', $2)
        WHEN found.mail THEN format('MX 0 . (no mail) goes alone, and %s would have other exchangers', $2)
        WHEN found.most > 100 THEN format('%s would have more than 100 records of a type', $2) END;
END $$;
COMMENT ON FUNCTION dns.fault IS 'why secondaries would refuse the zone for what is at a name, or null';

CREATE FUNCTION dns.check_name() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    fault text;
BEGIN
    IF current_setting('dns.rebuilt', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        fault := dns.fault(NEW.domain_id, NEW.name);
        IF fault IS NOT NULL THEN
            RAISE EXCEPTION '%', fault USING HINT = 'A zone''s own name has SOA and NS.'
                ' See `invirt-admin record list` and `invirt-admin nic list`.';
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fault AFTER INSERT ON dns.names DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.type IS NOT NULL AND NEW.source IS NOT NULL) EXECUTE FUNCTION dns.check_name();

-- What was there before stays, whatever it is.
ALTER FUNCTION dns.rebuild() RENAME TO fill;
CREATE FUNCTION dns.rebuild() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('dns.rebuilt', pg_current_xact_id()::text, true);
    PERFORM dns.fill();
END $$;

CREATE VIEW dns.faults AS
SELECT e.record_id, CASE WHEN zone IS NULL THEN 'it is in no zone of ours'
    WHEN NOT dns.is_formed(e.type, e.content) THEN 'its content isn''t of its type''s form'
    WHEN e.type IN ('DS', 'NS') AND e.name LIKE '*%' THEN 'a delegation is of one name'
    ELSE dns.fault(zone, e.name) END AS fault
FROM dns.extra_records e, dns.zone(CASE e.type WHEN 'DS' THEN dns.parent(e.name) ELSE e.name END) AS zone;
COMMENT ON VIEW dns.faults IS 'what was taken before there was a rule, and secondaries refuse';
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA dns FROM PUBLIC;
"""


def _types(types: list[str]) -> str:
    return ", ".join(f"'{type}'" for type in types)


def upgrade() -> None:
    """Make the rules; rows that are there already stay."""
    for part in (IS_FORMED, PLACES, BETWEEN):
        op.execute(part.replace(":", r"\:"))
    for name in ("record_type", "record_form"):
        op.execute(f"ALTER TABLE dns.extra_records DROP CONSTRAINT {name}")
    op.execute(TYPE.format(types=_types([*FORMS])))
    for name, rule in CONSTRAINTS.items():
        op.execute(f"ALTER TABLE dns.extra_records ADD CONSTRAINT {name} CHECK ({rule}) NOT VALID")


def downgrade() -> None:
    """Take again what was taken before; records of new types are lost."""
    old = [type for type in FORMS if type not in NEW_TYPES]
    op.execute(f"DELETE FROM dns.extra_records WHERE type NOT IN ({_types(old)})")
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")
    for name in (*CONSTRAINTS, "record_type"):
        op.execute(f"ALTER TABLE dns.extra_records DROP CONSTRAINT {name}")
    op.execute(TYPE.format(types=_types(old)))
    context.script.get_revision("0021").module.upgrade()
    op.execute("DROP TRIGGER fault ON dns.names")
    op.execute("DROP TRIGGER place ON dns.extra_records")
    op.execute("DROP VIEW dns.faults")
    op.execute("DROP FUNCTION dns.rebuild()")
    op.execute("ALTER FUNCTION dns.fill() RENAME TO rebuild")
    for function in ("check_name()", "check_place()", "fault(integer, text)", "is_formed(text, text)"):
        op.execute(f"DROP FUNCTION dns.{function}")
