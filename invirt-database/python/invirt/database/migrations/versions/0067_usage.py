"""What machines use: by the minute for two days, by ten minutes for a month, by the day for a year."""

from __future__ import annotations

from alembic import op

revision = "0067"
down_revision = "0066"

METRICS = (
    *("cpu", "memory", "disk_read", "disk_written", "disk_operations"),
    *("net_sent", "net_received", "net_packets", "console", "dropped"),
)
COLUMNS = ", ".join(METRICS)
# A known few, so that a host can't fill the table.
REASONS = """
    'foreign_mac', 'foreign_ip', 'foreign_ip6', 'foreign_arp', 'foreign_nd', 'router', 'foreign_dhcp',
    'dhcp_answer', 'closed_port', 'foreign_icmp', 'too_often', 'fragment', 'hidden', 'protocol', 'multicast'
"""
HOST = "host_id integer NOT NULL REFERENCES hosts ON DELETE CASCADE,"
SEEN = """
COMMENT ON TABLE {name} IS '{about}';
ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON {name} FOR SELECT TO invirt_remote USING (true);
GRANT SELECT ON {name} TO invirt_remote;
"""
TABLE = """
CREATE TABLE {name} (
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    begins timestamptz NOT NULL,
    {host}
    slots smallint[] NOT NULL CONSTRAINT {name}_slots CHECK (cardinality(slots) BETWEEN 1 AND {most}
        AND 0 <= ALL (slots) AND {most} > ALL (slots) AND array_position(slots, NULL) IS NULL),
    {metrics},
    CONSTRAINT {name}_whole CHECK ({whole}),
    PRIMARY KEY ({key})
) {partitions};
"""
DROPS = f"""
CREATE TABLE usage_drops (
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    begins timestamptz NOT NULL,
    {HOST}
    reason text NOT NULL CONSTRAINT drop_reason CHECK (reason IN ({REASONS})),
    packets bigint NOT NULL CONSTRAINT drop_packets CHECK (packets > 0),
    PRIMARY KEY (machine_id, begins, host_id, reason)
) PARTITION BY RANGE (begins);
"""
# A host writes of this hour alone, and of what is placed there.
WRITTEN = """
GRANT SELECT, INSERT, UPDATE ({columns}) ON {name} TO invirt_host;
CREATE POLICY host ON {name} FOR SELECT TO invirt_host USING (host_id IN (SELECT host_id FROM hosts));
CREATE POLICY host_new ON {name} FOR INSERT TO invirt_host WITH CHECK ({own});
CREATE POLICY host_again ON {name} FOR UPDATE TO invirt_host USING ({own}) WITH CHECK ({own});
"""
OWN = """
host_id IN (SELECT host_id FROM hosts) AND begins = date_trunc('hour', now(), 'UTC')
AND EXISTS (SELECT FROM reservations r WHERE r.machine_id = {name}.machine_id AND r.host_id = {name}.host_id)
"""


def _table(name: str, most: int, partitions: str = "PARTITION BY RANGE (begins)", host: str = "") -> str:
    return TABLE.format(
        name=name,
        most=most,
        host=host,
        metrics=",\n    ".join(f"{metric} integer[] NOT NULL" for metric in METRICS),
        whole=" AND ".join(f"cardinality({metric}) = cardinality(slots)" for metric in METRICS),
        key="machine_id, begins" + (", host_id" if host else ""),
        partitions=partitions,
    )


TABLES = {
    "usage_minutes": (_table("usage_minutes", 60, host=HOST), "an hour of minutes, as a host counted them"),
    "usage_tens": (_table("usage_tens", 144), "a day of ten minutes"),
    "usage_days": (_table("usage_days", 366, ""), "a year of days"),
    "usage_drops": (DROPS, "packets that the rules of a guest''s link refused in an hour, and why"),
}
UPDATED = {"usage_minutes": f"slots, {COLUMNS}", "usage_drops": "packets"}


def _sum(metric: str) -> str:
    """Whatever a host wrote, it fits."""
    return f"least(greatest({'max' if metric == 'memory' else 'sum'}(s.{metric}), 0), 2147483647)::integer"


def _summed(slot: str, table: str) -> str:
    """For each machine and slot of one day: what was used, and the most memory."""
    sums = ", ".join(f"{_sum(metric)} AS {metric}" for metric in METRICS)
    arrays = ", ".join(f"u.{metric}" for metric in METRICS)
    return f"""
        SELECT u.machine_id, ({slot})::smallint AS slot, {sums}
        FROM {table} u CROSS JOIN LATERAL unnest(u.slots, {arrays}) AS s (slot, {COLUMNS})
        WHERE u.begins >= day AND u.begins < day + interval '24 hours' GROUP BY 1, 2"""


