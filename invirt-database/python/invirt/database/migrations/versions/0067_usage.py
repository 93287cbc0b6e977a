"""What machines use: by the minute for a day, by ten minutes for a month, by the day for a year."""

from __future__ import annotations

from alembic import op

revision = "0067"
down_revision = "0066"

# In the order that an array has them.
METRICS = (
    *("cpu", "memory", "disk_read", "disk_written", "disk_operations"),
    *("net_sent", "net_received", "net_packets", "console", "dropped"),
)
REASONS = (
    *("foreign_mac", "foreign_ip", "foreign_ip6", "foreign_arp", "foreign_nd", "router", "foreign_dhcp"),
    *("dhcp_answer", "closed_port", "foreign_icmp", "too_often", "fragment", "hidden", "protocol"),
    "multicast",
)
WIDE = len(METRICS)
HOST = "host_id integer NOT NULL REFERENCES hosts ON DELETE CASCADE,"
WHOLE = "array_ndims({0}) = 1 AND array_lower({0}, 1) = 1 AND 0 <= ALL ({0}) AND array_position({0}, NULL) IS NULL"
# slots: of what minute (ten minutes) of the hour a sample is.  A value too large for it never comes to be.
TABLE = """
CREATE TABLE {name} (
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    {host}
    begins timestamptz NOT NULL,
    slots smallint[] NOT NULL CONSTRAINT {name}_slots CHECK ({whole_slots}
        AND cardinality(slots) BETWEEN 1 AND {slots} AND {slots} > ALL (slots)),
    used integer[] NOT NULL CONSTRAINT {name}_used CHECK ({whole_used}
        AND cardinality(used) = {wide} * cardinality(slots)),
    drops integer[] CONSTRAINT {name}_drops CHECK (
        drops IS NULL OR {whole_drops} AND cardinality(drops) = {reasons}),
    PRIMARY KEY ({key})
) PARTITION BY RANGE (begins);
COMMENT ON TABLE {name} IS '{about}';
COMMENT ON COLUMN {name}.used IS 'of each slot: {metrics}';
COMMENT ON COLUMN {name}.drops IS 'packets that were refused: {why}';
ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON {name} FOR SELECT TO invirt_remote USING (true);
GRANT SELECT ON {name} TO invirt_remote;
"""
# A host writes of this hour alone, and of what is placed there.
OWN = """
host_id IN (SELECT host_id FROM hosts) AND begins = date_trunc('hour', now(), 'UTC')
AND EXISTS (SELECT FROM reservations r
    WHERE r.machine_id = usage_minutes.machine_id AND r.host_id = usage_minutes.host_id)
"""
WRITTEN = f"""
GRANT SELECT, INSERT, UPDATE (slots, used, drops) ON usage_minutes TO invirt_host;
CREATE POLICY host ON usage_minutes FOR SELECT TO invirt_host USING (host_id IN (SELECT host_id FROM hosts));
CREATE POLICY host_new ON usage_minutes FOR INSERT TO invirt_host WITH CHECK ({OWN});
CREATE POLICY host_again ON usage_minutes FOR UPDATE TO invirt_host USING ({OWN}) WITH CHECK ({OWN});
"""
# name: how many slots a row has, and what it is.
TABLES = {
    "usage_minutes": (60, "an hour of minutes, as a host counted them"),
    "usage_tens": (6, "an hour of ten minutes"),
    "usage_days": (1, "a day"),
}


def _table(name: str) -> str:
    slots, about = TABLES[name]
    host = HOST if name == "usage_minutes" else ""
    whole = {f"whole_{column}": WHOLE.format(column) for column in ("slots", "used", "drops")}
    key = "machine_id, begins" + (", host_id" if host else "")
    lists = {"metrics": ", ".join(METRICS), "why": ", ".join(REASONS)}
    sizes = {"slots": slots, "wide": WIDE, "reasons": len(REASONS)}
    return TABLE.format(name=name, about=about, host=host, key=key, **whole, **lists, **sizes)


COLUMNS = ", ".join(f"u.used[{WIDE} * (s.i - 1) + {at}] AS {metric}" for at, metric in enumerate(METRICS, 1))
SAMPLES = f"""
    SELECT u.machine_id, u.begins + s.slot * interval '{{minutes}} min' AS at, {{minutes}} * 60 AS seconds,
        {COLUMNS}
    FROM {{table}} u CROSS JOIN LATERAL unnest(u.slots) WITH ORDINALITY AS s (slot, i)"""
