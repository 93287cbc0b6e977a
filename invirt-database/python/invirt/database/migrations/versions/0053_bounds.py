"""What users can make many of has an end, computers have no machines, and an address rests before it is another's."""

from __future__ import annotations

from alembic import op

revision = "0053"
down_revision = "0052"

# Turns are rows, since PostgreSQL keeps advisory locks, one for each name that anybody
# thinks of, in memory that all sessions share.  Two things may have the same row.
TURNS = """
CREATE SCHEMA rules;
CREATE TABLE rules.turns (turn integer PRIMARY KEY);
COMMENT ON TABLE rules.turns IS 'what is locked by those who come in turn: see take_turn()';
INSERT INTO rules.turns SELECT generate_series(0, 1023);
CREATE FUNCTION take_turn(what text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM rules.turns t WHERE t.turn = hashtext(what) & 1023 FOR UPDATE;
END $$;
COMMENT ON FUNCTION take_turn IS 'waits for all open transactions that said the same; so will later ones for this';
REVOKE EXECUTE ON FUNCTION take_turn FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_turn TO invirt_remote;
"""
CLAIM = """
CREATE OR REPLACE FUNCTION claim_name() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM {lock};
    IF TG_TABLE_NAME = 'machines' THEN
        IF EXISTS (SELECT FROM taken_names t WHERE t.name = NEW.name) THEN
            RAISE EXCEPTION 'the name % is reserved', NEW.name USING HINT = 'Choose another name.';
        END IF;
    ELSIF EXISTS (SELECT FROM machines m WHERE m.name = NEW.name) THEN
        RAISE EXCEPTION 'a machine is called %', NEW.name USING HINT = 'Rename the machine first.';
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION dns.claim_name() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM {dns_lock};
    IF NEW.type IN ('A', 'AAAA', 'CNAME', 'NS') AND dns.is_machine(NEW.name) THEN
        RAISE EXCEPTION 'a machine is called %', split_part(NEW.name, '.', 1)
            USING HINT = 'Rename the machine first.';
    END IF;
    RETURN NEW;
END $$;
"""
BY_TURN = {"lock": "take_turn(NEW.name)", "dns_lock": "take_turn(split_part(NEW.name, '.', 1))"}
BY_ADVISORY_LOCK = {
    "lock": "pg_advisory_xact_lock(hashtextextended(NEW.name, 0))",
    "dns_lock": "pg_advisory_xact_lock(hashtextextended(split_part(NEW.name, '.', 1), 0))",
}

# Rows that are more already stay.  Row by row: a statement that adds too many ends at the first.
# The lock is on the row that they belong to, which its maker has already; what has none takes a turn.
BOUND = """
CREATE FUNCTION bound() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    most integer := TG_ARGV[1];
    found bigint;
BEGIN
    IF TG_ARGV[4] = '' THEN
        PERFORM take_turn(to_jsonb(NEW) ->> TG_ARGV[0]);
    ELSE
        EXECUTE format('SELECT FROM %I WHERE %I = ($1).%2$I FOR NO KEY UPDATE', TG_ARGV[4], TG_ARGV[0]) USING NEW;
    END IF;
    EXECUTE format('SELECT count(*) FROM (SELECT FROM %I.%I WHERE %I = ($1).%3$I LIMIT %s) AS few',
        TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0], most + 1) INTO found USING NEW;
    IF found > most THEN
        RAISE EXCEPTION '%', format(TG_ARGV[2], most) USING CONSTRAINT = 'no_room', HINT = TG_ARGV[3];
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION bound IS
    'arguments: whose rows are counted, the most of them, what is said, what to do, and the table of whose';
"""
# Table: the column whose equal values are counted, how many may be, what is said, what to do, and
# the table of what they belong to.
BOUNDS = {
    "machine_access": (
        "machine_id", 100, "a machine lets in at most %s principals beside its owner",
        "Take one back first: machine disallow NAME PRINCIPAL. A group is better made an owner.",
        "machines",
    ),
    "members": ("owner_id", 1000, "an owner has at most %s members", "Take one away first.", "owners"),
    "public_keys": ("principal", 20, "a principal has at most %s public keys", "Remove one first.", ""),
    "nics": ("machine_id", 8, "a machine has at most %s network interfaces", "Remove one first.", "machines"),
    "hostnames": ("nic_id", 100, "a NIC has at most %s further names", "Take one away first.", "nics"),
}  # fmt: skip

