<%
import re
from invirt import config
%>\
# Who is which role, by Kerberos principal or, through the socket, by login.
# A host's principal is let in by its form; which rows it sees is decided in
# the database by the table of hosts.
# MAP    WHO  ROLE
invirt  root  invirt
invirt  postgres  invirt
% for principal in config.remote_principals:
invirt  "${principal}"  invirt_remote
% endfor
% if config.console.hostname:
invirt  "host/${config.console.hostname}@${config.site.realm}"  invirt_console
% endif
% for role, servers in (("dns", config.dns.servers), ("dhcp", config.dhcp.servers)):
% for server in servers:
invirt  "host/${server}@${config.site.realm}"  invirt_${role}
% endfor
% endfor
invirt  "/^host/[a-z0-9.-]+@${re.escape(config.site.realm).replace('\\-', '-')}$"  invirt_host
