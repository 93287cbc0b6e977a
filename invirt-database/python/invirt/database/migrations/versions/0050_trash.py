"""The trash: what was removed counts to its owner's quota until it is given back or ends."""

from __future__ import annotations

from alembic import op

revision = "0050"
down_revision = "0040"

TABLES = r"""
CREATE TABLE trash (
    trash_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name short_name NOT NULL,
    machine_id integer,
    owner_id integer REFERENCES owners ON DELETE SET NULL,
    machine jsonb,
    taken text CONSTRAINT trash_taken CHECK (taken IN ('undelete', 'purge')),
    deleted_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL
);
COMMENT ON TABLE trash IS 'machines, or single disks (machine is null), that can be given back';
COMMENT ON COLUMN trash.name IS 'of the machine when it was removed; its number is machine_id';
COMMENT ON COLUMN trash.owner_id IS 'whose quota it counts to; null: administrators look after it';
COMMENT ON COLUMN trash.machine IS 'what else makes the machine again';
COMMENT ON COLUMN trash.taken IS 'what an operation does to it just now';
CREATE INDEX trash_owner_id ON trash (owner_id);
CREATE INDEX trash_ends_at ON trash (ends_at);
CREATE TABLE trash_disks (
    trash_id integer NOT NULL REFERENCES trash ON DELETE CASCADE,
    name text COLLATE "C" NOT NULL CONSTRAINT trash_disk_name CHECK (name ~ '^hd[a-z]$'),
    size integer NOT NULL CONSTRAINT trash_disk_size CHECK (size >= 0),
    operation_id bigint NOT NULL,
    PRIMARY KEY (trash_id, name)
);
COMMENT ON COLUMN trash_disks.size IS 'GiB';
COMMENT ON COLUMN trash_disks.operation_id IS 'the operation by whose number hosts know the volume';
CREATE UNIQUE INDEX trash_disks_operation_id ON trash_disks (operation_id, name);
GRANT SELECT, INSERT, UPDATE, DELETE ON trash, trash_disks TO invirt_remote;
GRANT SELECT, INSERT ON hostnames TO invirt_remote;
"""

# What is being given back counts already as the machine that it becomes.
QUOTA = """
CREATE OR REPLACE FUNCTION check_quota(for_owner integer) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    quota owners;
    used record;
    kept bigint;
BEGIN
    UPDATE owners o SET memory = o.memory WHERE o.owner_id = for_owner RETURNING o.* INTO quota;
    SELECT count(*) AS machines, coalesce(sum(m.memory), 0) AS memory,
           coalesce(sum((SELECT sum(d.size) FROM disks d WHERE d.machine_id = m.machine_id)), 0) AS disk
        INTO used FROM machines m WHERE m.owner_id = for_owner;
    SELECT coalesce(sum(d.size), 0) INTO kept FROM trash t JOIN trash_disks d USING (trash_id)
        WHERE t.owner_id = for_owner AND t.taken IS DISTINCT FROM 'undelete';
    IF used.machines > quota.machines THEN
        RAISE EXCEPTION 'the quota of % is % machines; this would make %',
            quota.name, quota.machines, used.machines USING CONSTRAINT = 'no_room';
    ELSIF used.memory > quota.memory THEN
        RAISE EXCEPTION 'the quota of % is % MiB of memory; this would make %',
            quota.name, quota.memory, used.memory USING CONSTRAINT = 'no_room';
    ELSIF used.disk + kept > quota.disk AND kept > 0 THEN
        RAISE EXCEPTION 'the quota of % is % GiB of disk; this would make %, with % in the trash',
            quota.name, quota.disk, used.disk + kept, kept
            USING CONSTRAINT = 'no_room', HINT = 'machine trash shows it; machine purge ends it for good.';
    ELSIF used.disk > quota.disk THEN
        RAISE EXCEPTION 'the quota of % is % GiB of disk; this would make %',
            quota.name, quota.disk, used.disk USING CONSTRAINT = 'no_room';
    END IF;
END $$;
"""

QUOTA_BEFORE = """
CREATE OR REPLACE FUNCTION check_quota(for_owner integer) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    quota owners;
    used record;
BEGIN
    UPDATE owners o SET memory = o.memory WHERE o.owner_id = for_owner RETURNING o.* INTO quota;
    SELECT count(*) AS machines, coalesce(sum(m.memory), 0) AS memory,
           coalesce(sum((SELECT sum(d.size) FROM disks d WHERE d.machine_id = m.machine_id)), 0) AS disk
        INTO used FROM machines m WHERE m.owner_id = for_owner;
    IF used.machines > quota.machines THEN
        RAISE EXCEPTION 'the quota of % is % machines; this would make %',
            quota.name, quota.machines, used.machines USING CONSTRAINT = 'no_room';
    ELSIF used.memory > quota.memory THEN
        RAISE EXCEPTION 'the quota of % is % MiB of memory; this would make %',
            quota.name, quota.memory, used.memory USING CONSTRAINT = 'no_room';
    ELSIF used.disk > quota.disk THEN
        RAISE EXCEPTION 'the quota of % is % GiB of disk; this would make %',
            quota.name, quota.disk, used.disk USING CONSTRAINT = 'no_room';
    END IF;
END $$;
"""


def upgrade() -> None:
    """Make the tables, and count them; what hosts have in their trash invirt-reconcile enters."""
    op.execute(TABLES.replace(":", r"\:"))
    op.execute(QUOTA)


def downgrade() -> None:
    """Forget what is in the trash: hosts of that version end it by its age."""
    op.execute(QUOTA_BEFORE)
    op.execute("REVOKE ALL ON hostnames FROM invirt_remote")
    op.execute("DROP TABLE trash_disks")
    op.execute("DROP TABLE trash")
