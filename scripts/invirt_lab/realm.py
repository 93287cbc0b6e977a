"""The lab's Kerberos realm, made as its administrator would make it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from invirt_lab.cluster import on
from invirt_lab.site import ADMIN, DOMAIN, REALM, SERVERS, USERS, USUAL, Server, Site

_KRB5_CONF = f"""\
[libdefaults]
    default_realm = {REALM}
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    qualify_shortname = ""
    udp_preference_limit = 1

[realms]
    {REALM} = {{
        kdc = %s
    }}

[domain_realm]
    .{DOMAIN} = {REALM}
"""

_KDC_CONF = f"""\
[realms]
    {REALM} = {{
        max_life = 24h
        supported_enctypes = aes256-cts:normal
        default_principal_flags = +preauth
    }}
"""

_POSTGRES_KEYTAB = "/etc/postgresql-common/krb5.keytab"  # where Debian's PostgreSQL looks for it
_HTTP_KEYTAB = "/etc/invirt/web/http.keytab"

_MAKE = """\
set -e
umask 077
secret() { od -An -tx1 -N"$1" /dev/urandom | tr -d ' '; }
cat >/etc/krb5kdc/kdc.conf
mkdir /root/keytabs /root/passwords
kdb5_util create -s -r "$REALM" -P "$(secret 16)" >/dev/null
{
    for name in $PRINCIPALS; do
        echo "add_principal -randkey $name"
        echo "ktadd -k /root/keytabs/$(echo "$name" | tr / .) $name"
    done
    for name in $USERS; do
        secret 5 >"/root/passwords/$name"
        echo "add_principal -pw $(cat "/root/passwords/$name") $name"
        echo "ktadd -norandkey -k /root/keytabs/$name $name"
    done
} | kadmin.local -r "$REALM" >/dev/null
systemctl disable --quiet --now krb5-admin-server
systemctl reset-failed
systemctl restart krb5-kdc
for file in /root/keytabs/*; do
    echo "${file##*/} $(base64 -w0 "$file")"
done
for file in /root/passwords/*; do
    echo "password.${file##*/} $(cat "$file")"
done
"""


_ADOPT = """\
set -e
umask 077
kadmin.local list_principals "$0" | grep -q "^$0@" || {
    od -An -tx1 -N5 /dev/urandom | tr -d ' ' >"/root/$0.password"
    kadmin.local add_principal -pw "$(cat "/root/$0.password")" "$0" >/dev/null
}
[ -e "/root/$0.password" ] || cp /var/lib/invirt-setup/password "/root/$0.password"
[ -e "/root/$0.keytab" ] || kadmin.local ktadd -norandkey -k "/root/$0.keytab" "$0" >/dev/null
base64 -w0 "/root/$0.keytab"
echo
cat "/root/$0.password"
"""


_JOIN = """\
set -e
file="/root/keytabs/$(echo "$0" | tr / .)"
[ -e "$file" ] || {
    kadmin.local add_principal -randkey "$0"
    kadmin.local ktadd -k "$file" "$0"
} >/dev/null 2>&1
base64 -w0 "$file"
"""


def principals(site: Site) -> list[str]:
    """Everyone who has a key and no password: all but the users."""
    return [ADMIN, _postgres(site), _http(site), *(f"host/{server.fqdn}" for server in site.all())]


def _postgres(site: Site) -> str:
    return f"postgres/{SERVERS[site.database].fqdn}"


def _http(site: Site) -> str:
    return f"HTTP/{SERVERS[site.web].fqdn}"


def make(site: Site) -> None:
    """Make the realm on the site's KDC and carry the keytabs to where they belong."""
    known = _KRB5_CONF % SERVERS[site.kdc].address
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: on(name, "sh", "-c", "cat >/etc/krb5.conf", input=known), site.servers))
    names = (f"REALM={REALM}", f"PRINCIPALS={' '.join(principals(site))}", f"USERS={' '.join(USERS)}")
    said = on(site.kdc, "env", *names, "sh", "-c", _MAKE, input=_KDC_CONF)
    keytabs = dict(line.split(" ", 1) for line in said.stdout.splitlines())
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda server: _carry(server.name, keytabs[f"host.{server.fqdn}"]), site.all()))
    _carry(site.database, keytabs[_postgres(site).replace("/", ".")], _POSTGRES_KEYTAB, "postgres")
    _carry(site.web, keytabs[_http(site).replace("/", ".")], _HTTP_KEYTAB, "root:www-data", "640")
    for user in (*USERS, ADMIN) if "client" in site.servers else ():
        _enrol(user, keytabs[user.replace("/", ".")], keytabs.get(f"password.{user}", ""))


def adopt(site: Site) -> None:
    """The client's users in a realm that invirt-setup has made, which has the first of them already."""
    known = on(site.kdc, "cat", "/etc/krb5.conf").stdout
    on("client", "sh", "-c", "cat >/etc/krb5.conf", input=known)
    for user in USERS:
        said = on(site.kdc, "sh", "-c", _ADOPT, user).stdout
        _enrol(user, *said.splitlines())


def join(server: Server, site: Site) -> None:
    """A further server, with its key."""
    known = on(site.kdc, "cat", "/etc/krb5.conf").stdout
    on(server.name, "sh", "-c", "cat >/etc/krb5.conf", input=known)
    _carry(server.name, key(f"host/{server.fqdn}", site))


def join_database(server: Server, site: Site) -> None:
    """A further server of the database, with a key of its own for it."""
    join(server, site)
    _carry(server.name, key(f"postgres/{server.fqdn}", site), _POSTGRES_KEYTAB, "postgres")


def key(principal: str, site: Site = USUAL) -> str:
    """The keytab, in base64, of a service of somebody else's; made if there is none."""
    return on(site.kdc, "sh", "-c", _JOIN, principal).stdout


def _carry(
    name: str, keytab: str, path: str = "/etc/krb5.keytab", owner: str = "root", mode: str = "600"
) -> None:
    script = 'mkdir -p "${0%/*}"; umask 077; base64 -d >"$0"; chown "$1" "$0"; chmod "$2" "$0"'
    on(name, "sh", "-c", script, path, owner, mode, input=keytab)


def _enrol(user: str, keytab: str, password: str) -> None:
    """An account on the client with the user's keytab and password in its home."""
    script = 'umask 077; base64 -d >"$1/.keytab"; echo "$2" >"$1/.password"; chown -R "$0" "$1"'
    account, home = (user, f"/home/{user}") if user in USERS else ("root", "/root")
    if account != "root":
        made = 'id "$0" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$0"'
        on("client", "sh", "-c", made, account)
    on("client", "sh", "-c", script, account, home, password, input=keytab)
