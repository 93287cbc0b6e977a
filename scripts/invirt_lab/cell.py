"""A cell of AFS, whose lockers own machines: its servers, in user space, and what asks them.

No server of the lab has AFS' client in its kernel.  So `fs` gets its answers of kernel.c, which has them of
the file server, and both it and `pts` have the key of the cell, where others had `k5start` give them tokens.
A locker is a volume.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from invirt.base.process import run
from invirt_lab import cluster, host, realm, roles
from invirt_lab.site import DOMAIN, REALM, SERVERS

SERVER = "afs"
OWNER = "afs:robotics"
FOLDER = f"/afs/{DOMAIN}"
REFRESH, PATIENCE = 5, 20  # seconds: owners.refresh and owners.patience
_SOURCE = Path(__file__).with_name("kernel.c")
_LIBRARY = host.CACHE / "kernel.so"
_BUILD = ["gcc", "libc6-dev", "libopenafs-dev", "libhcrypto5-heimdal", "libkrb5-3", "libroken19-heimdal"]
_ARCHIVES = ("libafsauthent_pic", "libafsrpc_pic", "libafsrfc3961", "libopr", "libubik", "afs/libafsint")
_OTHERS = ("pthread", "resolv", "crypt", ":libhcrypto.so.5", ":libroken.so.19", ":libkrb5.so.3")
# libafscp isn't made to be part of a library: it wants stderr at a fixed place.
_LINKED = "-Wl,--version-script=/dev/stdin,--defsym=stderr=said"
_SEEN = "{ global: open; ioctl; local: *; };"
_PLACE = "usr/lib/afs"  # of the programs as they are, and of the library
_PROGRAMS = {
    "fs": f'LD_PRELOAD=/{_PLACE}/kernel.so exec /{_PLACE}/fs "$@"',
    "pts": f'exec /{_PLACE}/pts "$@" -localauth',
}
_NEEDED = "ldd /usr/bin/fs /usr/bin/pts | awk '$3 ~ /^[/]/ {print $3}' | sort -u"

_NAMES = f"""\
for folder in /etc/openafs /etc/openafs/server; do
    mkdir -p $folder
    echo {DOMAIN} >$folder/ThisCell
    printf '>{DOMAIN}\\n{SERVERS[SERVER].address} #{SERVERS[SERVER].fqdn}\\n' >$folder/CellServDB
done
"""
_MAKE = f"""\
{_NAMES}
base64 -d >/root/cell.keytab
kvno=$(klist -k /root/cell.keytab | awk 'END {{print $1}}')
asetkey add rxkad_krb5 "$kvno" 18 /root/cell.keytab afs/{DOMAIN}@{REALM}
mkdir -p /vicepa
touch /vicepa/AlwaysAttach
systemctl restart openafs-fileserver
lib=/usr/lib/openafs
again() {{ n=0; until "$@"; do n=$((n + 1)); [ $n -lt 100 ]; sleep 0.3; done >/dev/null 2>&1; }}
again bos create {SERVER} pt simple $lib/ptserver -localauth
bos create {SERVER} vl simple $lib/vlserver -localauth
again sh -c "pts createuser afs | grep 'has id'"
pts adduser afs system:administrators
bos create {SERVER} dafs dafs "$lib/dafileserver -L" $lib/davolserver $lib/salvageserver $lib/dasalvager \\
    -localauth
again vos create {SERVER} a root.cell -localauth
"""
_CONFIGURED = f"""\
owners: {{sources: [afs], refresh: {REFRESH}, patience: {PATIENCE}, deadline: 5, afs: {{folder: {FOLDER}}}}}
"""


def make() -> None:
    """Give the site a cell, and its database what asks it; afterwards no locker is there."""
    _build()
    roles.boot_later(SERVER)
    here, database = cluster.root(SERVER), cluster.root("db")
    libraries = cluster.on(SERVER, "sh", "-c", _NEEDED).stdout.split()
    _programs(here, here)
    cluster.on(SERVER, "sh", "-ec", _MAKE, input=realm.key(f"afs/{DOMAIN}"), timeout=180)
    cluster.on("db", "sh", "-ec", _NAMES)
    for name in (*libraries, "/etc/openafs/server/KeyFileExt"):
        if not (place := database / name[1:]).exists():
            shutil.copy(here / name[1:], place)
    cluster.on("db", "chown", "-R", "invirt-members:", "/etc/openafs/server")
    roles.configure_further(_CONFIGURED)
    _programs(here, database)


def is_made() -> bool:
    """Whether the site has that already."""
    return (cluster.root("db") / _PLACE).exists()


def locker(name: str, *members: str) -> str:
    """A volume, new or not, that these users administer, too; returns name."""
    if cluster.on(SERVER, "vos", "examine", name, "-localauth", check=False).returncode:
        say("vos", "create", SERVER, "a", name, "-localauth")
    for member in members:
        allow(name, member)
    return name


def listed(name: str) -> str:
    """A locker's access list, as fs prints it."""
    return say("fs", "listacl", f"{FOLDER}/{name}")


def allow(name: str, member: str, rights: str = "all") -> None:
    """Set what a user, who may be new, or a group may do with a locker: all, none, or some letters."""
    if cluster.on(SERVER, "pts", "examine", member, check=False).returncode:
        say("pts", "createuser", member)
    say("fs", "setacl", f"{FOLDER}/{name}", member, rights)


def say(*words: str) -> str:
    """What a program of the cell's administrator prints."""
    return cluster.on(SERVER, *words).stdout


def _build() -> None:
    """The library, in the cache."""
    if _LIBRARY.exists() and _LIBRARY.stat().st_mtime > _SOURCE.stat().st_mtime:
        return
    if missing := [package for package in _BUILD if not host.installed(package)]:
        host.install(missing)
    made = ["-shared", "-fPIC", "-O", "-Wall", "-Werror", _LINKED, "-o", str(_LIBRARY), str(_SOURCE)]
    archives = [f"/usr/lib/{name}.a" for name in _ARCHIVES]
    run(["gcc", *made, "-lafscp", *archives, *(f"-l{name}" for name in _OTHERS)], input=_SEEN)


def _programs(here: Path, there: Path) -> None:
    """fs and pts of one server's disk, on another's or the same, with what they lack."""
    (there / _PLACE).mkdir()
    shutil.copy(_LIBRARY, there / _PLACE)
    for name, called in _PROGRAMS.items():
        real = here / ("usr/bin" if here == there else _PLACE) / name
        shutil.copy(real, there / _PLACE)
        script = there / "usr/bin" / name
        script.unlink(missing_ok=True)
        script.write_text(f"#!/bin/sh\n{called}\n")
        script.chmod(0o755)
