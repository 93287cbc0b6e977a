"""Schema dhcp: what Kea reads in place of its own tables.

Hosts and their options are views of machines and nics.  Leases are kept
nowhere: the lease tables are empty and take in what is written to them, so a
guest's address is what the database says at each request and renewal.  What
differs between Kea's schemas 13 (Kea 2.2) and 22 (Kea 2.6) is in schemas of
its own; Kea's search_path names first the one that it was built for.
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"

# A machine may be on any host, so reservations are global (subnet 0).  Kea asks
# for one host at a time and its options; that all of a range have the range's
# number makes the range's options theirs, and spares a way back to the NIC.
HOSTS = """
CREATE SCHEMA dhcp;
CREATE INDEX nics_dhcp_identifier ON nics (macaddr_send(mac_addr));
CREATE INDEX nics_dhcp_address ON nics ((ip - '0.0.0.0'::inet));

CREATE VIEW dhcp.hosts AS
SELECT r.range_id AS host_id, macaddr_send(n.mac_addr) AS dhcp_identifier, 0::smallint AS dhcp_identifier_type,
    0::bigint AS dhcp4_subnet_id, 0::bigint AS dhcp6_subnet_id, n.ip - '0.0.0.0'::inet AS ipv4_address,
    (SELECT m.name FROM machines m WHERE m.machine_id = n.machine_id)::varchar AS hostname,
    ('prefix' || r.prefix)::varchar AS dhcp4_client_classes, NULL::varchar AS dhcp6_client_classes,
    NULL::text AS user_context, NULL::bigint AS dhcp4_next_server, NULL::varchar AS dhcp4_server_hostname,
    NULL::varchar AS dhcp4_boot_file_name, NULL::varchar AS auth_key
FROM nics n JOIN address_ranges r ON n.ip BETWEEN r.first AND r.last;
COMMENT ON COLUMN dhcp.hosts.dhcp_identifier_type IS '0: the identifier is a MAC';
COMMENT ON COLUMN dhcp.hosts.dhcp4_client_classes IS 'the length of the netmask, which Kea makes one of';
COMMENT ON COLUMN dhcp.hosts.dhcp4_subnet_id IS '0: a global reservation, good behind every relay';
"""

OPTIONS = """
CREATE VIEW dhcp.dhcp4_options AS
SELECT range_id AS option_id, 3::smallint AS code, substr(inet_send(gateway), 5) AS value,
    NULL::text AS formatted_value, 'dhcp4'::varchar AS space, false AS persistent, false AS cancelled,
    NULL::text AS user_context, range_id AS host_id, 3::smallint AS scope_id,
    NULL::varchar AS dhcp_client_class, NULL::bigint AS dhcp4_subnet_id
FROM address_ranges;
COMMENT ON VIEW dhcp.dhcp4_options IS 'the router of each range of addresses';

CREATE VIEW dhcp.dhcp6_options AS
SELECT NULL::integer AS option_id, NULL::integer AS code, NULL::bytea AS value, NULL::text AS formatted_value,
    NULL::varchar AS space, NULL::boolean AS persistent, NULL::boolean AS cancelled, NULL::text AS user_context,
    NULL::integer AS host_id, NULL::smallint AS scope_id WHERE false;
