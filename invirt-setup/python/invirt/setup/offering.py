"""The first server makes a token: what the new one will need, and the door at which it gets that."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import shutil
import ssl
from collections.abc import Iterator, Sequence

from invirt import config
from invirt.base.errors import BadConfig, BadInput
from invirt.base.process import run
from invirt.setup import answers as kept
from invirt.setup import bundle, here, settings, steps, tokens
from invirt.setup.answers import Answers, Server
from invirt.setup.certificates import STATE, Authority
from invirt.setup.steps import Step

DOOR = Authority("Invirt enrolment", STATE / "enrolment")  # its certificate is the one that tokens name
UNIT = "invirt-enrol.service"


def token(name: str, roles: Sequence[str], address: str, memory: int | None) -> str:
    """A token for the server of that name; an earlier one for it counts no more.

    Raises BadInput where this is no first server, or too little is known of the new one.
    """
    if not kept.KEPT.exists():
        raise BadInput("tokens are made on the site's first server", "There, run invirt-setup before.")
    found, server = planned(kept.read(kept.KEPT), name, roles, address)
    _among_servers(server)
    _among_copies(server)
    steps.run(_steps(found, server, memory))
    given = bundle.made(found, name, list(server.roles), settings.YAML.read_text())
    secret = tokens.secret()
    _folder()
    tokens.Offers().make(name, secret, given.plain())
    run(["systemctl", "restart", UNIT])
    shown = tokens.fingerprint(ssl.PEM_cert_to_DER_cert(DOOR.certificate.read_text()))
    return str(tokens.Token(found.address, name, secret, shown))


def planned(found: Answers, name: str, roles: Sequence[str], address: str) -> tuple[Answers, Server]:
    """The answers with the new server among them, and what it is; raises BadInput."""
    if name == found.name:
        raise BadInput(f"{name} is this server")
    had = next((server for server in found.servers if server.name == name), None)
    where = address or (had.address if had else here.resolved(name))
    what = tuple(roles) or (had.roles if had else ())
    if not what:
        raise BadInput(f"what is {name} to be?", f"Say --role, of {', '.join(kept.ROLES)}.")
    if not where:
        raise BadInput(f"{name} doesn't resolve", "Say its address: --address.")
    server = Server(name, where, what)
    others = tuple(server for server in found.servers if server.name != name)
    return dataclasses.replace(found, servers=(*others, server)), server


def _among_servers(server: Server) -> None:
    """Raise BadConfig where the site's doors would take it for a stranger."""
    networks = [ipaddress.ip_network(one) for one in config.network.servers]
    if networks and not any(ipaddress.ip_address(server.address) in network for network in networks):
        raise BadConfig(
            f"network.servers in {settings.YAML} doesn't have {server.address}, {server.name}'s",
            "Add it there on all servers, then invirt-config apply.",
        )


def _among_copies(server: Server) -> None:
    """Raise BadConfig where nobody would look for the copy of the database that it is to have."""
    if "database" in server.roles and server.name not in config.database.copies:
        raise BadConfig(
            f"database.copies in {settings.YAML} doesn't have {server.name}",
            "Add it there on all servers, then invirt-config apply.",
        )


def _steps(found: Answers, server: Server, memory: int | None) -> Iterator[Step]:
    yield Step(
        f"{kept.KEPT} has {server.name}",
        lambda: kept.read(kept.KEPT) == found,
        lambda: kept.keep(found),
    )
    yield here.names({server.name: server.address})
    if "host" in server.roles:
        yield from settings.host(found, server.name, memory)
    yield Step("certificate of this server's door for new ones", DOOR.exists, DOOR.make)


def _folder() -> None:
    """Where the offers are, the service's alone."""
    tokens.FOLDER.mkdir(mode=0o700, exist_ok=True)
    shutil.chown(tokens.FOLDER, tokens.USER, tokens.USER)
    os.chmod(tokens.FOLDER, 0o700)
