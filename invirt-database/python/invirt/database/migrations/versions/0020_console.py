"""Schema console: what the console server asks, public keys, and word to whom lists of consoles are kept."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0012"

# For sites, and people, without Kerberos.  sshd takes a key's type and its
# base64; a comment could hold options of authorized_keys, so there is none.
KEYS = r"""
CREATE TABLE public_keys (
    principal principal NOT NULL,
    key text COLLATE "C" NOT NULL CONSTRAINT public_key CHECK (length(key) <= 2000 AND key ~
        '^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) AAAA[A-Za-z0-9+/]+={0,3}$'),
    PRIMARY KEY (principal, key)
);
COMMENT ON TABLE public_keys IS 'ssh keys by which a principal may come to consoles';
GRANT SELECT, INSERT, DELETE ON public_keys TO invirt_remote;
"""

VIEWS = """
CREATE SCHEMA console;
CREATE VIEW console.machines AS
SELECT m.machine_id, m.name::text AS name, h.hostname::text AS hostname
FROM machines m LEFT JOIN hosts h USING (host_id);
COMMENT ON VIEW console.machines IS 'hostname is null when the machine is off';
CREATE VIEW console.principals AS
SELECT m.name::text AS name, x.principal::text AS principal FROM machines m JOIN members x USING (owner_id)
UNION SELECT m.name::text, x.principal::text FROM machines m JOIN machine_access x USING (machine_id);
CREATE VIEW console.keys AS
SELECT p.name, k.principal::text AS principal, k.key FROM console.principals p JOIN public_keys k ON k.principal = p.principal;
GRANT USAGE ON SCHEMA public, console TO invirt_console;
GRANT SELECT ON ALL TABLES IN SCHEMA console TO invirt_console;
"""

# Word goes out at the commit, and once for many changes in one transaction.
WORD = """
CREATE FUNCTION console.tell() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('consoles', '');
    RETURN NULL;
END $$;
CREATE TRIGGER consoles AFTER INSERT OR DELETE OR UPDATE OF name, host_id ON machines
    FOR EACH STATEMENT EXECUTE FUNCTION console.tell();
CREATE TRIGGER consoles AFTER INSERT OR DELETE OR UPDATE OF hostname ON hosts
    FOR EACH STATEMENT EXECUTE FUNCTION console.tell();
"""


def upgrade() -> None:
    """Make them."""
    for part in (KEYS, VIEWS, WORD):
        op.execute(part.replace(":", r"\:"))


def downgrade() -> None:
    """Remove them, with all public keys."""
    op.execute("DROP TRIGGER consoles ON hosts")
    op.execute("DROP TRIGGER consoles ON machines")
    op.execute("DROP SCHEMA console CASCADE")
    op.execute("DROP TABLE public_keys")
    op.execute("REVOKE ALL ON SCHEMA public FROM invirt_console")
