<%
from invirt.base.firewall import EVERYONE, Callers, Door, known, table
servers = Callers("servers", known(), each=1000, rate=50)
# Whole institutions come from behind one address; sshd itself bounds those who
# have yet to sign on (PerSourceMaxStartups).
others = Callers("others", EVERYONE, each=300, all=2000, rate=10)
%>\
# The console server's door: ssh for everyone.
${table(
    "console",
    Door("ssh", 22, (servers, others)),
)}\
