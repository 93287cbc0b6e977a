"""Names that no machine can be given, because a part of the house can't have them; with the reason."""

from __future__ import annotations

from alembic import op

revision = "0051"
down_revision = "0050"

LVM = "cdata cmeta corig cpool cvol imeta iorig mimage mlog pmspare rimage rmeta tdata tmeta vdata vorigin wcorig"
PATTERNS = {
    "^[0-9]+$": "digits alone are no login to systemd, so it would have no console",
    "^0x[0-9a-f]+$": "programs take it for an address, not for a name",
    f"^({LVM.replace(' ', '|')})": "LVM keeps volumes of such names for itself, so it could have no disk",
    "--(incoming|migratedaway)$": "Xen calls machines so that move from host to host",
}
# A disk in the trash is trash.OPERATION.TIME.d_NAME_hda of a volume group, and
# device-mapper takes 127 letters, each - for two.
RULES = """
CREATE TABLE refused_names (pattern text PRIMARY KEY, reason one_line NOT NULL);
COMMENT ON TABLE refused_names IS 'what no machine may be called from now on; those that are stay';
GRANT SELECT ON refused_names TO invirt_remote;
CREATE FUNCTION refuse_name(wanted text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    why text := (SELECT r.reason FROM refused_names r WHERE wanted ~ r.pattern LIMIT 1);
BEGIN
    IF length(replace(wanted, '-', '--')) > 80 THEN
        why := 'it has more than 80 letters where each - counts twice, too many for its disks';
    END IF;
    IF why IS NOT NULL THEN
        RAISE EXCEPTION 'no machine can be called %: %', wanted, why USING HINT = 'Choose another name.';
    END IF;
END $$;
GRANT EXECUTE ON FUNCTION refuse_name TO invirt_remote;
CREATE FUNCTION check_name() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.name <> OLD.name THEN
        PERFORM refuse_name(NEW.name);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER name BEFORE INSERT OR UPDATE OF name ON machines FOR EACH ROW EXECUTE FUNCTION check_name();
"""


def upgrade() -> None:
    """Make the table and the rule."""
    op.execute(RULES.replace(":", r"\:"))
    for pattern, reason in PATTERNS.items():
        op.execute(f"INSERT INTO refused_names VALUES ('{pattern}', '{reason}')")


def downgrade() -> None:
    """Remove them."""
    op.execute("DROP TRIGGER name ON machines")
    op.execute("DROP FUNCTION check_name()")
    op.execute("DROP FUNCTION refuse_name(text)")
    op.execute("DROP TABLE refused_names")
