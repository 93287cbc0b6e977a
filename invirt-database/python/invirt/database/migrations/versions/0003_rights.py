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
GRANT SELECT ON types, cdroms, autoinstalls, reserved_names, counters TO invirt_remote;
GRANT SELECT, INSERT, UPDATE ON operations, operation_steps TO invirt_remote;
GRANT USAGE ON SEQUENCE operation_token TO invirt_remote;
GRANT SELECT, INSERT ON audit TO invirt_remote;
"""

HOST = """
GRANT SELECT ON machines, nics, disks, types, hosts, cdroms, autoinstalls TO invirt_host;
"""

ROLES = "invirt_remote, invirt_host"


def upgrade() -> None:
    """Take away what PostgreSQL gives to everyone, then grant."""
    op.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    op.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
    op.execute(f"GRANT USAGE ON SCHEMA public TO {ROLES}")
    op.execute(REMOTE)
    op.execute(HOST)


def downgrade() -> None:
    """Take the grants back."""
    op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {ROLES}")
    op.execute(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {ROLES}")
    op.execute(f"REVOKE USAGE ON SCHEMA public FROM {ROLES}")
    op.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")
