<%
from invirt import config
from invirt.base.firewall import EVERYONE, Callers, Door, known, named, table
from invirt.base.identity import hostname
from invirt.base.remctl import HOST_PORT
remote = config.remote.servers or (config.remote.hostname,)
console = config.console
# A name that doesn't resolve locks nobody out: all servers get in, then; where
# those aren't named either, everyone does, for as little as is left to strangers.
strangers = Callers("others", EVERYONE, each=32, all=100, rate=20)
remctl = Callers("remote", named(*remote) or known(), each=100, rate=100)
consoles = Callers("consoles", named(console.address or console.hostname, config.web.hostname) or known(), each=4000)
moving = Callers("hosts", known(), each=16)
# Where Kea has the port, its own door guards it; else the relay there hears its guests alone.
dhcp = () if hostname() in config.dhcp.servers else (Door("dhcp", 67, (), "udp", ("lo", "inv*")),)


def only(callers):
    return (callers,) if callers.networks else (strangers,)
%>\
# A host's doors: remctl for the remote servers, consoles for the console and
# web servers, guests that move for other hosts, DHCP for its guests.
${table(
    "host",
    Door("remctl", HOST_PORT, only(remctl)),
    Door("console", console.port, only(consoles)),
    Door("moving", config.hypervisor.move_port, only(moving)),
    *dhcp,
)}\