STEPS = {"usage_minutes": 1, "usage_tens": 10, "usage_days": 1440}
EACH = " UNION ALL".join(SAMPLES.format(table=table, minutes=minutes) for table, minutes in STEPS.items())
WHY = ", ".join(f"({at}, '{reason}')" for at, reason in enumerate(REASONS, 1))
VIEWS = f"""
CREATE VIEW usage AS {EACH};
COMMENT ON VIEW usage IS 'what each machine used in `seconds` from `at`: CPU in ms, the most memory in MiB, disk '
    'and network in KiB, console in bytes, operations and packets';
CREATE VIEW usage_drops AS SELECT u.machine_id, u.at, u.seconds, r.reason, u.drops[r.i] AS packets
    FROM (SELECT machine_id, begins AS at, 3600 AS seconds, drops FROM usage_minutes
        UNION ALL SELECT machine_id, begins, 3600, drops FROM usage_tens
        UNION ALL SELECT machine_id, begins, 86400, drops FROM usage_days) u
    CROSS JOIN (VALUES {WHY}) AS r (i, reason) WHERE u.drops[r.i] > 0;
COMMENT ON VIEW usage_drops IS 'packets that the rules of a machine''s link refused, and why';
GRANT SELECT ON usage, usage_drops TO invirt_remote;
"""
# Whatever hosts wrote, the sum fits.
MOST = "least({}, 2147483647)::integer"
SUM = MOST.format(
    f"CASE (v.n - 1) % {WIDE} WHEN {METRICS.index('memory')} THEN max(v.value) ELSE sum(v.value) END"
)
SUM_UP = f"""
INSERT INTO {{into}} (machine_id, begins, slots, used, drops)
    SELECT machine_id, begins, array_agg(slot ORDER BY slot) FILTER (WHERE metric = 0),
        array_agg(value ORDER BY slot, metric), (SELECT array_agg(d.packets ORDER BY d.i)
            FROM (SELECT r.i, {MOST.format("sum(r.packets)")} AS packets FROM {{source}} u
                CROSS JOIN LATERAL unnest(u.drops) WITH ORDINALITY AS r (packets, i)
                WHERE u.machine_id = t.machine_id AND {{begins}} = t.begins GROUP BY r.i) AS d)
    FROM (SELECT u.machine_id, {{begins}} AS begins, u.slots[(v.n - 1) / {WIDE} + 1] / {{slots}} AS slot,
            (v.n - 1) % {WIDE} AS metric, {SUM} AS value
        FROM {{source}} u CROSS JOIN LATERAL unnest(u.used) WITH ORDINALITY AS v (value, n)
        WHERE {{when}} GROUP BY 1, 2, 3, 4) AS t
    GROUP BY machine_id, begins"""
TENS = SUM_UP.format(
    into="usage_tens", source="usage_minutes", begins="u.begins", slots=10, when="u.begins < first"
)
DAYS = SUM_UP.format(
    into="usage_days",
    source="usage_tens",
    begins="date_trunc('day', u.begins, 'UTC')",
    slots=6,
    when="u.begins >= day AND u.begins < day + interval '24 hours'",
)
# A part of a table is made before it is needed, and goes as a whole once it is summed up.  What locks a
# table comes last, and in the order of the view usage, so that no reader and this wait for each other.
KEEP = f"""
CREATE SCHEMA usage_parts;
CREATE FUNCTION usage_part(name text, first timestamptz, after timestamptz) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    part text := name || to_char(first AT TIME ZONE 'UTC', '_YYYYMMDDHH24');
BEGIN
    IF to_regclass('usage_parts.' || part) IS NULL THEN
        EXECUTE format('CREATE TABLE usage_parts.%I PARTITION OF %I FOR VALUES FROM (%L) TO (%L) WITH (%s)',
            part, name, first, after, CASE name WHEN 'usage_minutes'
                THEN 'fillfactor = 70, toast_tuple_target = 8160' ELSE 'fillfactor = 100' END);
    END IF;
END $$;
CREATE FUNCTION drop_usage(name text, before timestamptz) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    part text;
BEGIN
    FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = name::regclass
        AND right(c.relname, 10) < to_char(before AT TIME ZONE 'UTC', 'YYYYMMDDHH24')
    LOOP
        EXECUTE format('DROP TABLE usage_parts.%I', part);
    END LOOP;
END $$;
CREATE FUNCTION keep_usage() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    hour timestamptz := date_trunc('hour', now());
    first timestamptz := hour - interval '24 hours';
    day timestamptz;
BEGIN
    FOR day IN SELECT DISTINCT date_trunc('day', u.begins) FROM usage_minutes u WHERE u.begins < first LOOP
        PERFORM usage_part('usage_tens', day, day + interval '24 hours');
    END LOOP;
    {TENS};
    FOR day IN SELECT to_timestamp(right(c.relname, 10), 'YYYYMMDDHH24')
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'usage_tens'::regclass AND right(c.relname, 10) < to_char(first, 'YYYYMMDD')
        ORDER BY 1
    LOOP
        CONTINUE WHEN EXISTS (SELECT FROM usage_days d WHERE d.begins = day);
        PERFORM usage_part('usage_days', date_trunc('month', day), date_trunc('month', day) + interval '1 month');
        {DAYS};
    END LOOP;
    FOR i IN 0..24 LOOP
        PERFORM usage_part('usage_minutes', hour + i * interval '1 hour', hour + (i + 1) * interval '1 hour');
    END LOOP;
    PERFORM drop_usage('usage_minutes', first);
    FOR i IN 0..1 LOOP
        day := date_trunc('day', first) + i * interval '24 hours';
        PERFORM usage_part('usage_tens', day, day + interval '24 hours');
    END LOOP;
    PERFORM drop_usage('usage_tens', date_trunc('day', now() - interval '31 days'));
    FOR i IN 0..1 LOOP
        day := date_trunc('month', first) + i * interval '1 month';
        PERFORM usage_part('usage_days', day, day + interval '1 month');
    END LOOP;
    PERFORM drop_usage('usage_days', now() - interval '1 year 1 month');
END $$;
COMMENT ON FUNCTION keep_usage IS 'makes parts of the tables of usage ahead, sums up what is old, drops it';
REVOKE EXECUTE ON FUNCTION usage_part, drop_usage, keep_usage FROM PUBLIC;
CREATE INDEX usage_days_begins ON usage_days USING brin (begins);
SELECT keep_usage();
"""
AWAY = """
DROP FUNCTION keep_usage;
DROP FUNCTION drop_usage;
DROP FUNCTION usage_part;
DROP VIEW usage_drops;
DROP VIEW usage;
DROP TABLE usage_days, usage_tens, usage_minutes;
DROP SCHEMA usage_parts;
"""


def upgrade() -> None:
    """Nothing is known of the time before."""
    for part in (*map(_table, TABLES), WRITTEN, VIEWS, KEEP):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """What was measured is gone."""
    op.execute(AWAY)