# Texts that programs write of what they were told: no row grows without end.
TEXTS = {
    "operations": {
        "machine_name": 255, "arguments::text": 20000, "error": 10000, "lease_holder": 1000,
    },
    "operation_steps": {"name": 100, "undo": 2000, "detail::text": 20000},
    "audit": {
        "principal": 1000, "via": 1000, "command": 1000, "arguments": 4000,
        "machine_name": 1000, "outcome": 100, "message": 4000,
    },
}  # fmt: skip

# The newest operation of a machine is found at once, however many it has had.
NEWEST = """
CREATE INDEX operations_newest ON operations (machine_id, operation_id);
DROP INDEX operations_machine_id;
"""

# A service's principal names the computer that it runs on; alice/admin and root/admin are people.
COMPUTER = r"principal ~* '^host/' OR principal ~ '/[^@]*\.'"
OF_PEOPLE = ("members", "machine_access", "public_keys")

# The same owner may have it back at once: else whoever makes and deletes machines would soon hold all.
# The rows stay when their time is over, to tell which addresses have rested longest.
HELD = """
CREATE TABLE held_addresses (
    ip inet PRIMARY KEY,
    machine_id integer NOT NULL,
    owner_id integer NOT NULL,
    until timestamptz NOT NULL
);
COMMENT ON TABLE held_addresses IS 'that machines have had; until then they are no other owner''s';
CREATE INDEX held_addresses_owner_id ON held_addresses (owner_id);
CREATE INDEX held_addresses_until ON held_addresses (until);
GRANT SELECT ON held_addresses TO invirt_remote;
CREATE TABLE rules.address_hold (seconds integer NOT NULL);
COMMENT ON TABLE rules.address_hold IS 'one row, of invirt.yaml: for how long addresses are held';
INSERT INTO rules.address_hold VALUES (3600);

CREATE FUNCTION hold_addresses(of_machine integer, of_owner integer, addresses inet[]) RETURNS void
LANGUAGE sql SET search_path = public, pg_temp AS $$
    INSERT INTO held_addresses SELECT DISTINCT ip, of_machine, of_owner, now() + seconds * interval '1 second'
        FROM unnest(addresses) AS ip, rules.address_hold WHERE ip IS NOT NULL
        ON CONFLICT (ip) DO UPDATE
            SET machine_id = excluded.machine_id, owner_id = excluded.owner_id, until = excluded.until
$$;
CREATE FUNCTION hold_of_nic() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM hold_addresses(m.machine_id, m.owner_id, CASE TG_OP WHEN 'DELETE' THEN ARRAY[OLD.ip, OLD.ip6]
            ELSE array_remove(array_remove(ARRAY[OLD.ip, OLD.ip6], NEW.ip), NEW.ip6) END)
        FROM machines m WHERE m.machine_id = OLD.machine_id;
    RETURN NULL;
END $$;
CREATE TRIGGER hold AFTER DELETE OR UPDATE OF ip, ip6 ON nics FOR EACH ROW EXECUTE FUNCTION hold_of_nic();
-- Before: its NICs are there still.
CREATE FUNCTION hold_of_machine() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM hold_addresses(OLD.machine_id, OLD.owner_id,
        ARRAY(SELECT unnest(ARRAY[n.ip, n.ip6]) FROM nics n WHERE n.machine_id = OLD.machine_id));
    RETURN OLD;
END $$;
CREATE TRIGGER hold BEFORE DELETE ON machines FOR EACH ROW EXECUTE FUNCTION hold_of_machine();

CREATE FUNCTION take_held() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    held held_addresses;
BEGIN
    FOR held IN DELETE FROM held_addresses h WHERE h.ip IN (NEW.ip, NEW.ip6) RETURNING h.* LOOP
        IF held.until > now() AND NOT pg_has_role(session_user, 'invirt', 'MEMBER') AND held.owner_id <>
                (SELECT m.owner_id FROM machines m WHERE m.machine_id = NEW.machine_id) THEN
            RAISE EXCEPTION 'the address % is held until %', host(held.ip), held.until
                USING HINT = 'Another owner''s machine had it.';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION take_held IS 'an administrator may take what is held';
CREATE TRIGGER taken AFTER INSERT OR UPDATE OF ip, ip6 ON nics FOR EACH ROW EXECUTE FUNCTION take_held();
"""

