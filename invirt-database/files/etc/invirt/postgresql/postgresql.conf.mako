<% from invirt import config %>\
# Read by PostgreSQL through a link in its conf.d.
listen_addresses = '*'
port = ${config.database.port}
# So many that no server can use them up: each has a limit of its own.
max_connections = 600
superuser_reserved_connections = 10
# Of those who came and don't say who they are.
authentication_timeout = 5s
# The table of locks is one for all: a server's sessions may hold as many as they are let, and it isn't full.
max_locks_per_transaction = 128
hba_file = '/etc/invirt/postgresql/pg_hba.conf'
ident_file = '/var/lib/invirt-database/pg_ident.conf'
# A client that is gone must not keep its locks.
tcp_keepalives_idle = 30
tcp_keepalives_interval = 10
tcp_keepalives_count = 3
# Tables too new for statistics look large: compiling what is asked of them takes seconds, answering milliseconds.
jit = off
% if len(config.database.all) > 1:
<%
from invirt.base.identity import hostname
following = {
    "host": ",".join(config.database.all),
    "port": config.database.port,
    "user": "invirt_standby",
    "application_name": hostname(),
    "target_session_attrs": "read-write",
    "gssencmode": "require",
    "tcp_user_timeout": f"{config.database.statement_timeout}000",
}
%>\
# A copy follows whichever server has the database; who has it doesn't read this.
primary_conninfo = '${" ".join(f"{name}={value}" for name, value in following.items())}'
# So much of the journal a copy may miss, and still follow.
wal_keep_size = 1GB
% if config.database.synchronous:
# What is acknowledged is on the disk of a copy, too. After a promotion that waits for one (ALTER SYSTEM).
synchronous_standby_names = 'ANY 1 (*)'
% endif
% endif
