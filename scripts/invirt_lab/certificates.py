"""The lab's certificate authority, made as its administrator would make it.

Its key stays on kdc.  The console server gets a client's certificate, the hosts and the
web server get servers'; see the administrator's guide.
"""

from __future__ import annotations

from invirt_lab import host
from invirt_lab.cluster import on
from invirt_lab.site import CONSOLE, HOSTS, SERVERS, WEB

AUTHORITY = host.RUN / "ca.pem"  # for browsers of this machine

_USES = (
    "-addext basicConstraints=critical,CA:FALSE"
    " -addext subjectAltName=DNS:$names -addext extendedKeyUsage=$usage"
)
_MAKE = """\
set -e
umask 077
mkdir -p /root/ca
cd /root/ca
new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 30 "$@" 2>/dev/null; }
new -subj "/CN=The lab of Invirt" -keyout ca.key -out ca.pem
usage=clientAuth
for names; do
    name=${names%%%%,*}
    new -subj "/CN=$name" -keyout "$name.key" -out "$name.crt" -CA ca.pem -CAkey ca.key %s
    cat "$name.crt" "$name.key" >"$name.pem"
    usage=serverAuth
done
"""


def make(before: bool = False) -> None:
    """Make the authority and carry each server's certificate to where it belongs.

    before: as the version before wants them, by a name alone and for either use.
    """
    names = (CONSOLE, *HOSTS, WEB)  # the client first
    also = {WEB: ",IP:127.0.0.1"}  # as browsers of this machine call it
    script = _MAKE % ("" if before else _USES)
    on("kdc", "sh", "-c", script, "sh", *(SERVERS[name].fqdn + also.get(name, "") for name in names))
    authority = on("kdc", "cat", "/root/ca/ca.pem").stdout
    for name in names:
        own = on("kdc", "cat", f"/root/ca/{SERVERS[name].fqdn}.pem").stdout
        folder = "/etc/invirt/web" if name == WEB else "/etc/invirt/console"
        _put(name, folder, "server.pem", "600", own)
        if name != WEB:
            _put(name, folder, "ca.pem", "644", authority)
    on("client", "sh", "-c", "cat >>/etc/ssl/certs/ca-certificates.crt", input=authority)
    AUTHORITY.write_text(authority)


def _put(server: str, folder: str, file: str, mode: str, text: str) -> None:
    script = 'mkdir -p "$0"; umask 077; cat >"$0/$1"; chmod "$2" "$0/$1"'
    on(server, "sh", "-c", script, folder, file, mode, input=text)
