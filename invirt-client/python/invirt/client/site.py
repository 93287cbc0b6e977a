"""Which site a user's computer belongs to: by a file of theirs, of the computer's, or by DNS.

Kerberos proves that a server is what it is called, so a name that DNS made up
gets no further than that; and one of another domain is not taken from there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_type_hints

from invirt.base.errors import BadConfig
from invirt.config import loader
from invirt.config.forms import Hostname, OptionalHostname, Realm

RECORD = "_invirt"  # of the site's domain, a TXT record: remote=HOST console=HOST web=HOST realm=REALM
PATIENCE = 3.0  # seconds that DNS may take


@dataclass(frozen=True)
class Site:
    """Whom to ask: the remote server, the users' realm, and console and web server (empty: there is none)."""

    remote: Hostname
    realm: Realm
    console: OptionalHostname = ""
    web: OptionalHostname = ""


FORMS = {name: kind.__metadata__[0] for name, kind in get_type_hints(Site, include_extras=True).items()}


def files() -> list[Path]:
    """Where it may be written, the first that exists counts: the user's own, and the computer's."""
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return [own / "invirt.yaml", Path("/etc/invirt/client.yaml")]


def find() -> Site:
    """The site; raises BadConfig if no file and no record names one."""
    for path in files():
        if path.exists():
            return loader.read(path, Site)
    for name, text in _records():
        return _of_record(name, text)
    raise BadConfig(
        "no site is known to this computer",
        hint=f"Write {files()[0]}:\n  remote: remote.example.org\n  console: console.example.org\n"
        "  realm: EXAMPLE.ORG",
    )


def _records() -> Iterator[tuple[str, str]]:
    """The record of each domain in which this computer looks for names, with its owner's name."""
    from dns import exception, resolver  # only here: 60 ms

    try:
        asking = resolver.Resolver()
    except resolver.NoResolverConfiguration:
        return
    for domain in dict.fromkeys((*asking.search, asking.domain)):
        if len(domain) < 2:  # the root
            continue
        name = f"{RECORD}.{domain.to_text(omit_final_dot=True)}"
        try:
            answer = asking.resolve(f"{name}.", "TXT", lifetime=PATIENCE)
        except exception.DNSException:
            continue
        for record in answer:
            yield name, b"".join(record.strings).decode("ascii", "replace")


def _of_record(name: str, text: str) -> Site:
    """What a record says; raises BadConfig if that is no site, or one of another domain."""
    domain = name.removeprefix(f"{RECORD}.").lower()
    said = dict(word.partition("=")[::2] for word in text.split())
    wrong = f"the TXT record {name} names no site of {domain}"
    for key, value in said.items():
        own = key == "realm" or f".{value}".endswith(f".{domain}")
        if key not in FORMS or not FORMS[key].accepts(value) or not own:
            raise BadConfig(wrong, hint=f"It says {key}={value!a}.")
    try:
        return Site(**said)
    except TypeError:
        raise BadConfig(wrong, hint="It has to say remote=HOST and realm=REALM.") from None
