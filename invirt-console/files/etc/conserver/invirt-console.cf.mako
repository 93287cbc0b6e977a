<%
import socket
from invirt import config
console = config.console
address = console.address or socket.gethostbyname(console.hostname)
%>\
# The console server's conserver. It serves no console itself: it sends
# console(1) on to the host that does. invirt-console-conserver keeps the list.
config * {
    primaryport ${console.port};
    autocomplete no;
    sslrequired yes;
    sslreqclientcert yes;
    sslcredentials ${console.credentials};
    sslcacertificatefile ${console.ca};
}
# Never a name here: conserver takes it for a part of any name.
access * {
    trusted 127.0.0.1/32,${address}/32;
    limited *;
}
# conserver asks for a type even where it only sends on.
default * { type exec; }
# conserver ends when it has no console at all. A remote one costs nothing,
# nobody may use this one, and no machine can be called so.
console none { master 192.0.2.1; rw !*; ro !*; }
#include /run/invirt/conserver/consoles.cf
