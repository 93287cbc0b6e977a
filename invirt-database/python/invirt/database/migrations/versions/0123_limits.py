"""What a running machine may take of its host at most: its own word, its owner's defaults and ceilings, the site's."""

from __future__ import annotations

from alembic import op

revision = "0123"
down_revision = "0131"

RESOURCE = "resource IN ('cap', 'weight', 'disk', 'operations', 'download', 'upload')"
TABLES = f"""
CREATE TABLE machine_limits (
    machine_id integer NOT NULL REFERENCES machines ON DELETE CASCADE,
    resource text NOT NULL CONSTRAINT limit_resource CHECK ({RESOURCE}),
    amount integer NOT NULL CONSTRAINT limit_amount CHECK (amount BETWEEN 1 AND 1000000),
    PRIMARY KEY (machine_id, resource)
);
CREATE TABLE owner_limits (
    limit_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner_id integer REFERENCES owners ON DELETE CASCADE,
    resource text NOT NULL CONSTRAINT owner_limit_resource CHECK ({RESOURCE}),
    standard integer CONSTRAINT owner_limit_standard CHECK (standard BETWEEN 1 AND 1000000),
    most integer CONSTRAINT owner_limit_most CHECK (most BETWEEN 1 AND 1000000),
    CONSTRAINT owner_limits_key UNIQUE NULLS NOT DISTINCT (owner_id, resource)
);
COMMENT ON TABLE machine_limits IS 'what an owner holds a machine to';
COMMENT ON COLUMN machine_limits.amount IS
    'cap: percent of a CPU; weight: 100 is usual; disk: MiB/s; operations: of disks a second; download, upload: Mbit/s';
COMMENT ON TABLE owner_limits IS 'of each machine of an owner; no owner: of each of the site''s';
COMMENT ON COLUMN owner_limits.standard IS 'what counts for a machine that is held to nothing of its own';
COMMENT ON COLUMN owner_limits.most IS 'what no machine goes beyond, whatever it is held to';
CREATE VIEW limits WITH (security_invoker = true) AS
SELECT m.machine_id, k.resource, least(coalesce(x.amount, o.standard, s.standard), coalesce(o.most, s.most)) AS amount,
    x.amount AS own, coalesce(o.standard, s.standard) AS standard, coalesce(o.most, s.most) AS most
FROM machines m
    CROSS JOIN (VALUES ('cap'), ('weight'), ('disk'), ('operations'), ('download'), ('upload')) AS k (resource)
    LEFT JOIN machine_limits x ON x.machine_id = m.machine_id AND x.resource = k.resource
    LEFT JOIN owner_limits o ON o.owner_id = m.owner_id AND o.resource = k.resource
    LEFT JOIN owner_limits s ON s.owner_id IS NULL AND s.resource = k.resource;
COMMENT ON VIEW limits IS 'amount: what counts; null: nothing does';
"""

# A host sees those of the machines that are reserved there.  Rows of owners say nothing of whose they are.
RIGHTS = """
ALTER TABLE machine_limits ENABLE ROW LEVEL SECURITY;
ALTER TABLE owner_limits ENABLE ROW LEVEL SECURITY;
CREATE POLICY others ON machine_limits TO invirt_remote USING (true);
CREATE POLICY others ON owner_limits TO invirt_remote USING (true);
CREATE POLICY host ON machine_limits FOR SELECT TO invirt_host
    USING (machine_id IN (SELECT machine_id FROM reservations));
CREATE POLICY host ON owner_limits FOR SELECT TO invirt_host USING (EXISTS (SELECT FROM reservations));
GRANT SELECT, INSERT, DELETE, UPDATE (amount) ON machine_limits TO invirt_remote;
GRANT SELECT, INSERT, DELETE, UPDATE (standard, most) ON owner_limits TO invirt_remote;
GRANT SELECT ON limits TO invirt_remote, invirt_host;
GRANT SELECT ON machine_limits, owner_limits TO invirt_host;
"""

WORD = """
CREATE FUNCTION limits_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_notify('nics', '');
    RETURN NULL;
END $$;
COMMENT ON FUNCTION limits_changed IS 'hosts look at once, as they do for network cards';
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON machine_limits
    FOR EACH STATEMENT EXECUTE FUNCTION limits_changed();
CREATE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON owner_limits
    FOR EACH STATEMENT EXECUTE FUNCTION limits_changed();
REVOKE EXECUTE ON FUNCTION limits_changed FROM PUBLIC;
"""


def upgrade() -> None:
    """Nothing is limited."""
    for part in (TABLES, RIGHTS, WORD):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Guests that run keep what they are held to until they are booted anew."""
    op.execute("DROP VIEW limits")
    op.execute("DROP TABLE machine_limits, owner_limits")
    op.execute("DROP FUNCTION limits_changed()")
