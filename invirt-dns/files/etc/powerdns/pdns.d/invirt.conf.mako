<%
from invirt import config
from invirt.base.identity import own_database_role
dns, database = config.dns, config.database
settings = {
    "search_path": "dns",
    "statement_timeout": f"{database.statement_timeout}s",
    "plan_cache_mode": "force_generic_plan",
}
options = " ".join(f"-c {name}={value}" for name, value in settings.items())
local = database.hostname.startswith("/")
%>\
# Answers from the schema "dns", which is made as PowerDNS' own is.
launch=gpgsql
gpgsql-host=${",".join(database.all)}
gpgsql-port=${database.port}
gpgsql-dbname=${database.name}
gpgsql-user=${own_database_role("dns")}
gpgsql-dnssec=yes
gpgsql-extra-connection-parameters=target_session_attrs=read-write gssencmode=${"disable" if local else "require"} connect_timeout=${database.connect_timeout} tcp_user_timeout=${database.statement_timeout}000 keepalives_idle=5 keepalives_interval=5 keepalives_count=2 options='${options}'

# All is asked anew for each query, but for the list of zones, every few seconds.
zone-cache-refresh-interval=5
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
# Seconds that others may keep an answer.
default-ttl=${dns.ttl}

# Who may have the whole of a zone.
allow-axfr-ips=${",".join(("127.0.0.1", "::1", *dns.secondaries))}
% if dns.secondaries:
# Secondaries are told of a new serial. Which one they were told of is known
# to the session alone; after a new start they are told once more.
primary=yes
also-notify=${",".join(dns.secondaries)}
only-notify=${",".join(f"{address}/32" for address in dns.secondaries)}
xfr-cycle-interval=5
gpgsql-update-serial-query=SELECT set_config('dns.notified_' || $2::int, $1::bigint::text, false)
% endif

# DNSSEC in narrow mode needs no order of names: there is nothing to be written.
% for query in ("update-ordername-and-auth-query=SELECT $1::text, $2::text, $3::int, $4::text", "update-ordername-and-auth-type-query=SELECT $1::text, $2::text, $3::int, $4::text, $5::text", "nullify-ordername-and-update-auth-query=SELECT $1::text, $2::int, $3::text", "nullify-ordername-and-update-auth-type-query=SELECT $1::text, $2::int, $3::text, $4::text", "remove-empty-non-terminals-from-zone-query=SELECT $1::int", "delete-empty-non-terminal-query=SELECT $1::int, $2::text"):
gpgsql-${query}
% endfor

# Connections that stay silent end after five seconds, others after two minutes.
max-tcp-connections=100
max-tcp-connections-per-client=20
tcp-idle-timeout=5
max-tcp-connection-duration=120

version-string=anonymous
