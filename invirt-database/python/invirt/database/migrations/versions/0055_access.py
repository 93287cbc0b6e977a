"""Who may do what, in one view; the site's administrators; and what was done as one of them."""

from __future__ import annotations

from alembic import op

revision = "0055"
down_revision = "0054"

ADMINISTRATORS = r"""
CREATE TABLE administrators (
    principal principal PRIMARY KEY CONSTRAINT person CHECK (
        NOT (principal ~* '^host/' OR principal ~ '/[^@]*\.')),
    in_yaml boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE administrators IS 'of the site: they may do to each machine what its owner may';
COMMENT ON COLUMN administrators.in_yaml IS 'named in invirt.yaml, and ends when it is not any more';
CREATE CONSTRAINT TRIGGER access AFTER INSERT OR DELETE OR UPDATE ON administrators
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION advance_access();
CREATE FUNCTION few_administrators() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    LOCK TABLE administrators IN SHARE ROW EXCLUSIVE MODE;
    IF (SELECT count(*) FROM administrators) > 100 THEN
        RAISE EXCEPTION 'a site has at most 100 administrators'
            USING CONSTRAINT = 'no_room', HINT = 'Remove one first: invirt-admin administrator remove PRINCIPAL.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER few AFTER INSERT ON administrators FOR EACH STATEMENT EXECUTE FUNCTION few_administrators();
"""

# Ask it with a principal, or a machine's number, that is known: one that comes of a join is looked for in all.
ACCESS = """
CREATE VIEW access AS
SELECT m.machine_id, x.principal, 'owner' AS role FROM machines m JOIN members x USING (owner_id)
UNION ALL SELECT a.machine_id, a.principal, 'user' FROM machine_access a
UNION ALL SELECT m.machine_id, a.principal, 'administrator' FROM machines m CROSS JOIN administrators a;
COMMENT ON VIEW access IS
    'who may do what to a machine: as one of its owner, as a user whom the owner let in, as one of the site';
CREATE VIEW owner_access AS
SELECT owner_id, principal, 'owner' AS role FROM members
UNION ALL SELECT o.owner_id, a.principal, 'administrator' FROM owners o CROSS JOIN administrators a;
COMMENT ON VIEW owner_access IS 'who may act for an owner: one of its members, or one of the site';
GRANT SELECT ON access, owner_access, administrators TO invirt_remote;
CREATE OR REPLACE VIEW console.principals AS
SELECT m.name::text AS name, a.principal::text AS principal, m.machine_id
FROM machines m JOIN access a USING (machine_id);
CREATE OR REPLACE VIEW console.keys AS
SELECT p.name, k.principal::text AS principal, k.key, p.machine_id
FROM console.principals p JOIN public_keys k ON k.principal = p.principal;
"""

# An owner sees that it was not one of their own.  Not asked of a machine that isn't there: its maker owns it.
DONE = """
CREATE FUNCTION as_administrator(who text, machine text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
SELECT EXISTS (SELECT FROM administrators WHERE principal = who)
    AND EXISTS (SELECT FROM machines WHERE name = machine)
    AND NOT EXISTS (SELECT FROM access WHERE machine_id = (SELECT machine_id FROM machines WHERE name = machine)
        AND principal = who AND role <> 'administrator')
$$;
CREATE FUNCTION note_administrator() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    NEW.administrator := coalesce(NEW.administrator, as_administrator(NEW.principal, NEW.machine_name));
    RETURN NEW;
END $$;
ALTER TABLE operations ADD COLUMN administrator boolean;
ALTER TABLE audit ADD COLUMN administrator boolean;
COMMENT ON COLUMN operations.administrator IS 'of the site, and nothing else gave them the right; null: of before';
COMMENT ON COLUMN audit.administrator IS 'of the site, and nothing else gave them the right; null: of before';
REVOKE EXECUTE ON FUNCTION few_administrators(), as_administrator(text, text), note_administrator() FROM PUBLIC;
CREATE TRIGGER administrator BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION note_administrator();
CREATE TRIGGER administrator BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION note_administrator();
"""


def upgrade() -> None:
    """Make them."""
    for part in (ADMINISTRATORS, ACCESS, DONE):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Leave machines to their owners, and to whom these let in."""
    for table in ("operations", "audit"):
        op.execute(f"DROP TRIGGER administrator ON {table}")
        op.execute(f"ALTER TABLE {table} DROP COLUMN administrator")
    op.execute("DROP FUNCTION note_administrator(), as_administrator(text, text)")
    op.execute("DROP VIEW console.keys, console.principals, access, owner_access")
    for part in (PRINCIPALS, KEYS):
        op.execute(part.replace(":", r"\:"))
    op.execute("GRANT SELECT ON console.principals, console.keys TO invirt_console")
    op.execute("DROP TABLE administrators")
    op.execute("DROP FUNCTION few_administrators()")


PRINCIPALS = """
CREATE VIEW console.principals AS
SELECT m.name::text AS name, x.principal::text AS principal FROM machines m JOIN members x USING (owner_id)
UNION SELECT m.name::text, x.principal::text FROM machines m JOIN machine_access x USING (machine_id)
"""
KEYS = """
CREATE VIEW console.keys AS
SELECT p.name, k.principal::text AS principal, k.key
FROM console.principals p JOIN public_keys k ON k.principal = p.principal
"""
