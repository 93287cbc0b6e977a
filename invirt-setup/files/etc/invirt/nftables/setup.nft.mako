<%
from invirt.base.firewall import EVERYONE, Callers, Door, table
from invirt.setup.tokens import PORT
%>\
# The door for new servers, at which nobody listens while there is no token.
${table("setup", Door("enrol", PORT, (Callers("others", EVERYONE, each=4, all=16, rate=2),), longest=1 << 20))}\
