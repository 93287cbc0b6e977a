"""PostgreSQL's roles: one for each kind of server, and invirt, who owns the schema.

Roles belong to the whole cluster, so they are made by postgres before the
migrations, which grant them their rights on tables.
"""

from __future__ import annotations

OWNER = "invirt"
SERVERS = ("remote", "host", "dns", "dhcp", "console")

CREATE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} LOGIN;
    END IF;
END $$;
ALTER ROLE {role} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE {role} SET idle_in_transaction_session_timeout = '{idle}';
"""


def script() -> str:
    """SQL that makes the roles that are missing, for a superuser to run.  Safe to repeat.

    A server's session that goes quiet inside a transaction is ended after a
    minute, since the rows it locked are everyone's; an administrator's after an hour.
    """
    servers = [CREATE.format(role=f"{OWNER}_{server}", idle="1min") for server in SERVERS]
    return "".join([CREATE.format(role=OWNER, idle="1h"), *servers])
