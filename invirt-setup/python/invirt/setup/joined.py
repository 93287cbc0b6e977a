"""A server that has joined: all that makes it, of what the first one gave."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

from invirt.base.errors import BadInput
from invirt.base.files import replace
from invirt.base.process import run
from invirt.setup import certificates, here, keytabs, realm, roles, settings
from invirt.setup.bundle import Bundle
from invirt.setup.certificates import CONSOLES, Certificate
from invirt.setup.steps import Step

STANDBY = "invirt-database-standby"
LONGEST = 86400  # seconds for all data to arrive


def refuse_another(name: str) -> None:
    """Raise BadInput unless this server is called so."""
    own = socket.gethostname()
    if own.lower() not in (name, name.partition(".")[0]):
        raise BadInput(
            f"the token is for {name}, and this server is called {own}",
            f"hostnamectl set-hostname {name}, if that is its name.",
        )


def steps(given: Bundle) -> Iterator[Step]:
    """What is so in the end."""
    yield here.names(given.names)
    yield realm.conf(given.krb5_conf)
    yield from roles.before(given.roles, kdc=False)
    yield from keytabs.steps(keytabs.wanted(given.name, given.roles), given.keytab)
    written, applied = settings.invirt_yaml(given.invirt_yaml)
    yield written
    yield _file(CONSOLES / "ca.pem", given.authority)
    for one in certificates.wanted(given.roles):
        yield _certificate(one, given.certificates[str(one.file)])
    yield roles.roles(given.roles, given.disks, given.kernel)
    yield applied
    yield from certificates.read(given.roles)
    yield from settings.page(given.name, given.roles)
    if "database" in given.roles:
        yield _copy(given.name)


def _copy(name: str) -> Step:
    """It follows, or is the database since it was promoted; another one that was here isn't given up."""

    def there() -> bool:
        rows = json.loads(run([STANDBY, "status", "--json"], timeout=60).stdout)
        mine = [row for row in rows if row["server"] == name]
        return any(row["word"] == "follows" or row["has"] == "the database" for row in mine)

    def make() -> None:
        run([STANDBY, "make"], timeout=LONGEST)

    return Step("copy of the database", there, make)


def _file(path: Path, text: str) -> Step:
    return Step(f"{path}", path.exists, lambda: replace(path, text.encode()))


def _certificate(one: Certificate, text: str) -> Step:
    """It is there; one that was put there since stays."""
    return Step(f"{one.file}", one.file.exists, lambda: one.put(text))
