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
