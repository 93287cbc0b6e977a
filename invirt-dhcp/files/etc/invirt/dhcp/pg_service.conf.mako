<% from invirt import config %>\
# How Kea reaches the database, beside what its own configuration can say.
[invirt]
gssencmode=${"disable" if config.database.hostname.startswith("/") else "require"}
# Of several servers the one that has the database, and not a copy.
target_session_attrs=read-write
# One that has lost its power sends no word of that.
tcp_user_timeout=${config.database.statement_timeout}000
keepalives_idle=5
keepalives_interval=5
keepalives_count=2
