<%
from invirt.base.firewall import EVERYONE, Callers, Door, known, table
# PowerDNS takes 100 connections at once.
tcp = (
    Callers("servers", known(), each=20, rate=50),
    Callers("others", EVERYONE, each=10, all=70, rate=20),
)
%>\
# The name server's doors, for everyone. A source over UDP may be forged: its
# rate bounds what a flood in its name costs others.
${table(
    "dns",
    Door("dns_tcp", 53, tcp),
    Door("dns_udp", 53, (Callers("others", EVERYONE, rate=2000),), "udp"),
)}\
