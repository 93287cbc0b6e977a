"""Rules between rows, kept by triggers, and the counter that snapshots are keyed on.

Each rule takes a lock before it counts, so two transactions at a rule's edge
can't both pass.  Triggers run as the schema's owner: who may write a machine
need not be able to write quotas.  What they say is meant for the user who
asked, under SQLSTATE P0001; CONSTRAINT no_room marks that something is used up.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

RESERVED = """
all any anyuser anonymous empty help summary none null new default deny allow
admin administrator list show create delete quota operation invirt
root daemon bin sys sync games man lp mail news uucp proxy www-data backup irc gnats nobody
systemd-network systemd-resolve systemd-timesync systemd-coredump systemd-oom systemd-journal
systemd-journal-remote systemd-journal-gateway systemd-journal-upload messagebus dbus polkitd
sshd postgres debian-exim postfix dovecot bind pdns powerdns kea dhcpd dnsmasq conservr conserver
munin nagios icinga ntp ntpsec chrony rpc statd tcpdump uuidd avahi libvirt-qemu libvirt-dnsmasq qemu
kvm xen remctl openafs afs krb5 ntlm syslog mysql redis nginx apache haproxy ceph rbd lxc
adm tty disk kmem dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp video sasl
plugdev staff users nogroup input sgx render crontab netdev ssl-cert ssh
localhost broadcasthost wpad isatap autoconfig autodiscover www ftp imap pop smtp mx ns ns1 ns2 ldap
hostmaster postmaster webmaster abuse security noreply support
remote console dns dhcp db database kdc kerberos web client gateway router host
"""

# One name can't be a machine's and a host's or a reserved one.  The advisory
# lock is on the name: two transactions that want the same one come in turn.
NAMES = """
CREATE VIEW taken_names AS SELECT name::text FROM reserved_names UNION ALL SELECT name FROM hosts;
COMMENT ON VIEW taken_names IS 'that no machine may have';
CREATE FUNCTION claim_name() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.name, 0));
    IF TG_TABLE_NAME = 'machines' THEN
        IF EXISTS (SELECT FROM taken_names t WHERE t.name = NEW.name) THEN
            RAISE EXCEPTION 'the name % is reserved', NEW.name USING HINT = 'Choose another name.';
        END IF;
    ELSIF EXISTS (SELECT FROM machines m WHERE m.name = NEW.name) THEN
        RAISE EXCEPTION 'a machine is called %', NEW.name USING HINT = 'Rename the machine first.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER claim_name BEFORE INSERT OR UPDATE OF name ON machines
    FOR EACH ROW EXECUTE FUNCTION claim_name();
CREATE TRIGGER claim_name BEFORE INSERT OR UPDATE OF name ON hosts
    FOR EACH ROW EXECUTE FUNCTION claim_name();
CREATE TRIGGER claim_name BEFORE INSERT OR UPDATE OF name ON reserved_names
    FOR EACH ROW EXECUTE FUNCTION claim_name();
"""

# The update that changes nothing is the lock.  Unlike SELECT FOR UPDATE, it
# also makes a repeatable read transaction fail instead of counting old rows.
# Only growth is checked: an owner whose quota was lowered may still shrink.
ROOM = """
CREATE FUNCTION check_quota(for_owner integer) RETURNS void LANGUAGE plpgsql
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

CREATE FUNCTION check_host_memory(for_host integer) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp AS $$
DECLARE
    host hosts;
    used bigint;
BEGIN
    UPDATE hosts h SET memory = h.memory WHERE h.host_id = for_host RETURNING h.* INTO host;
    SELECT sum(m.memory) INTO used FROM machines m WHERE m.host_id = for_host;
    IF used > host.memory THEN
        RAISE EXCEPTION 'the host % has % MiB for guests; this would make %',
            host.name, host.memory, used USING CONSTRAINT = 'no_room';
    END IF;
END $$;

