"""What each kind of server may do: nothing but what it needs.

The roles themselves belong to the whole cluster: invirt.database.roles.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

# UPDATE of a key that is GENERATED ALWAYS changes nothing, but it is what
# PostgreSQL asks for SELECT ... FOR UPDATE: remote locks what it counts.
REMOTE = """
GRANT SELECT, INSERT, UPDATE, DELETE ON machines, disks, nics TO invirt_remote;
GRANT SELECT, INSERT, DELETE ON members, machine_access TO invirt_remote;
GRANT SELECT, INSERT, UPDATE (owner_id) ON owners TO invirt_remote;
GRANT SELECT, UPDATE (host_id) ON hosts TO invirt_remote;
GRANT SELECT, UPDATE (range_id) ON address_ranges TO invirt_remote;
GRANT SELECT ON types, cdroms, autoinstalls, reserved_names, taken_names, counters TO invirt_remote;
GRANT SELECT, INSERT, UPDATE ON operations, operation_steps TO invirt_remote;
GRANT USAGE ON SEQUENCE operation_token TO invirt_remote;
GRANT SELECT, INSERT ON audit TO invirt_remote;
"""

HOST = """
GRANT SELECT ON machines, nics, disks, types, hosts, cdroms, autoinstalls TO invirt_host;
"""

# Any computer of the realm can come as invirt_host, by the form of its
# principal.  A known host sees its own row of hosts, and whoever sees such a
# row sees the rest.  Without GSSAPI nobody is a host: pg_hba.conf rejects them.
SEEN_BY_HOST = "hosts machines nics disks types cdroms autoinstalls"
CALLER = """
CREATE VIEW caller AS SELECT gss_authenticated AS by_gss, split_part(principal, '@', 1) AS who
    FROM pg_stat_gssapi WHERE pid = pg_backend_pid();
ALTER VIEW caller SET (security_invoker = true);
GRANT SELECT ON caller TO invirt_host;
CREATE POLICY host ON hosts FOR SELECT TO invirt_host USING (
    (SELECT NOT by_gss FROM caller) OR (SELECT who FROM caller) = 'host/' || hostname);
"""
KNOWN_HOST = "EXISTS (SELECT FROM hosts)"

ROLES = "invirt_remote, invirt_host"


def upgrade() -> None:
    """Take away what PostgreSQL gives to everyone, then grant."""
    op.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    op.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
    op.execute(f"GRANT USAGE ON SCHEMA public TO {ROLES}")
    op.execute(REMOTE)
    op.execute(HOST)
    op.execute(CALLER)
    for table in SEEN_BY_HOST.split():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY others ON {table} TO invirt_remote USING (true)")
        if table != "hosts":
            op.execute(f"CREATE POLICY host ON {table} FOR SELECT TO invirt_host USING ({KNOWN_HOST})")


def downgrade() -> None:
    """Take the grants back."""
    for table in SEEN_BY_HOST.split():
        op.execute(f"DROP POLICY others ON {table}")
        op.execute(f"DROP POLICY host ON {table}")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    op.execute("DROP VIEW caller")
    op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {ROLES}")
    op.execute(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {ROLES}")
    op.execute(f"REVOKE USAGE ON SCHEMA public FROM {ROLES}")
    op.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
