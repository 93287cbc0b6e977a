"""Schema dns: what PowerDNS reads, kept by the very transactions that change machines, NICs and names.

dns.names is to names as an index is to a table: it follows from the other
tables (see dns.wanted), each transaction brings it up to date before it
commits, and nobody else writes to it.  PowerDNS asks it in its own words.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"

# What invirt.yaml says, told by invirt-database-setup.  A zone's number must be
# the same for ever: DNSSEC keys are filed under it.
SITE = """
CREATE SCHEMA dns;
CREATE TABLE dns.site (
    domain text COLLATE "C" NOT NULL,
    zones text[] NOT NULL,
    nameservers text[] NOT NULL,
    hostmaster text NOT NULL,
    ttl integer NOT NULL
);
COMMENT ON TABLE dns.site IS 'one row, of invirt.yaml';
CREATE TABLE dns.zones (id integer PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE);
CREATE FUNCTION dns.zone_id(name text) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT ('x' || substr(md5(name), 1, 8))::bit(32)::integer & 2147483647 $$;
"""

# What the administrator adds by hand.
EXTRA = r"""
CREATE TABLE dns.extra_records (
    record_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL CONSTRAINT record_name CHECK (length(name) <= 253 AND
        name ~ '^(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)+$'),
    type text COLLATE "C" NOT NULL CONSTRAINT record_type CHECK (type IN
        ('A', 'AAAA', 'CAA', 'CNAME', 'DS', 'MX', 'NS', 'PTR', 'SRV', 'SSHFP', 'TLSA', 'TXT')),
    content text NOT NULL CONSTRAINT record_content CHECK (content ~ '^[[:print:]]+$' AND length(content) <= 2000),
    CONSTRAINT extra_records_key UNIQUE (name, type, content)
);
COMMENT ON TABLE dns.extra_records IS
    'records beside those of machines; content as in a zone file, names without the last dot';
"""

# A name is a machine's or the administrator's: an address, alias or delegation
# of his reserves it, and can't be given to a name that a machine has.  See
# claim_name() for the lock.
TAKEN = "CREATE OR REPLACE VIEW taken_names AS SELECT name::text FROM reserved_names UNION ALL SELECT name FROM hosts"
CLAIM = f"""
{TAKEN} UNION ALL SELECT split_part(e.name, '.', 1) FROM dns.extra_records e, dns.site s
    WHERE e.type IN ('A', 'AAAA', 'CNAME', 'NS') AND e.name = split_part(e.name, '.', 1) || '.' || s.domain;
CREATE FUNCTION dns.claim_name() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(split_part(NEW.name, '.', 1), 0));
    IF NEW.type IN ('A', 'AAAA', 'CNAME', 'NS') AND dns.is_machine(NEW.name) THEN
        RAISE EXCEPTION 'a machine is called %', split_part(NEW.name, '.', 1)
            USING HINT = 'Rename the machine first.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER claim_name BEFORE INSERT OR UPDATE OF name, type ON dns.extra_records
    FOR EACH ROW EXECUTE FUNCTION dns.claim_name();
"""

# What dns.names must hold.  A machine's own name can't be given another address
# by a NIC's: such host names are left out.  A zone inside another one of ours is
# delegated by that one, which holds its DS records, too.
WANTED = """
CREATE FUNCTION dns.reverse(ip inet) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT CASE family(ip)
    WHEN 4 THEN split_part(host(ip), '.', 4) || '.' || split_part(host(ip), '.', 3) || '.'
        || split_part(host(ip), '.', 2) || '.' || split_part(host(ip), '.', 1) || '.in-addr.arpa'
    ELSE array_to_string(string_to_array(reverse(substr(encode(inet_send(ip), 'hex'), 9)), NULL), '.')
        || '.ip6.arpa' END $$;

