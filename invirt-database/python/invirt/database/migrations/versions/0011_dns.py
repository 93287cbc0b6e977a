"""Schema dns: what PowerDNS reads.  Views of machines and nics, and a serial.

What the site decides (zones, name servers, TTL) is not stored here: PowerDNS'
connections bring it along from invirt.yaml as the settings dns.domain,
dns.zones, dns.nameservers, dns.hostmaster and dns.ttl, so it can't be stale.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"

# A zone's number must be the same for ever: DNSSEC keys are filed under it.
ZONES = """
CREATE SCHEMA dns;
CREATE FUNCTION dns.zone_id(name text) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT ('x' || substr(md5(name), 1, 8))::bit(32)::integer & 2147483647 $$;

CREATE VIEW dns.zones AS
SELECT dns.zone_id(name) AS id, name COLLATE "C" AS name
FROM string_to_table(current_setting('dns.zones', true), ',') AS name;

CREATE FUNCTION dns.zone(name text) RETURNS integer LANGUAGE sql STABLE STRICT
AS $$ SELECT z.id FROM dns.zones z WHERE right('.' || $1, length(z.name) + 1) = '.' || z.name
      ORDER BY length(z.name) DESC LIMIT 1 $$;

CREATE FUNCTION dns.reverse4(ip inet) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT split_part(host(ip), '.', 4) || '.' || split_part(host(ip), '.', 3) || '.'
    || split_part(host(ip), '.', 2) || '.' || split_part(host(ip), '.', 1) || '.in-addr.arpa' $$;
CREATE FUNCTION dns.reverse6(ip inet) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT array_to_string(string_to_array(reverse(substr(encode(inet_send(ip), 'hex'), 9)), NULL), '.')
    || '.ip6.arpa' $$;
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

# In each part a name is found by an index: by its first label, or written
# backwards, which also finds what lies below it.
PARTS = """
CREATE INDEX nics_ip_reverse ON nics (reverse(dns.reverse4(ip)) COLLATE "C");
CREATE INDEX nics_ip6_reverse ON nics (reverse(dns.reverse6(ip6)) COLLATE "C");
CREATE INDEX nics_hostname_reverse ON nics (reverse(hostname) COLLATE "C");
CREATE INDEX hostnames_reverse ON hostnames (reverse(hostname) COLLATE "C");
CREATE INDEX extra_records_reverse ON dns.extra_records (reverse(name) COLLATE "C");

CREATE VIEW dns.start_of_authority AS
SELECT format('%s %s %s 10800 1800 1209600 %s', split_part(current_setting('dns.nameservers'), ',', 1),
    current_setting('dns.hostmaster'), value, current_setting('dns.ttl')) AS content
FROM counters WHERE name = 'dns';
CREATE VIEW dns.apex AS
SELECT z.name, 'SOA' AS type, (SELECT content FROM dns.start_of_authority) AS content FROM dns.zones z
UNION ALL
SELECT z.name, 'NS', server
FROM dns.zones z, string_to_table(current_setting('dns.nameservers', true), ',') AS server;

CREATE VIEW dns.machines AS
SELECT m.name::text AS label, n.ip, n.ip6 FROM machines m JOIN nics n USING (machine_id);
CREATE VIEW dns.machine_records AS
SELECT label || '.' || current_setting('dns.domain', true) AS name, 'A' AS type, host(ip) AS content
FROM dns.machines WHERE ip IS NOT NULL
UNION ALL
SELECT label || '.' || current_setting('dns.domain', true), 'AAAA', host(ip6)
FROM dns.machines WHERE ip6 IS NOT NULL;

CREATE VIEW dns.hostnames AS
SELECT hostname, ip, ip6 FROM nics WHERE hostname IS NOT NULL
UNION ALL SELECT h.hostname, n.ip, n.ip6 FROM hostnames h JOIN nics n USING (nic_id);

-- A machine's own name can't be given another address by a NIC's.
CREATE FUNCTION dns.is_machine(name text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$ SELECT EXISTS (SELECT FROM machines m WHERE m.name = split_part($1, '.', 1)
    AND $1 = m.name || '.' || current_setting('dns.domain', true)) $$;

CREATE VIEW dns.hostname_records AS
SELECT reverse(hostname) COLLATE "C" AS backwards, hostname::text AS name, 'A' AS type, host(ip) AS content
FROM dns.hostnames WHERE ip IS NOT NULL AND NOT dns.is_machine(hostname)
UNION ALL
SELECT reverse(hostname) COLLATE "C", hostname::text, 'AAAA', host(ip6)
FROM dns.hostnames WHERE ip6 IS NOT NULL AND NOT dns.is_machine(hostname);

CREATE VIEW dns.reverse4_records AS
SELECT reverse(dns.reverse4(n.ip)) COLLATE "C" AS backwards, dns.reverse4(n.ip) AS name, 'PTR' AS type,
    coalesce(n.hostname, (SELECT m.name || '.' || current_setting('dns.domain', true)
        FROM machines m WHERE m.machine_id = n.machine_id)) AS content
FROM nics n WHERE n.ip IS NOT NULL;
CREATE VIEW dns.reverse6_records AS
SELECT reverse(dns.reverse6(n.ip6)) COLLATE "C" AS backwards, dns.reverse6(n.ip6) AS name, 'PTR' AS type,
    coalesce(n.hostname, (SELECT m.name || '.' || current_setting('dns.domain', true)
        FROM machines m WHERE m.machine_id = n.machine_id)) AS content
FROM nics n WHERE n.ip6 IS NOT NULL;

CREATE VIEW dns.other_records AS
SELECT reverse(name) COLLATE "C" AS backwards, name, type, content FROM dns.extra_records;

CREATE VIEW dns.other_names AS
SELECT reverse(hostname) COLLATE "C" AS backwards FROM nics WHERE hostname IS NOT NULL
UNION ALL SELECT reverse(hostname) COLLATE "C" FROM hostnames
UNION ALL SELECT reverse(name) COLLATE "C" FROM dns.extra_records;
"""

