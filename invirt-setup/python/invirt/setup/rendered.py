"""The files that are made of the answers; see tests/golden/setup."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from invirt.setup.answers import Answers

MARK = "# Written by invirt-setup."
_HEAD = """\
# Written by invirt-setup, once: the same on every server of the site.
# /usr/share/doc/invirt-base/examples has every key. After a change: invirt-config apply
"""


def krb5_conf(answers: Answers) -> str:
    """Names are taken as they are written; DNS is asked for KDCs at the most."""
    kdcs = answers.kerberos.kdcs or ((answers.name,) if answers.kerberos.make else ())
    asked = "false" if kdcs else "true"
    lines = [
        MARK,
        "[libdefaults]",
        f"    default_realm = {answers.realm}",
        f"    dns_lookup_kdc = {asked}",
        "    dns_canonicalize_hostname = false",
        "    rdns = false",
        '    qualify_shortname = ""',
        "    udp_preference_limit = 1",
        "",
        "[realms]",
        f"    {answers.realm} = {{",
        *(f"        kdc = {kdc}" for kdc in kdcs),
        *([f"        admin_server = {answers.name}"] if answers.kerberos.make else []),
        "    }",
        "",
        "[domain_realm]",
        *(f"    {domain} = {answers.realm}" for domain in _domains(answers)),
    ]
    return "\n".join(lines) + "\n"


def _domains(answers: Answers) -> list[str]:
    """Whose names are of the realm: the machines' domain, and all servers'."""
    names = [answers.name, *(server.name for server in answers.servers)]
    parents = {f".{name.partition('.')[2]}" for name in names}
    return sorted({f".{answers.domain}", *parents})


def kdc_conf(realm: str, folder: Path) -> str:
    """A KDC whose database, stashed key and (empty) list of administrators are in one folder."""
    return (
        f"{MARK}\n"
        "[realms]\n"
        f"    {realm} = {{\n"
        f"        database_name = {folder}/principal\n"
        f"        key_stash_file = {folder}/stash\n"
        f"        acl_file = {folder}/kadm5.acl\n"
        "        max_life = 24h\n"
        "        max_renewable_life = 7d\n"
        "        supported_enctypes = aes256-cts:normal\n"
        "        default_principal_flags = +preauth\n"
        "    }\n"
    )


def invirt_yaml(answers: Answers) -> str:
    """invirt.yaml, the same on every server."""
    lvm = not answers.disks.startswith("/")
    addresses = answers.addresses_of_servers
    remotes = answers.named("remote")
    sections: Mapping[str, Mapping[str, Any]] = {
        "site": {"domain": answers.domain, "realm": answers.realm},
        "database": {
            "hostname": answers.name,
            "copies": answers.copies,
            "synchronous": answers.synchronous,
        },
        "remote": {
            "hostname": remotes[0],
            "servers": remotes if len(remotes) > 1 else [],
        },
        "hypervisor": {
            "driver": "auto",
            "probe_kernel": answers.boot.kernel,
            "probe_initrd": answers.boot.initrd,
        },
        "storage": {
            "driver": "lvm" if lvm else "file",
            "volume_group" if lvm else "directory": answers.disks,
        },
        "network": {
            "gateway": answers.addresses.gateway,
            "dns": [addresses[name] for name in answers.named("dns")],
            "servers": sorted(set(addresses.values())),
        },
        "dns": {
            "servers": answers.named("dns"),
            "zones": [answers.addresses.zone] if answers.named("dns") else [],
        },
        "dhcp": {"servers": answers.named("dhcp")},
        "console": {"hostname": "".join(answers.named("console")[:1])},
        "web": {"hostname": "".join(answers.named("web")[:1])},
    }
    return _HEAD + "".join(_section(name, keys) for name, keys in sections.items())


def _section(name: str, keys: Mapping[str, Any]) -> str:
    """A section, without the keys that have no value; none of one that has none."""
    given = [f"  {key}: {_value(value)}\n" for key, value in keys.items() if value]
    return f"{name}:\n{''.join(given)}" if given else ""


def _value(value: str | bool | Sequence[str]) -> str:
    """In YAML; all texts here are of forms that need no quotes, or of addresses."""
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")
