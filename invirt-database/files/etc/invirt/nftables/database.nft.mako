<%
from invirt import config
from invirt.base.firewall import EVERYONE, Callers, Door, known, named, table
# Those who have yet to sign on are among the max_connections that PostgreSQL takes.
servers = Callers("servers", known(), each=60, all=160, rate=100)
others = Callers("others", EVERYONE, each=20, all=60, rate=20)
remote = Callers("remote", named(*(config.remote.servers or (config.remote.hostname,))), each=120, rate=200)
%>\
# The database's door: servers alone, where network.servers names them.
${table("database", Door("postgresql", config.database.port, (remote, servers if servers.networks else others)))}\