CREATE FUNCTION dns.parent(name text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT regexp_replace(name, '^[^.]*[.]?', '') $$;

CREATE FUNCTION dns.zone(name text) RETURNS integer LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    RETURN (SELECT z.id FROM dns.zones z WHERE right('.' || $1, length(z.name) + 1) = '.' || z.name
        ORDER BY length(z.name) DESC LIMIT 1);
END $$;
COMMENT ON FUNCTION dns.zone IS 'the innermost of our zones that a name is in, or null';

CREATE FUNCTION dns.is_machine(name text) RETURNS boolean LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    RETURN EXISTS (SELECT FROM machines m, dns.site s
        WHERE m.name = split_part($1, '.', 1) AND $1 = m.name || '.' || s.domain);
END $$;

CREATE VIEW dns.start_of_authority AS
SELECT format('%s %s %s 10800 1800 1209600 %s', s.nameservers[1], s.hostmaster, c.value, s.ttl) AS content
FROM dns.site s, counters c WHERE c.name = 'dns';

CREATE VIEW dns.of_zones AS
SELECT 0 AS source, z.id AS domain_id, z.name, 'SOA' AS type, a.content FROM dns.zones z, dns.start_of_authority a
UNION ALL
SELECT 0, zone, z.name, 'NS', server FROM dns.zones z, dns.site s, unnest(s.nameservers) AS server,
    unnest(ARRAY[z.id, dns.zone(dns.parent(z.name))]) AS zone WHERE zone IS NOT NULL;

CREATE VIEW dns.of_extra_records AS
SELECT -e.record_id AS source, zone AS domain_id, e.name, e.type, e.content
FROM dns.extra_records e, dns.zone(CASE e.type WHEN 'DS' THEN dns.parent(e.name) ELSE e.name END) AS zone
WHERE zone IS NOT NULL;

CREATE VIEW dns.of_nics AS
SELECT n.nic_id AS source, zone AS domain_id, r.name, r.type, r.content
FROM nics n JOIN machines m USING (machine_id),
    LATERAL (SELECT m.name || '.' || (SELECT s.domain FROM dns.site s) AS name) AS own,
    LATERAL (SELECT h.name, a.type, host(a.ip) AS content
        FROM (VALUES ('A', n.ip), ('AAAA', n.ip6)) AS a (type, ip),
            (SELECT n.hostname::text UNION SELECT f.hostname::text FROM hostnames f WHERE f.nic_id = n.nic_id) AS h (name)
        WHERE h.name IS NOT NULL AND NOT dns.is_machine(h.name)
        UNION ALL VALUES (own.name, 'A', host(n.ip)), (own.name, 'AAAA', host(n.ip6)),
            (dns.reverse(n.ip), 'PTR', coalesce(n.hostname, own.name)),
            (dns.reverse(n.ip6), 'PTR', coalesce(n.hostname, own.name))) AS r,
    dns.zone(r.name) AS zone
WHERE zone IS NOT NULL AND r.content IS NOT NULL;
"""

# Names that only have others below them stand there, too, without a type: they
# exist, as RFC 8020 has it.
NAMES = """
CREATE TABLE dns.names (
    source integer,
    domain_id integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    type text COLLATE "C",
    content text,
    auth boolean NOT NULL DEFAULT true
);
COMMENT ON COLUMN dns.names.source IS
    'the NIC; with a minus, the extra record; 0, the zone itself; null, what is below this name';
COMMENT ON COLUMN dns.names.auth IS
    'whether the zone says it itself, and signs it: not a delegation, nor what is there or below (see PowerDNS)';
CREATE INDEX names_name ON dns.names (name);
CREATE INDEX names_source ON dns.names (source);
CREATE INDEX names_backwards ON dns.names (reverse(name) COLLATE "C");

-- PowerDNS' own table; a TTL that is null is default-ttl of its configuration.
CREATE VIEW dns.records AS
SELECT domain_id, name, type, content, NULL::integer AS ttl, NULL::integer AS prio, false AS disabled,
    auth, NULL::text AS ordername FROM dns.names;
CREATE VIEW dns.domains AS
SELECT id, name, 'MASTER' AS type, NULL AS master, NULL::integer AS last_check,
    nullif(current_setting('dns.notified_' || id, true), '')::bigint AS notified_serial,
    '' AS account, NULL AS options, NULL AS catalog
FROM dns.zones;
"""

# Who changes names holds the counter's row until the commit, so they come in
# turn and each sees what the one before has done.  The serial is the seconds
# since 1970 of the last change, or one more than the serial before: it grows
# on, too, after the database came back from a backup.
KEEPING = """
INSERT INTO counters (name, value) VALUES ('dns', extract(epoch FROM now())::bigint);
CREATE FUNCTION dns.advance() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    this_transaction text := pg_current_xact_id()::text;
BEGIN
    IF current_setting('dns.advanced', true) IS DISTINCT FROM this_transaction THEN
        UPDATE counters SET value = greatest(value + 1, extract(epoch FROM clock_timestamp())::bigint)
            WHERE name = 'dns';
        UPDATE dns.names SET content = (SELECT content FROM dns.start_of_authority)
            WHERE source = 0 AND type = 'SOA';
        PERFORM set_config('dns.advanced', this_transaction, true);
    END IF;
END $$;

CREATE FUNCTION dns.is_below(name text, other text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT reverse(name) COLLATE "C" > reverse(other) || '.' AND reverse(name) COLLATE "C" < reverse(other) || '/' $$;

CREATE FUNCTION dns.has_below(name text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM dns.names n WHERE n.type IS NOT NULL AND dns.is_below(n.name, $1));
END $$;

CREATE FUNCTION dns.path(domain_id integer, name text) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
DECLARE
    labels text[] := string_to_array($2, '.');
BEGIN
    RETURN ARRAY(SELECT array_to_string(labels[place:], '.') FROM dns.zones z,
        generate_series(1, cardinality(labels) - cardinality(string_to_array(z.name, '.'))) AS place
        WHERE z.id = $1);
END $$;
COMMENT ON FUNCTION dns.path IS 'a name and those above it, without its zone''s own';

CREATE FUNCTION dns.is_delegated(domain_id integer, name text, type text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (SELECT FROM dns.names n WHERE n.name = ANY (dns.path($1, $2)) AND n.domain_id = $1
        AND n.type = 'NS' AND NOT (n.name = $2 AND $3 IS NOT DISTINCT FROM 'DS'));
END $$;

CREATE FUNCTION dns.settle(changed dns.names[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    above text[] := ARRAY(SELECT DISTINCT one FROM unnest(changed) AS c, unnest(dns.path(c.domain_id, c.name)) AS one);
    below text[] := ARRAY(SELECT n.name FROM unnest(changed) AS c, dns.names n
        WHERE c.type = 'NS' AND c.source <> 0 AND dns.is_below(n.name, c.name));
BEGIN
    DELETE FROM dns.names e WHERE e.name = ANY (above) AND e.type IS NULL AND (NOT dns.has_below(e.name)
        OR EXISTS (SELECT FROM dns.names n WHERE n.name = e.name AND n.type IS NOT NULL));
    INSERT INTO dns.names (domain_id, name) SELECT dns.zone(a.name), a.name
        FROM (SELECT unnest(above) EXCEPT SELECT n.name FROM dns.names n WHERE n.name = ANY (above)) AS a (name)
        WHERE dns.has_below(a.name);
    UPDATE dns.names n SET auth = NOT n.auth WHERE n.name = ANY (above || below)
        AND n.auth = dns.is_delegated(n.domain_id, n.name, n.type);
END $$;
COMMENT ON FUNCTION dns.settle IS
    'names have come or gone: some, above them, exist only by what is below; delegations change what is below them';

CREATE FUNCTION dns.refresh(changed integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    gone dns.names[];
    come dns.names[];
BEGIN
    WITH old AS (DELETE FROM dns.names n WHERE source = changed RETURNING n)
        SELECT array_agg(n) INTO gone FROM old;
    IF changed > 0 THEN
        WITH new AS (INSERT INTO dns.names AS n SELECT * FROM dns.of_nics WHERE source = changed RETURNING n)
            SELECT array_agg(n) INTO come FROM new;
    ELSE
        WITH new AS (INSERT INTO dns.names AS n SELECT * FROM dns.of_extra_records WHERE source = changed RETURNING n)
            SELECT array_agg(n) INTO come FROM new;
    END IF;
    PERFORM dns.settle(gone || come);
END $$;

-- A session keeps its plans: those of a small table must do for a large one.
CREATE FUNCTION dns.follow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    own text[];
BEGIN
    PERFORM dns.advance();
    IF TG_TABLE_NAME = 'machines' THEN
        own := ARRAY(SELECT name || '.' || s.domain FROM dns.site s, unnest(ARRAY[OLD.name, NEW.name]) AS name);
        PERFORM dns.refresh(nic_id) FROM (SELECT nic_id FROM nics WHERE machine_id = OLD.machine_id
            UNION SELECT nic_id FROM nics WHERE hostname = ANY (own)
            UNION SELECT nic_id FROM hostnames WHERE hostname = ANY (own)) AS named;
    ELSIF TG_TABLE_NAME = 'extra_records' THEN
        PERFORM dns.refresh(-record_id) FROM unnest(ARRAY[OLD.record_id, NEW.record_id]) AS record_id
            WHERE record_id IS NOT NULL;
    ELSE
        PERFORM dns.refresh(nic_id) FROM unnest(ARRAY[OLD.nic_id, NEW.nic_id]) AS nic_id WHERE nic_id IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION dns.rebuild() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dns.advance();
    DELETE FROM dns.names;
    INSERT INTO dns.names TABLE dns.of_zones UNION ALL TABLE dns.of_extra_records UNION ALL TABLE dns.of_nics;
    PERFORM dns.settle(ARRAY(SELECT n FROM dns.names n));
END $$;

CREATE FUNCTION dns.set_site(domain text, zones text[], nameservers text[], hostmaster text, ttl integer)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT s FROM dns.site s) = ROW (domain, zones, nameservers, hostmaster, ttl)::dns.site THEN
        RETURN;
    END IF;
    DELETE FROM dns.site;
    INSERT INTO dns.site VALUES (domain, zones, nameservers, hostmaster, ttl);
    DELETE FROM dns.zones;
    INSERT INTO dns.zones SELECT dns.zone_id(zone), zone FROM unnest(zones) AS zone;
    PERFORM dns.rebuild();
END $$;
COMMENT ON FUNCTION dns.set_site IS 'what invirt.yaml says, of which names follow';
"""
WATCHED = {
    "machines": "INSERT OR DELETE OR UPDATE OF name",
    "nics": "INSERT OR DELETE OR UPDATE OF machine_id, ip, ip6, hostname",
    "hostnames": "INSERT OR DELETE OR UPDATE",
    "dns.extra_records": "INSERT OR DELETE OR UPDATE",
}

# PowerDNS' own, for its DNSSEC keys and what it is told about a zone: as in its
# schema, but for the foreign keys, since zones come and go with invirt.yaml.
OWN = """
CREATE TABLE dns.domainmetadata (
    id serial PRIMARY KEY, domain_id integer NOT NULL, kind varchar(32) NOT NULL, content text);
CREATE INDEX domainmetadata_domain_id ON dns.domainmetadata (domain_id);
CREATE TABLE dns.cryptokeys (
    id serial PRIMARY KEY, domain_id integer NOT NULL, flags integer NOT NULL,
    active boolean, published boolean DEFAULT true, content text);
CREATE INDEX cryptokeys_domain_id ON dns.cryptokeys (domain_id);
CREATE TABLE dns.tsigkeys (
    id serial PRIMARY KEY, name varchar(255) NOT NULL, algorithm varchar(50) NOT NULL, secret varchar(255) NOT NULL,
    CONSTRAINT tsigkeys_name CHECK (name = lower(name)), CONSTRAINT tsigkeys_key UNIQUE (name, algorithm));
"""

RIGHTS = """
GRANT USAGE ON SCHEMA dns TO invirt_dns;
GRANT SELECT ON dns.records, dns.domains TO invirt_dns;
GRANT SELECT, INSERT, UPDATE, DELETE ON dns.domainmetadata, dns.cryptokeys, dns.tsigkeys TO invirt_dns;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA dns TO invirt_dns;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA dns FROM PUBLIC;
"""


def upgrade() -> None:
    """Make the schema, its tables and what keeps them; fill them as soon as the site is known."""
    for part in (SITE, EXTRA, CLAIM, WANTED, NAMES, KEEPING, OWN):
        op.execute(part.replace(":", r"\:"))
    for table, events in WATCHED.items():
        op.execute(
            f"CREATE CONSTRAINT TRIGGER dns AFTER {events} ON {table} "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dns.follow()"
        )
    op.execute(RIGHTS)


def downgrade() -> None:
    """Remove it, with the DNSSEC keys it holds."""
    for table in WATCHED:
        op.execute(f"DROP TRIGGER dns ON {table}")
    op.execute(TAKEN.replace(":", r"\:"))
    op.execute("DROP SCHEMA dns CASCADE")
    op.execute("DELETE FROM counters WHERE name = 'dns'")