TEN = _summed("extract(epoch FROM u.begins - day) / 600 + s.slot / 10", "usage_minutes")
DAY = _summed("extract(doy FROM day AT TIME ZONE 'UTC') - 1", "usage_tens")
IN_ORDER = ", ".join(f"array_agg(t.{metric} ORDER BY t.slot)" for metric in METRICS)
ONE = ", ".join(f"ARRAY[t.{metric}]" for metric in METRICS)
APPENDED = ", ".join(f"{metric} = d.{metric} || excluded.{metric}" for metric in METRICS)
# A part of a table is made before it is needed, and goes as a whole.  Only whole days are summed up.
KEEP = f"""
CREATE SCHEMA usage_parts;
CREATE FUNCTION usage_part(name text, first timestamptz, after timestamptz) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    part text := name || to_char(first AT TIME ZONE 'UTC', '_YYYYMMDD');
BEGIN
    IF to_regclass('usage_parts.' || part) IS NULL THEN
        EXECUTE format('CREATE TABLE usage_parts.%I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', part, name, first, after);
    END IF;
END $$;

CREATE FUNCTION keep_usage() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    today timestamptz := date_trunc('day', now(), 'UTC');
    day timestamptz := today - interval '24 hours';
    month timestamp := date_trunc('month', day AT TIME ZONE 'UTC');
    part record;
BEGIN
    FOR i IN -1..1 LOOP
        PERFORM usage_part(name, today + i * interval '24 hours', today + (i + 1) * interval '24 hours')
            FROM unnest(ARRAY['usage_minutes', 'usage_drops']) AS name;
    END LOOP;
    FOR i IN 0..1 LOOP
        PERFORM usage_part('usage_tens', (month + i * interval '1 month') AT TIME ZONE 'UTC',
            (month + (i + 1) * interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
    IF NOT EXISTS (SELECT FROM usage_tens u WHERE u.begins = day) THEN
        INSERT INTO usage_tens (machine_id, begins, slots, {COLUMNS})
            SELECT t.machine_id, day, array_agg(t.slot ORDER BY t.slot), {IN_ORDER}
            FROM ({TEN}) AS t GROUP BY t.machine_id;
        INSERT INTO usage_days AS d (machine_id, begins, slots, {COLUMNS})
            SELECT t.machine_id, date_trunc('year', day, 'UTC'), ARRAY[t.slot], {ONE} FROM ({DAY}) AS t
        ON CONFLICT (machine_id, begins) DO UPDATE SET slots = d.slots || excluded.slots, {APPENDED};
        DELETE FROM usage_days d WHERE d.begins < date_trunc('year', day - interval '1 year', 'UTC');
    END IF;
    FOR part IN SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'usage_minutes'::regclass AND right(c.relname, 8) < to_char(day AT TIME ZONE 'UTC', 'YYYYMMDD')
        OR i.inhparent = 'usage_drops'::regclass
            AND right(c.relname, 8) < to_char((today - interval '31 days') AT TIME ZONE 'UTC', 'YYYYMMDD')
        OR i.inhparent = 'usage_tens'::regclass
            AND right(c.relname, 8) < to_char(month - interval '1 month', 'YYYYMMDD')
    LOOP
        EXECUTE format('DROP TABLE usage_parts.%I', part.name);
    END LOOP;
END $$;
COMMENT ON FUNCTION keep_usage IS 'makes parts of the tables of usage, sums up yesterday, drops what is old';
REVOKE EXECUTE ON FUNCTION usage_part, keep_usage FROM PUBLIC;
SELECT keep_usage();
"""
AWAY = """
DROP FUNCTION keep_usage;
DROP FUNCTION usage_part;
DROP TABLE usage_drops, usage_days, usage_tens, usage_minutes;
DROP SCHEMA usage_parts;
"""


def _do(text: str) -> None:
    op.execute(text.replace(":", r"\:"))


def upgrade() -> None:
    """Nothing is known of the time before."""
    for name, (table, about) in TABLES.items():
        _do(table)
        _do(SEEN.format(name=name, about=about))
    for name, columns in UPDATED.items():
        _do(WRITTEN.format(name=name, columns=columns, own=OWN.format(name=name)))
    _do(KEEP)


def downgrade() -> None:
    """What was measured is gone."""
    op.execute(AWAY)
