"""Address ranges that administrators add by the remote server: more of a network that the site has."""

from __future__ import annotations

from alembic import op

revision = "0075"
down_revision = "0074"

# A remote server that is taken over could else give guests the addresses of servers, or of anybody outside.
RULES = r"""
CREATE TABLE rules.servers (network cidr PRIMARY KEY);
COMMENT ON TABLE rules.servers IS 'network.servers of invirt.yaml: no range that the remote server adds holds one';

CREATE FUNCTION is_more_of_a_network(first inet, last inet, prefix integer, gateway inet) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    server cidr;
BEGIN
    IF NOT EXISTS (SELECT FROM rules.servers) THEN
        RAISE EXCEPTION 'network.servers in invirt.yaml names no server, so nobody knows which addresses are theirs'
            USING HINT = 'Name them there, or add the range on the database server: invirt-admin range add.';
    END IF;
    SELECT s.network INTO server FROM rules.servers s WHERE family(s.network) = 4
        AND host(network(s.network))::inet <= is_more_of_a_network.last
        AND host(broadcast(s.network))::inet >= is_more_of_a_network.first LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the range holds addresses of servers: %', server
            USING HINT = 'invirt.yaml names them (network.servers).';
    ELSIF prefix > 30 OR NOT EXISTS (SELECT FROM address_ranges r
            WHERE r.gateway = is_more_of_a_network.gateway AND r.prefix = is_more_of_a_network.prefix) THEN
        RAISE EXCEPTION 'no range has the gateway % and the prefix % yet', host(gateway), prefix
            USING HINT = 'The first of a network is added on the database server: invirt-admin range add.';
    END IF;
    RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION is_more_of_a_network FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_more_of_a_network TO invirt_remote;

ALTER TABLE address_ranges ENABLE ROW LEVEL SECURITY;
CREATE POLICY known ON address_ranges TO invirt_remote USING (true)
    WITH CHECK (is_more_of_a_network(first, last, prefix, gateway));
GRANT INSERT, DELETE ON address_ranges TO invirt_remote;
"""


def upgrade() -> None:
    """The remote server may say so, within these."""
    op.execute(RULES.replace(":", r"\:"))


def downgrade() -> None:
    """Ranges are told of on the database server alone again."""
    op.execute("REVOKE INSERT, DELETE ON address_ranges FROM invirt_remote")
    op.execute("DROP POLICY known ON address_ranges")
    op.execute("ALTER TABLE address_ranges DISABLE ROW LEVEL SECURITY")
    op.execute("DROP FUNCTION is_more_of_a_network(inet, inet, integer, inet)")
    op.execute("DROP TABLE rules.servers")
