"""What can't be guessed about a site, and about the server at hand: asked, or taken from a file.

The file is read as invirt.yaml is, against the dataclasses below: checked whole, refused whole.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml

from invirt.base import files
from invirt.base.errors import BadConfig
from invirt.base.validate import FOLDER, VOLUME_GROUP
from invirt.config import loader
from invirt.config.forms import (
    Address,
    Form,
    Hostname,
    OptionalAddress,
    OptionalFile,
    OptionalHostname,
    Range,
    Realm,
)

KEPT = Path("/etc/invirt/setup.yaml")  # what was answered once is not asked again
EXAMPLE = "/usr/share/doc/invirt-setup/examples/site.yaml shows every key."
ROLES = ("database", "remote", "dns", "dhcp", "console", "web", "host")

Role = Annotated[str, Form(f"a role: {', '.join(ROLES)}", "|".join(ROLES))]
FullName = Annotated[str, Form("a server's full name, in lower case", r"(?=.*\.)[a-z0-9.-]{3,253}")]
Place = Annotated[str, Form("a folder from /, or the name of a volume group", f"{FOLDER}|{VOLUME_GROUP}")]
Words = Annotated[str, Form("a kernel's command line", r"[ -~]{0,512}")]
Login = Annotated[str, Form("a user's name, without a realm", r"([A-Za-z0-9][A-Za-z0-9._+-]{0,60})?")]


@dataclass(frozen=True)
class Addresses:
    """The machines', all that may be given away."""

    first: Address
    last: Address
    gateway: Address
    prefix: Annotated[int, Range(8, 30)] = 24  # of the network in which they and the gateway are

    def __post_init__(self) -> None:
        """Raises ValueError for addresses that are not of one network, or the wrong way round."""
        network = ipaddress.ip_network(f"{self.gateway}/{self.prefix}", strict=False)
        for name, value in (("first", self.first), ("last", self.last)):
            if ipaddress.ip_address(value) not in network:
                raise ValueError(f"{name} is {value}, which is not in the gateway's network {network}")
        if int(ipaddress.IPv4Address(self.first)) > int(ipaddress.IPv4Address(self.last)):
            raise ValueError(f"first is {self.first}, which is behind {self.last}")

    @property
    def zone(self) -> str:
        """The reverse zone of the first address, of whole bytes."""
        kept = self.first.split(".")[: max(1, self.prefix // 8)]
        return ".".join([*reversed(kept), "in-addr.arpa"])


@dataclass(frozen=True)
class Kerberos:
    """Where the realm is."""

    make: bool = True  # a small realm of MIT Kerberos on the first server; false: there is one
    kdcs: tuple[Hostname, ...] = ()  # of one that is there; none: DNS knows them


@dataclass(frozen=True)
class Server:
    """Another server of the site, and what it will be."""

    name: FullName
    address: Address
    roles: tuple[Role, ...]


@dataclass(frozen=True)
class Boot:
    """What machines of the first type boot; without a kernel it is what package invirt-kernel has made."""

    kernel: OptionalFile = ""
    initrd: OptionalFile = ""
    append: Words = "console=ttyS0 quiet"


@dataclass(frozen=True)
class Answers:
    """The whole file."""

    domain: Hostname  # machines are NAME.domain
    realm: Realm  # the users' Kerberos realm
    addresses: Addresses
    user: Login = ""  # the first who has machines; empty: nobody yet
    name: OptionalHostname = ""  # this server's full name; empty: what `hostname -f` says
    address: OptionalAddress = ""  # this server's; empty: the one it reaches the gateway from
    roles: tuple[Role, ...] = ROLES  # this server's
    servers: tuple[Server, ...] = ()  # the others, each of which is enrolled by a token
    synchronous: bool = False  # nothing is acknowledged before a copy of the database has it, too
    kerberos: Kerberos = field(default_factory=Kerberos)
    disks: Place = "/srv/invirt/volumes"  # the machines': a folder, or a volume group
    shared: bool = False  # every host sees that folder; false: each has its own
    memory: Annotated[int, Range(0)] = 0  # MiB for machines; 0: all but what this server needs itself
    boot: Boot = field(default_factory=Boot)

    def __post_init__(self) -> None:
        """Raises ValueError for a site that could not work."""
        if not self.roles:
            raise ValueError("roles names none: what is this server to be?")
        for named in (self.roles, *(server.roles for server in self.servers)):
            if len(set(named)) < len(named):
                raise ValueError("roles names one twice")
        if self.name and "." not in self.name:
            raise ValueError(f"name is {self.name}, which is not a full name: server1.example.org")
        names = [server.name for server in self.servers]
        if len({self.name, *names}) <= len(names):
            raise ValueError("servers names one twice")
        for role in ("database", "remote"):
            if role not in {*self.roles, *(role for server in self.servers for role in server.roles)}:
                raise ValueError(f"no server is the {role} server: put it among roles")
        if "database" not in self.roles:
            raise ValueError("roles lacks database: the first server is the one that has it")
        if self.shared and not self.disks.startswith("/"):
            raise ValueError("shared wants a folder as disks: hosts that share a volume group lose writes")
        if self.synchronous and not self.copies:
            raise ValueError("synchronous wants a copy of the database: a further server with that role")

    @property
    def addresses_of_servers(self) -> dict[str, str]:
        """By name, this one first."""
        return {self.name: self.address, **{server.name: server.address for server in self.servers}}

    @property
    def copies(self) -> tuple[str, ...]:
        """The servers that are to have a copy of the database."""
        return tuple(server.name for server in self.servers if "database" in server.roles)

    def named(self, role: str) -> list[str]:
        """The names of all servers of a role, this one first."""
        own = [self.name] if role in self.roles else []
        return [*own, *(server.name for server in self.servers if role in server.roles)]


def read(file: Path) -> Answers:
    """The answers that file holds; raises BadConfig with file, line and key."""
    try:
        return loader.read(file, Answers)
    except BadConfig as error:
        hint = EXAMPLE if error.hint == loader.EXAMPLE else error.hint
        raise BadConfig(error.message, hint) from error


def keep(answers: Answers, file: Path = KEPT) -> None:
    """Write them for the next run; root's alone, though nothing of it is secret."""
    head = "# What invirt-setup was told; it reads this when it is run again.\n"
    files.replace(file, (head + written(answers)).encode(), 0o600)


def written(answers: Answers) -> str:
    """The answers as YAML, without what is as it would be anyway."""
    return str(yaml.safe_dump(_plain(answers), sort_keys=False))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {one.name: (getattr(value, one.name), one) for one in dataclasses.fields(value)}
        return {name: _plain(had) for name, (had, one) in fields.items() if had != _default(one)}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _default(one: dataclasses.Field[Any]) -> Any:
    made = one.default_factory
    return one.default if made is dataclasses.MISSING else made()
