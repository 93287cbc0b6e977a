"""The lab's certificate authority, made as its administrator would make it.

Its key stays with the KDC.  The console server gets a client's certificate, the hosts get servers',
the web server one of each; see the administrator's guide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from invirt_lab import host
from invirt_lab.cluster import on
from invirt_lab.site import SERVERS, Site

AUTHORITY = host.RUN / "ca.pem"  # for browsers of this machine
CONSOLES = "/etc/invirt/console"  # where hosts, and who asks them for consoles, have theirs


@dataclass(frozen=True)
class Certificate:
    """A server's, and the folder in which its role looks for it.  also: other names of it."""

    server: str
    usage: str
    folder: str = CONSOLES
    also: str = ""


def wanted(site: Site) -> list[Certificate]:
    """One for each server and folder, for all that it does there."""
    uses: dict[str, list[str]] = {}
    for name in (site.console, site.web):
        uses.setdefault(name, []).append("clientAuth")
    for name in site.hosts:
        uses.setdefault(name, []).extend(("serverAuth", "clientAuth"))  # guests move between hosts
    # Browsers of this machine call it by this address.
    browsers = Certificate(site.web, "serverAuth", "/etc/invirt/web", ",IP:127.0.0.1")
    return [*(Certificate(name, ",".join(dict.fromkeys(use))) for name, use in uses.items()), browsers]


_USES = (
    "-addext basicConstraints=critical,CA:FALSE"
    " -addext subjectAltName=DNS:$names -addext extendedKeyUsage=$usage"
)
_MAKE = """\
set -e
umask 077
mkdir -p /root/ca
cd /root/ca
new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 90 "$@" 2>/dev/null; }
[ -e ca.pem ] || new -subj "/CN=The lab of Invirt" -keyout ca.key -out ca.pem
while read -r file usage name names; do
    new -subj "/CN=$name" -keyout key -out crt -CA ca.pem -CAkey ca.key %s
    cat crt key >"$file.pem"
done
"""


def make(site: Site, before: bool = False) -> None:
    """Make the authority and carry each server's certificate to where it belongs.

    before: as the version before wants them, by a name alone and for either use.
    """
    authority = _carry(site, wanted(site), "" if before else _USES)
    if "client" in site.servers:
        on("client", "sh", "-c", "cat >>/etc/ssl/certs/ca-certificates.crt", input=authority)
        AUTHORITY.write_text(authority)


def add_hosts(site: Site, names: Iterable[str]) -> None:
    """Those of further hosts, by the same authority."""
    _carry(site, [certificate for certificate in wanted(site) if certificate.server in names], _USES)


def _carry(site: Site, certificates: Sequence[Certificate], uses: str) -> str:
    """Make them and put them where they belong; returns the authority's own."""
    lines = "".join(
        f"{number} {one.usage} {SERVERS[one.server].fqdn} {SERVERS[one.server].fqdn}{one.also}\n"
        for number, one in enumerate(certificates)
    )
    on(site.kdc, "sh", "-c", _MAKE % uses, input=lines)
    authority = on(site.kdc, "cat", "/root/ca/ca.pem").stdout
    for number, one in enumerate(certificates):
        own = on(site.kdc, "cat", f"/root/ca/{number}.pem").stdout
        _put(one.server, one.folder, "server.pem", "600", own)
        if one.folder == CONSOLES:
            _put(one.server, one.folder, "ca.pem", "644", authority)
    return authority


def adopt(site: Site) -> None:
    """Browsers and the client know the authority of pages that invirt-setup has made."""
    authority = on(site.database, "cat", "/var/lib/invirt-setup/pages/ca.pem").stdout  # the first server
    on("client", "sh", "-c", "cat >>/etc/ssl/certs/ca-certificates.crt", input=authority)
    AUTHORITY.write_text(authority)


def _put(server: str, folder: str, file: str, mode: str, text: str) -> None:
    script = 'mkdir -p "$0"; umask 077; cat >"$0/$1"; chmod "$2" "$0/$1"'
    on(server, "sh", "-c", script, folder, file, mode, input=text)
