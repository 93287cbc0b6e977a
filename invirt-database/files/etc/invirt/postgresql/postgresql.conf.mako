<% from invirt import config %>\
# Read by PostgreSQL through a link in its conf.d.
listen_addresses = '*'
port = ${config.database.port}
max_connections = 300
hba_file = '/etc/invirt/postgresql/pg_hba.conf'
ident_file = '/etc/invirt/postgresql/pg_ident.conf'
# A client that is gone must not keep its locks.
tcp_keepalives_idle = 30
tcp_keepalives_interval = 10
tcp_keepalives_count = 3
# Tables too new for statistics look large: compiling what is asked of them takes seconds, answering milliseconds.
jit = off