# PowerDNS' questions; it asks several for one of a client's.  lookup() answers
# as the views do, but asks only those that can know the name, in one step of an
# index each.  The row without a type is an empty non-terminal (RFC 8020): there
# is nothing of this name, but something below it.
ANSWERS = """
CREATE FUNCTION dns.lookup(qname text) RETURNS TABLE (type text, content text)
LANGUAGE plpgsql STABLE ROWS 2 AS $$
#variable_conflict use_variable
DECLARE
    sought text COLLATE "C" := reverse(qname);
    next text COLLATE "C";
    ip inet;
    ip6 inet;
    below boolean := false;
    known boolean := false;
BEGIN
    IF position(',' || qname || ',' IN ',' || current_setting('dns.zones') || ',') > 0 THEN
        SELECT s.content INTO content FROM dns.start_of_authority s;
        type := 'SOA';
        RETURN NEXT;
        type := 'NS';
        FOREACH content IN ARRAY string_to_array(current_setting('dns.nameservers'), ',') LOOP
            RETURN NEXT;
        END LOOP;
        known := true;
    ELSIF right(qname, 13) = '.in-addr.arpa' THEN
        SELECT r.backwards, r.type, r.content INTO next, type, content FROM dns.reverse4_records r
            WHERE r.backwards >= sought ORDER BY r.backwards LIMIT 1;
        IF next = sought THEN
            known := true;
            RETURN NEXT;
        END IF;
        below := next < sought || '/';
    ELSIF right(qname, 9) = '.ip6.arpa' THEN
        SELECT r.backwards, r.type, r.content INTO next, type, content FROM dns.reverse6_records r
            WHERE r.backwards >= sought ORDER BY r.backwards LIMIT 1;
        IF next = sought THEN
            known := true;
            RETURN NEXT;
        END IF;
        below := next < sought || '/';
    ELSIF qname = split_part(qname, '.', 1) || '.' || current_setting('dns.domain') THEN
        FOR ip, ip6 IN SELECT m.ip, m.ip6 FROM dns.machines m WHERE m.label = split_part(qname, '.', 1) LOOP
            IF ip IS NOT NULL THEN
                type := 'A';
                content := host(ip);
                known := true;
                RETURN NEXT;
            END IF;
            IF ip6 IS NOT NULL THEN
                type := 'AAAA';
                content := host(ip6);
                known := true;
                RETURN NEXT;
            END IF;
        END LOOP;
    END IF;
    SELECT o.backwards INTO next FROM dns.other_names o
        WHERE o.backwards >= sought ORDER BY o.backwards LIMIT 1;
    IF next = sought THEN
        RETURN QUERY SELECT h.type, h.content FROM dns.hostname_records h WHERE h.backwards = sought
            UNION ALL SELECT o.type, o.content FROM dns.other_records o WHERE o.backwards = sought;
        known := known OR FOUND;
    END IF;
    IF NOT known THEN
        IF next < sought || '.' THEN
            SELECT o.backwards INTO next FROM dns.other_names o
                WHERE o.backwards > sought || '.' ORDER BY o.backwards LIMIT 1;
        END IF;
        IF below OR next < sought || '/' THEN
            type := NULL;
            content := NULL;
            RETURN NEXT;
        END IF;
    END IF;
END $$;

CREATE VIEW dns.names AS
SELECT name, type, content FROM dns.machine_records
UNION ALL SELECT name, type, content FROM dns.hostname_records
UNION ALL SELECT name, type, content FROM dns.reverse4_records
UNION ALL SELECT name, type, content FROM dns.reverse6_records
UNION ALL SELECT name, type, content FROM dns.other_records;

CREATE VIEW dns.records AS
SELECT dns.zone_id(name) AS domain_id, name, type, content,
    current_setting('dns.ttl')::integer AS ttl, NULL::integer AS prio, false AS disabled, true AS auth,
    NULL::text AS ordername FROM dns.apex
UNION ALL
SELECT dns.zone(name), name, type, content, current_setting('dns.ttl')::integer, NULL, false, true, NULL FROM dns.names;

CREATE VIEW dns.domains AS
SELECT id, name, 'MASTER' AS type, NULL AS master, NULL::integer AS last_check,
    nullif(current_setting('dns.notified_' || id, true), '')::bigint AS notified_serial,
    '' AS account, NULL AS options, NULL AS catalog
FROM dns.zones;
"""

