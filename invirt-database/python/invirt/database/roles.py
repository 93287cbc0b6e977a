"""PostgreSQL's roles: invirt, who owns the schema, one for each kind of server, and one for each server.

Roles belong to the whole cluster, so they are made by postgres: those of kinds
before the migrations, which grant them their rights on tables; those of
servers, which are members of their kind, by invirt-database-watch.
"""

from __future__ import annotations

OWNER = "invirt"

# Kinds of servers, and how many sessions one may have at once.  On remote each of 64
# users, who may come from one address, takes two; Kea and PowerDNS take one a thread.
SERVERS = {"remote": 200, "host": 24, "dns": 24, "dhcp": 16, "console": 24, "web": 24}

# Who asks owners' sources for their members: a user of the database server's, through the socket.
MEMBERS = f"{OWNER}_members"
ASKING = 3  # its sessions at once

# Who sends people mail: another of its users.
MAIL = f"{OWNER}_mail"
MAILING = 2

STANDBY = f"{OWNER}_standby"
FOLLOWING = 24  # sessions of all servers that have copies: each follows, and asks every two seconds

CREATE = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE "{role}" LOGIN;
    END IF;
END $$;
ALTER ROLE "{role}" NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE "{role}" SET idle_in_transaction_session_timeout = '{idle}';
"""
# A server may change the last two, and is watched.
SERVER = """
ALTER ROLE "{role}" SET temp_file_limit = '64MB';
ALTER ROLE "{role}" SET statement_timeout = '30s';
ALTER ROLE "{role}" SET max_parallel_workers_per_gather = 0;
"""

# What PostgreSQL lets everyone do and no server needs: to fill memory or disk that all
# share, to signal others.  A transaction's number takes a lock that reading would not.
EVERYONES = (
    "^(pg_(try_)?advisory_|lo_|lo(read|write|creat|unlink|export|import|open|close)"
    "|pg_(terminate|cancel)_backend$|pg_export_snapshot$|pg_logical_emit_message$"
    "|pg_current_xact_id$|txid_current$)"
)
RESTRICT = f"""
DO $$ DECLARE
    dangerous regprocedure;
BEGIN
    FOR dangerous IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
        AND proname ~ '{EVERYONES}' AND has_function_privilege('public', oid, 'EXECUTE')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', dangerous);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {OWNER}', dangerous);
    END LOOP;
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;
REVOKE USAGE ON LANGUAGE plpgsql, sql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql, sql TO {OWNER};
"""


def standby(wanted: bool) -> str:
    """SQL that makes the role by which servers that have copies follow, and ask, each other.

    wanted: False where there are none: then nobody signs on as that.  Safe to repeat.
    """
    able = "LOGIN REPLICATION" if wanted else "NOLOGIN NOREPLICATION"
    made = CREATE.format(role=STANDBY, idle="1min") + SERVER.format(role=STANDBY)
    return f"{made}ALTER ROLE {STANDBY} {able} CONNECTION LIMIT {FOLLOWING};\n"


def script() -> str:
    """SQL that makes the roles of kinds that are missing, for a superuser to run.  Safe to repeat.

    A server's session that goes quiet inside a transaction is ended after a
    minute, since the rows it locked are everyone's; an administrator's after an hour.
    """
    kinds = [f"{OWNER}_{kind}" for kind in SERVERS]
    servers = [CREATE.format(role=kind, idle="1min") + SERVER.format(role=kind) for kind in kinds]
    few = f"{CREATE}{SERVER}ALTER ROLE {{role}} CONNECTION LIMIT {{few}};\n"
    local = [
        few.format(role=role, idle="1min", few=most) for role, most in ((MEMBERS, ASKING), (MAIL, MAILING))
    ]
    return "".join([CREATE.format(role=OWNER, idle="1h"), *servers, *local])


def restrict() -> str:
    """SQL that takes from everyone, in the database that it is run in, what no server needs."""
    return RESTRICT


def server(kind: str, role: str) -> str:
    """SQL that makes a server's role, a member of its kind's."""
    made = CREATE.format(role=role, idle="1min") + SERVER.format(role=role)
    return f'{made}ALTER ROLE "{role}" CONNECTION LIMIT {SERVERS[kind]};\nGRANT {OWNER}_{kind} TO "{role}";\n'
