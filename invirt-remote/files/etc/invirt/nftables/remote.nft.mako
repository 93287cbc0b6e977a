<%
from invirt import config
from invirt.base.firewall import EVERYONE, Callers, Door, known, named, table
# invirt-remctld.socket takes 256: strangers leave a share of it to the servers.
callers = (
    Callers("servers", known(), each=64, rate=50),
    Callers("others", EVERYONE, each=32, all=160, rate=20),
)
readers = (Callers("readers", named(*config.metrics.readers), each=8, rate=5),)
%>\
# The remote server's door: remctl, for everyone. What one call brings is words,
# not files: remctld would hold all of it before it asks who may.
${table("remote", Door("remctl", 4373, callers, longest=4 << 20), Door("metrics", 9373, readers, longest=1 << 20))}\