"""

LEASES = """
CREATE FUNCTION dhcp.forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN coalesce(NEW, OLD); END $$;
CREATE FUNCTION dhcp.checkLease4Limits(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '' $$;
CREATE FUNCTION dhcp.checkLease6Limits(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '' $$;
CREATE FUNCTION dhcp.isJsonSupported() RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT false $$;

CREATE VIEW dhcp.lease4 AS
SELECT NULL::bigint AS address, NULL::bytea AS hwaddr, NULL::bytea AS client_id, NULL::bigint AS valid_lifetime,
    NULL::timestamptz AS expire, NULL::bigint AS subnet_id, NULL::boolean AS fqdn_fwd, NULL::boolean AS fqdn_rev,
    NULL::varchar AS hostname, NULL::bigint AS state, NULL::text AS user_context, NULL::bytea AS relay_id,
    NULL::bytea AS remote_id, NULL::bigint AS pool_id WHERE false;
CREATE VIEW dhcp.lease4_stat AS
SELECT NULL::bigint AS subnet_id, NULL::bigint AS state, NULL::bigint AS leases WHERE false;
CREATE VIEW dhcp.lease6_stat AS
SELECT NULL::bigint AS subnet_id, NULL::smallint AS lease_type, NULL::bigint AS state, NULL::bigint AS leases
WHERE false;
CREATE VIEW dhcp.lease4_pool_stat AS
SELECT subnet_id, NULL::bigint AS pool_id, state, leases FROM dhcp.lease4_stat;
CREATE VIEW dhcp.lease6_pool_stat AS
SELECT subnet_id, NULL::bigint AS pool_id, lease_type, state, leases FROM dhcp.lease6_stat;
CREATE VIEW dhcp.lease4_stat_by_client_class AS
SELECT NULL::varchar AS client_class, NULL::bigint AS leases WHERE false;
CREATE VIEW dhcp.lease6_stat_by_client_class AS
SELECT NULL::varchar AS client_class, NULL::smallint AS lease_type, NULL::bigint AS leases WHERE false;
"""

# Kea's schema, and what it takes an IPv6 address for.
KINDS = {"13": ("13, 0", "varchar"), "22": ("22, 2", "inet")}
OF_A_KIND = """
CREATE SCHEMA dhcp_{kind};
CREATE VIEW dhcp_{kind}.schema_version AS SELECT v.* FROM (VALUES ({version})) AS v (version, minor);
CREATE VIEW dhcp_{kind}.ipv6_reservations AS
SELECT NULL::integer AS reservation_id, NULL::{type} AS address, NULL::smallint AS prefix_len, NULL::smallint AS type,
    NULL::integer AS dhcp6_iaid, NULL::integer AS host_id WHERE false;
CREATE VIEW dhcp_{kind}.lease6 AS
SELECT NULL::{type} AS address, NULL::bytea AS duid, NULL::bigint AS valid_lifetime, NULL::timestamptz AS expire,
    NULL::bigint AS subnet_id, NULL::bigint AS pref_lifetime, NULL::smallint AS lease_type, NULL::integer AS iaid,
    NULL::smallint AS prefix_len, NULL::boolean AS fqdn_fwd, NULL::boolean AS fqdn_rev, NULL::varchar AS hostname,
    NULL::bytea AS hwaddr, NULL::smallint AS hwtype, NULL::smallint AS hwaddr_source, NULL::bigint AS state,
    NULL::text AS user_context, NULL::bigint AS pool_id WHERE false;
CREATE VIEW dhcp_{kind}.lease6_relay_id AS
SELECT NULL::bigint AS extended_info_id, NULL::bytea AS relay_id, NULL::{type} AS lease_addr WHERE false;
CREATE VIEW dhcp_{kind}.lease6_remote_id AS
SELECT NULL::bigint AS extended_info_id, NULL::bytea AS remote_id, NULL::{type} AS lease_addr WHERE false;
GRANT USAGE ON SCHEMA dhcp_{kind} TO invirt_dhcp;
GRANT SELECT ON ALL TABLES IN SCHEMA dhcp_{kind} TO invirt_dhcp;
"""
# What is written to leases goes nowhere.
WRITTEN = """
CREATE TRIGGER forget INSTEAD OF INSERT OR UPDATE OR DELETE ON {view}
    FOR EACH ROW EXECUTE FUNCTION dhcp.forget();
GRANT INSERT, UPDATE, DELETE ON {view} TO invirt_dhcp;
"""

RIGHTS = """
GRANT USAGE ON SCHEMA dhcp TO invirt_dhcp;
GRANT SELECT ON ALL TABLES IN SCHEMA dhcp TO invirt_dhcp;
"""


def upgrade() -> None:
    """Make the schemas and grant what Kea needs."""
    for part in (HOSTS, OPTIONS, LEASES, RIGHTS):
        op.execute(part.replace(":", r"\:"))
    for kind, (version, type) in KINDS.items():
        part = OF_A_KIND.format(kind=kind, version=version, type=type)
        op.execute(part.replace(":", r"\:"))
    leases = (f"dhcp_{kind}.lease6{suffix}" for kind in KINDS for suffix in ("", "_relay_id", "_remote_id"))
    for view in ("dhcp.lease4", *leases):
        op.execute(WRITTEN.format(view=view))


def downgrade() -> None:
    """Remove them."""
    for kind in KINDS:
        op.execute(f"DROP SCHEMA dhcp_{kind} CASCADE")
    op.execute("DROP INDEX nics_dhcp_identifier")
    op.execute("DROP INDEX nics_dhcp_address")
    op.execute("DROP SCHEMA dhcp CASCADE")
