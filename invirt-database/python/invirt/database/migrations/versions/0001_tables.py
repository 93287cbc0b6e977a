"""Tables, with the rules that one row must keep by itself."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

# PostgreSQL's $ is the end of the text, never a newline before it.
DOMAINS = r"""
CREATE DOMAIN short_name AS text COLLATE "C"
    CONSTRAINT short_name CHECK (VALUE ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$');
CREATE DOMAIN full_name AS text COLLATE "C" CONSTRAINT full_name CHECK (
    VALUE ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$'
    AND length(VALUE) <= 253);
CREATE DOMAIN principal AS text COLLATE "C" CONSTRAINT principal CHECK (
    VALUE ~ '^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?@[A-Z0-9.-]+$' AND length(VALUE) <= 255);
CREATE DOMAIN one_line AS text
    CONSTRAINT one_line CHECK (VALUE !~ '[[:cntrl:]]' AND length(VALUE) <= 1000);
CREATE DOMAIN file_path AS text COLLATE "C"
    CONSTRAINT file_path CHECK (VALUE ~ '^/[A-Za-z0-9._/+-]+$' AND length(VALUE) <= 1000);
CREATE TYPE address_span AS RANGE (subtype = inet);
"""

OWNERS = """
CREATE TABLE owners (
    owner_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
        CONSTRAINT owner_name CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._/@-]{0,254}$'),
    memory integer NOT NULL CONSTRAINT owner_memory CHECK (memory >= 0),
    disk integer NOT NULL CONSTRAINT owner_disk CHECK (disk >= 0),
    machines integer NOT NULL CONSTRAINT owner_machines CHECK (machines >= 0)
);
COMMENT ON TABLE owners IS 'who is charged for machines; the quota: memory in MiB, disk in GiB';
CREATE TABLE members (
    owner_id integer NOT NULL REFERENCES owners ON DELETE CASCADE,
    principal principal NOT NULL,
    PRIMARY KEY (owner_id, principal)
);
CREATE INDEX members_principal ON members (principal);
"""

PLACES = """
CREATE TABLE types (
    type_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name short_name NOT NULL UNIQUE,
    description one_line NOT NULL DEFAULT '',
    virt text NOT NULL CONSTRAINT type_virt CHECK (virt IN ('pv', 'pvh', 'hvm')),
    kernel file_path,
    initrd file_path,
    append one_line
);
CREATE TABLE hosts (
    host_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name short_name NOT NULL UNIQUE,
    hostname full_name NOT NULL UNIQUE,
    memory integer NOT NULL CONSTRAINT host_memory CHECK (memory >= 0),
    enabled boolean NOT NULL DEFAULT true
);
COMMENT ON COLUMN hosts.memory IS 'MiB that guests may have';
CREATE TABLE address_ranges (
    range_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first inet NOT NULL,
    last inet NOT NULL,
    prefix integer NOT NULL,
    gateway inet NOT NULL,
    CONSTRAINT range_form CHECK (family(first) = 4 AND family(last) = 4 AND family(gateway) = 4
        AND masklen(first) = 32 AND masklen(last) = 32 AND masklen(gateway) = 32
        AND prefix BETWEEN 8 AND 32),
    CONSTRAINT range_order CHECK (first <= last),
    CONSTRAINT range_gateway CHECK (gateway NOT BETWEEN first AND last),
    CONSTRAINT range_network CHECK (prefix > 30 OR (
        gateway <<= network(set_masklen(first, prefix))
        AND last <<= network(set_masklen(first, prefix))
        AND first > host(network(set_masklen(first, prefix)))::inet
        AND last < host(broadcast(set_masklen(first, prefix)))::inet)),
    CONSTRAINT range_overlap EXCLUDE USING gist (address_span(first, last, '[]') WITH &&)
);
COMMENT ON COLUMN address_ranges.prefix IS 'length of the netmask that guests are given';
CREATE TABLE reserved_names (name short_name PRIMARY KEY);
"""

MACHINES = """
CREATE TABLE machines (
    machine_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name short_name NOT NULL UNIQUE,
    owner_id integer NOT NULL REFERENCES owners,
    type_id integer NOT NULL REFERENCES types,
    memory integer NOT NULL CONSTRAINT machine_memory CHECK (memory > 0),
    cpus integer NOT NULL DEFAULT 1 CONSTRAINT machine_cpus CHECK (cpus > 0),
    description one_line NOT NULL DEFAULT '',
    host_id integer REFERENCES hosts,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN machines.host_id IS 'where its memory (MiB) is reserved; null when it is known to be off';
CREATE INDEX machines_owner_id ON machines (owner_id);
CREATE INDEX machines_host_id ON machines (host_id) WHERE host_id IS NOT NULL;
CREATE TABLE disks (
    disk_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL CONSTRAINT disk_name CHECK (name ~ '^hd[a-z]$'),
    size integer NOT NULL CONSTRAINT disk_size CHECK (size > 0),
    CONSTRAINT disks_name_key UNIQUE (machine_id, name)
);
COMMENT ON COLUMN disks.size IS 'GiB';
CREATE TABLE nics (
    nic_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    mac_addr macaddr NOT NULL UNIQUE CONSTRAINT nic_mac CHECK (
        (mac_addr & '03:00:00:00:00:00') = '02:00:00:00:00:00'::macaddr
        OR trunc(mac_addr) = '00:16:3e:00:00:00'::macaddr),
    ip inet UNIQUE CONSTRAINT nic_ip CHECK (family(ip) = 4 AND masklen(ip) = 32),
    hostname full_name UNIQUE
);
CREATE INDEX nics_machine_id ON nics (machine_id);
CREATE TABLE machine_access (
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    principal principal NOT NULL,
    PRIMARY KEY (machine_id, principal)
);
CREATE INDEX machine_access_principal ON machine_access (principal);
CREATE TABLE cdroms (
    cdrom_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name short_name NOT NULL UNIQUE,
    description one_line NOT NULL DEFAULT '',
    path file_path NOT NULL
);
CREATE TABLE autoinstalls (
    autoinstall_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name short_name NOT NULL UNIQUE,
    description one_line NOT NULL DEFAULT '',
    kernel file_path NOT NULL,
    initrd file_path,
    append one_line
);
"""

OPERATIONS = """
CREATE SEQUENCE operation_token;
CREATE TABLE operations (
    operation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CONSTRAINT operation_kind CHECK (kind ~ '^[a-z][a-z-]{0,62}$'),
    machine_id integer REFERENCES machines ON DELETE SET NULL,
    machine_name text NOT NULL,
    principal principal NOT NULL,
    via principal,
    arguments jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'running'
        CONSTRAINT operation_state CHECK (state IN ('running', 'undoing', 'done', 'undone', 'stuck')),
    error text,
    request_key text CONSTRAINT operation_request_key CHECK (length(request_key) BETWEEN 1 AND 200),
    lease_holder text,
    lease_until timestamptz,
    token bigint,
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT operations_request_key UNIQUE (principal, request_key)
);
COMMENT ON COLUMN operations.via IS 'the web server that spoke for the principal';
CREATE UNIQUE INDEX operations_open ON operations (machine_id)
    WHERE state IN ('running', 'undoing', 'stuck');
CREATE INDEX operations_lease ON operations (lease_until) WHERE state IN ('running', 'undoing');
CREATE INDEX operations_machine_id ON operations (machine_id);
CREATE INDEX operations_machine_name ON operations (machine_name);
CREATE TABLE operation_steps (
    operation_id bigint NOT NULL REFERENCES operations ON DELETE CASCADE,
    position integer NOT NULL,
    name text NOT NULL,
    undo text NOT NULL DEFAULT '',
    state text NOT NULL DEFAULT 'pending'
        CONSTRAINT step_state CHECK (state IN ('pending', 'doing', 'done', 'undoing', 'undone')),
    detail jsonb NOT NULL DEFAULT '{}',
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operation_id, position)
);
CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    principal text NOT NULL,
    via text,
    command text NOT NULL,
    arguments text NOT NULL DEFAULT '',
    machine_name text,
    outcome text NOT NULL,
    message text NOT NULL DEFAULT ''
);
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_machine_name ON audit (machine_name, at);
CREATE TABLE counters (name text PRIMARY KEY, value bigint NOT NULL DEFAULT 0);
INSERT INTO counters (name) VALUES ('access');
"""

TABLES = (
    "counters audit operation_steps operations autoinstalls cdroms machine_access nics disks machines "
    "reserved_names address_ranges hosts types members owners"
)


def upgrade() -> None:
    """Make the tables."""
    for part in (DOMAINS, OWNERS, PLACES, MACHINES, OPERATIONS):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Remove them, with all they hold."""
    for table in TABLES.split():
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP SEQUENCE operation_token")
    op.execute("DROP TYPE address_span")
    for domain in ("file_path", "one_line", "principal", "full_name", "short_name"):
        op.execute(f"DROP DOMAIN {domain}")
