<%
from invirt.base.firewall import EVERYONE, Callers, Door, known, table
# All of a guest's requests come by its host, which has a rate for each guest.
hosts = Callers("servers", known(), rate=500)
others = Callers("others", EVERYONE, rate=100)
%>\
# The DHCP server's door: hosts alone, where network.servers names them. Guests
# of this very server go to its relay, and not by here.
${table("dhcp", Door("dhcp", 67, (hosts if hosts.networks else others,), "udp", ("lo", "inv*")))}\
