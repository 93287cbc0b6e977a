<%
from invirt import config
dns, site, database = config.dns, config.site, config.database
nameservers = dns.nameservers or dns.servers or (f"ns.{site.domain}",)
settings = {
    "search_path": "dns",
    "statement_timeout": f"{database.statement_timeout}s",
    "plan_cache_mode": "force_generic_plan",
    "dns.domain": site.domain,
    "dns.zones": ",".join(dict.fromkeys((site.domain, *dns.zones))),
    "dns.nameservers": ",".join(nameservers),
    "dns.hostmaster": dns.hostmaster or f"hostmaster.{site.domain}",
    "dns.ttl": dns.ttl,
}
options = " ".join(f"-c {name}={value}" for name, value in settings.items())
local = database.hostname.startswith("/")
%>\
# Answers from the views of the schema "dns".
launch=gpgsql
gpgsql-host=${database.hostname}
gpgsql-port=${database.port}
gpgsql-dbname=${database.name}
gpgsql-user=invirt_dns
gpgsql-dnssec=yes
# What the site decides goes along with each connection: the views read it.
gpgsql-extra-connection-parameters=gssencmode=${"disable" if local else "require"} connect_timeout=${database.connect_timeout} tcp_user_timeout=${database.statement_timeout}000 options='${options}'

# The zones change with this file alone; all else is asked anew for each query.
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0

# Questions for a name: see dns.lookup().
gpgsql-basic-query=SELECT content, current_setting('dns.ttl')::int, NULL, type, dns.zone($2), 0, $2::text, 1 FROM dns.lookup($2) WHERE type = $1
gpgsql-id-query=SELECT content, current_setting('dns.ttl')::int, NULL, type, $3::int, 0, $2::text, 1 FROM dns.lookup($2) WHERE type = $1
gpgsql-any-query=SELECT content, current_setting('dns.ttl')::int, NULL, type, dns.zone($1), 0, $1::text, 1 FROM dns.lookup($1)
gpgsql-any-id-query=SELECT content, current_setting('dns.ttl')::int, NULL, type, $2::int, 0, $1::text, 1 FROM dns.lookup($1)
gpgsql-list-query=SELECT content, ttl, prio, type, domain_id, 0, name, 1, NULL FROM dns.records WHERE $1::boolean IS NOT NULL AND domain_id = $2::int
gpgsql-list-subzone-query=SELECT content, ttl, prio, type, domain_id, 0, name, 1, NULL FROM dns.records WHERE (name = $1 OR name LIKE $2) AND domain_id = $3::int

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

version-string=anonymous