# PowerDNS' own, for its DNSSEC keys and what it is told about a zone: as in its
# schema, but for the foreign keys to domains, which are no table here.
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

# The seconds since 1970 of the last change, or one more than the serial before:
# it grows on, too, after the database came back from a backup.  Deferred to the
# commit, as the counter 'access' is, and for the same reason.
SERIAL = """
INSERT INTO counters (name, value) VALUES ('dns', extract(epoch FROM now())::bigint);
CREATE FUNCTION dns.advance() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    this_transaction text := pg_current_xact_id()::text;
BEGIN
    IF current_setting('dns.advanced', true) IS DISTINCT FROM this_transaction THEN
        UPDATE counters SET value = greatest(value + 1, extract(epoch FROM clock_timestamp())::bigint)
            WHERE name = 'dns';
        PERFORM set_config('dns.advanced', this_transaction, true);
    END IF;
    RETURN NULL;
END $$;
"""
WATCHED = {
    "machines": "UPDATE OF name",
    "nics": "INSERT OR DELETE OR UPDATE OF machine_id, ip, ip6, hostname",
    "hostnames": "INSERT OR DELETE OR UPDATE",
    "dns.extra_records": "INSERT OR DELETE OR UPDATE",
}

RIGHTS = """
GRANT USAGE ON SCHEMA dns TO invirt_dns;
GRANT SELECT ON ALL TABLES IN SCHEMA dns TO invirt_dns;
REVOKE SELECT ON dns.extra_records FROM invirt_dns;
GRANT INSERT, UPDATE, DELETE ON dns.domainmetadata, dns.cryptokeys, dns.tsigkeys TO invirt_dns;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA dns TO invirt_dns;
"""


def upgrade() -> None:
    """Make the schema, its views and its rights."""
    for part in (ZONES, EXTRA, PARTS, ANSWERS, OWN, SERIAL):
        op.execute(part.replace(":", r"\:"))
    for table, events in WATCHED.items():
        op.execute(
            f"CREATE CONSTRAINT TRIGGER dns AFTER {events} ON {table} "
            "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dns.advance()"
        )
    op.execute(RIGHTS)


def downgrade() -> None:
    """Remove it, with the DNSSEC keys it holds."""
    for table in WATCHED:
        op.execute(f"DROP TRIGGER dns ON {table}")
    for index in ("nics_ip_reverse", "nics_ip6_reverse", "nics_hostname_reverse", "hostnames_reverse"):
        op.execute(f"DROP INDEX {index}")
    op.execute("DROP SCHEMA dns CASCADE")
    op.execute("DELETE FROM counters WHERE name = 'dns'")
