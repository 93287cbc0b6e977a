<%
from invirt import config
console = config.console
%>\
# The host's conserver: the serial consoles of the machines that run here, for
# invirt-host-consoles alone, in a network of their own. invirt-host-observer
# keeps the list.
config * {
    primaryport ${console.port};
    redirect no;
    autocomplete no;
    sslrequired no;
}
# Never a name here: conserver takes it for a part of any name. Nobody may run a
# command, or move to another console, from within one.
access * {
    trusted 127.0.0.1/32;
    limited *;
}
# A break (^Ecl0): a pseudo-terminal has none, so what serves the console is
# told in bytes that no text has: see invirt.host.qemu.kept.
break 1 { string "\377\363\377\363"; }
default * {
    master 127.0.0.1;
    type exec;
    timestamp "";
    options !ixon;
    rw ${",".join(console.administrators)};
    ro spy;
}
# conserver ends when it has no console at all. A remote one costs nothing,
# nobody may use this one, and no machine can be called so.
console none { master 192.0.2.1; rw !*; ro !*; }
#include /run/invirt/conserver/consoles.cf
