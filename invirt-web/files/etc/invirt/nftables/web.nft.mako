<%
from invirt import config
from invirt.base.firewall import EVERYONE, Callers, Door, known, table
servers = Callers("servers", known(), each=256, rate=100)
# Whole institutions come from behind one address; what one user gets, the pages bound.
others = Callers("others", EVERYONE, each=128, all=600, rate=40)
apart = [config.web.certificate.port] if "certificate" in config.web.doors else []
%>\
# The web server's doors: for everyone. The first only leads to the second; certificates are asked for at one of their own.
${table(
    "web",
    Door("http", 80, (servers, others), longest=1 << 20),
    Door("https", 443, (servers, others)),
    *(Door("certificate", port, (servers, others), longest=1 << 20) for port in apart),
)}\
