<%
from invirt import config
from invirt.base.firewall import EVERYONE, Callers, Door, known, table
servers = Callers("servers", known(), each=1000, rate=50)
# Whole institutions come from behind one address; sshd itself bounds those who
# have yet to sign on (PerSourceMaxStartups).
others = Callers("others", EVERYONE, each=300, all=2000, rate=10)
%>\
# The console server's doors: ssh for everyone, its own conserver for servers.
${table(
    "console",
    Door("ssh", 22, (servers, others)),
    Door("conserver", config.console.port, (servers if servers.networks else others,)),
)}\