# The acting principal's, and nobody's but by these.
KEYS = """
REVOKE INSERT, DELETE ON public_keys FROM invirt_remote;
CREATE FUNCTION add_public_key(acting principal, key text, via principal DEFAULT NULL) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO public_keys (principal, key) VALUES (acting, key);
    INSERT INTO audit (principal, via, command, arguments, outcome)
        VALUES (acting, via, 'add_public_key', key, 'succeeded')
$$;
CREATE FUNCTION remove_public_key(acting principal, key text, via principal DEFAULT NULL) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH gone AS (DELETE FROM public_keys k WHERE k.principal = acting AND k.key = $2 RETURNING k.key)
    INSERT INTO audit (principal, via, command, arguments, outcome)
        SELECT acting, $3, 'remove_public_key', gone.key, 'succeeded' FROM gone RETURNING true
$$;
COMMENT ON FUNCTION remove_public_key IS 'null: the principal has no such key';
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_public_key, remove_public_key TO invirt_remote;
"""


def upgrade() -> None:
    """Make the rules.  Computers lose what they have; longer texts and more rows than allowed stay."""
    for part in (TURNS, CLAIM.format(**BY_TURN), BOUND, NEWEST, HELD, KEYS):
        op.execute(part.replace(":", r"\:"))
    for table, (column, most, said, todo, of) in BOUNDS.items():
        op.execute(
            f"CREATE TRIGGER bound AFTER INSERT OR UPDATE OF {column} ON {table} FOR EACH ROW"
            f" EXECUTE FUNCTION bound('{column}', {most}, '{said}', '{todo}', '{of}')".replace(":", r"\:")
        )
    for table, lengths in TEXTS.items():
        checks = " AND ".join(f"length({text}) <= {most}" for text, most in lengths.items())
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT short_texts CHECK ({checks}) NOT VALID".replace(":", r"\:")
        )
    for table in OF_PEOPLE:
        op.execute(f"DELETE FROM {table} WHERE {COMPUTER}")
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT person CHECK (NOT ({COMPUTER}))")


def downgrade() -> None:
    """Take them away."""
    for table in OF_PEOPLE:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT person")
    for table in TEXTS:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT short_texts")
    for table in BOUNDS:
        op.execute(f"DROP TRIGGER bound ON {table}")
    for trigger, table in (("hold", "nics"), ("taken", "nics"), ("hold", "machines")):
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    op.execute(CLAIM.format(**BY_ADVISORY_LOCK).replace(":", r"\:"))
    for function in [
        "bound",
        "hold_of_nic",
        "hold_of_machine",
        "take_held",
        "hold_addresses",
        "take_turn",
        "add_public_key",
        "remove_public_key",
    ]:
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP TABLE held_addresses")
    op.execute("DROP SCHEMA rules CASCADE")
    op.execute("GRANT INSERT, DELETE ON public_keys TO invirt_remote")
    op.execute("CREATE INDEX operations_machine_id ON operations (machine_id)")
    op.execute("DROP INDEX operations_newest")