CREATE FUNCTION check_machine_room() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.owner_id <> OLD.owner_id OR NEW.memory > OLD.memory THEN
        PERFORM check_quota(NEW.owner_id);
    END IF;
    IF NEW.host_id IS NOT NULL AND (TG_OP = 'INSERT'
            OR NEW.host_id IS DISTINCT FROM OLD.host_id OR NEW.memory > OLD.memory) THEN
        PERFORM check_host_memory(NEW.host_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER room AFTER INSERT OR UPDATE OF owner_id, memory, host_id ON machines
    FOR EACH ROW EXECUTE FUNCTION check_machine_room();

CREATE FUNCTION check_disk_room() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.machine_id <> OLD.machine_id OR NEW.size > OLD.size THEN
        PERFORM check_quota(m.owner_id) FROM machines m WHERE m.machine_id = NEW.machine_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER room AFTER INSERT OR UPDATE OF machine_id, size ON disks
    FOR EACH ROW EXECUTE FUNCTION check_disk_room();
"""

ADDRESSES = """
CREATE FUNCTION check_address() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.ip IS NOT NULL THEN
        PERFORM FROM address_ranges WHERE NEW.ip BETWEEN first AND last FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the address % is in no range of addresses', host(NEW.ip);
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER address BEFORE INSERT OR UPDATE OF ip ON nics
    FOR EACH ROW EXECUTE FUNCTION check_address();

CREATE FUNCTION check_range() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    name text;
BEGIN
    SELECT m.name INTO name FROM nics n JOIN machines m USING (machine_id)
        WHERE n.ip BETWEEN OLD.first AND OLD.last
        AND NOT EXISTS (SELECT FROM address_ranges r WHERE n.ip BETWEEN r.first AND r.last) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the machine % has an address of the range % to %',
            name, host(OLD.first), host(OLD.last);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER in_use AFTER DELETE OR UPDATE OF first, last ON address_ranges
    FOR EACH ROW EXECUTE FUNCTION check_range();
"""

# Deferred to the commit, so that the counter's row is locked only for an
# instant.  Once a transaction is enough.  Writers come in turn at that row, so
# who reads a value of the counter, and rows in the same statement or later,
# sees all that brought the counter there.
COUNTER = """
CREATE FUNCTION advance_access() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    this_transaction text := pg_current_xact_id()::text;
BEGIN
    IF current_setting('invirt.advanced', true) IS DISTINCT FROM this_transaction THEN
        UPDATE counters SET value = value + 1 WHERE name = 'access';
        PERFORM set_config('invirt.advanced', this_transaction, true);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER access AFTER INSERT OR DELETE OR UPDATE OF name, owner_id ON machines
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access();
CREATE CONSTRAINT TRIGGER access AFTER INSERT OR DELETE OR UPDATE OF name ON owners
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access();
CREATE CONSTRAINT TRIGGER access AFTER INSERT OR DELETE OR UPDATE ON members
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access();
CREATE CONSTRAINT TRIGGER access AFTER INSERT OR DELETE OR UPDATE ON machine_access
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access();
"""

TRIGGERS = {
    "claim_name": ("machines", "hosts", "reserved_names"),
    "room": ("machines", "disks"),
    "address": ("nics",),
    "in_use": ("address_ranges",),
    "access": ("machines", "owners", "members", "machine_access"),
}
FUNCTIONS = (
    "claim_name() check_machine_room() check_disk_room() check_quota(integer) check_host_memory(integer) "
    "check_address() check_range() advance_access()"
)


def upgrade() -> None:
    """Make the triggers and reserve the names that mean something elsewhere."""
    names = ", ".join(f"('{name}')" for name in sorted(set(RESERVED.split())))
    op.execute(f"INSERT INTO reserved_names (name) VALUES {names}")
    for part in (NAMES, ROOM, ADDRESSES, COUNTER):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Remove the triggers and what was reserved."""
    for trigger, tables in TRIGGERS.items():
        for table in tables:
            op.execute(f"DROP TRIGGER {trigger} ON {table}")
    for function in FUNCTIONS.split():
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP VIEW taken_names")
    op.execute("DELETE FROM reserved_names")
