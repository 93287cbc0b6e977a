"""What may stand in invirt.yaml: one dataclass a section, one field a key.

A field without a default must be given.  Units are in the field's comment.  Much of it ends up in other
programs' conf files and command lines, so texts are whitelisted by their type.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Annotated

from invirt.base import guests
from invirt.config.forms import (
    Accelerator,
    Address,
    Addresses,
    Amount,
    Certified,
    Claim,
    Client,
    Door,
    Driver,
    Folder,
    Hostname,
    Issuer,
    Mail,
    OptionalAddress,
    OptionalFile,
    OptionalHostname,
    Person,
    Port,
    Range,
    Realm,
    Seconds,
    Server,
    StorageDriver,
    VolumeGroup,
    Word,
    choice,
)
from invirt.config.people import Mails, Owners, Quota


@dataclass(frozen=True)
class Site:
    """The institution."""

    domain: Hostname  # machines are NAME.domain
    realm: Realm  # the Kerberos realm of the users
    contact: Mail = "root"  # shown where a user is told to ask
    administrators: tuple[Person, ...] = ()  # principals who may do to every machine what its owner may


@dataclass(frozen=True)
class Database:
    """Where the database is, and how long to wait for it."""

    hostname: Server  # where PostgreSQL is, or a folder that holds its socket
    copies: tuple[Hostname, ...] = ()  # further servers, which have copies: one may become the database
    synchronous: bool = False  # nothing is acknowledged before a copy has it, too
    port: Port = 5432  # at which PostgreSQL listens
    name: Word = "invirt"  # of the database there
    connect_timeout: Seconds = 3  # seconds until it must let in
    statement_timeout: Seconds = 10  # seconds that one statement may take

    @property
    def all(self) -> tuple[str, ...]:
        """Where it may be; hostname is asked first."""
        return tuple(dict.fromkeys((self.hostname, *self.copies)))


@dataclass(frozen=True)
class Remote:
    """The server, or servers, that users talk to."""

    hostname: Hostname  # the name that users say to remctl
    servers: tuple[Hostname, ...] = ()  # all remote servers, where there are several
    host_timeout: Seconds = 10  # seconds that a host may take to answer a question
    work_timeout: Seconds = 120  # seconds that something on a host may take in all
    shutdown_timeout: Seconds = 120  # seconds a guest may take to shut down when asked
    n_plus_one: Annotated[str, choice("refuse", "warn", "ignore")] = "warn"  # what of a boot that breaks N+1
    fence: OptionalFile = ""  # switches a host off that is lost: a program; empty: administrators vouch
    fence_timeout: Annotated[int, Range(1, 600)] = 60  # seconds until it must have said that the host is off
    drain_at_once: Annotated[int, Range(1, 16)] = 2  # machines that move away from a host at the same time
    reboot_timeout: Annotated[int, Range(30, 7200)] = 900  # seconds until a host that reboots must be back


@dataclass(frozen=True)
class MailRealm:
    """Of which realm people are whose mail addresses end so."""

    domain: Hostname  # of mail addresses
    realm: Realm  # of those people


@dataclass(frozen=True)
class Certificate:
    """The web server's door for those who have a client's certificate."""

    port: Port = 8443  # of its own, since a browser is asked for a certificate as it connects
    ca: Folder = "/etc/invirt/web/clients.pem"  # whose certificates are taken
    revoked: OptionalFile = ""  # which aren't any more: the authority's list (CRL, PEM)
    name: Certified = "email"  # what says who it is: email (alternative name), subject-email or upn


@dataclass(frozen=True)
class Oidc:
    """The web server's door to a provider of OpenID Connect, which signs people on."""

    provider: Issuer = ""  # its name for itself (iss)
    client: Client = "invirt"  # what it calls the web server
    claim: Claim = "email"  # what says who it is; of email it must say that it was verified


@dataclass(frozen=True)
class Web:
    """The web server."""

    hostname: OptionalHostname = ""  # its name; empty: no web server
    doors: tuple[Door, ...] = ("ticket", "password")  # how people sign on, as the page lists it
    realms: tuple[MailRealm, ...] = ()  # certificate, oidc: of whose addresses principals are made
    certificate: Certificate = field(default_factory=Certificate)
    oidc: Oidc = field(default_factory=Oidc)

    def __post_init__(self) -> None:
        """Raises ValueError for doors that nobody could come in by, and for what says two things."""
        if not self.doors:
            raise ValueError("doors names none: nobody could sign on")
        if len(set(self.doors)) < len(self.doors):
            raise ValueError("doors names one twice")
        if len({one.domain for one in self.realms}) < len(self.realms):
            raise ValueError("realms names a domain twice")
        for door in {"certificate", "oidc"} & set(self.doors):
            if not self.realms:
                raise ValueError(f"doors names {door}, and realms no domain: nobody could sign on by it")
        if "oidc" in self.doors and not self.oidc.provider:
            raise ValueError("doors names oidc, and oidc.provider nobody")


@dataclass(frozen=True)
class Machines:
    """Defaults of, and limits to, one machine."""

    type: Word = "linux"  # of machines whose maker names none; see invirt-admin type
    memory: Amount = 512  # MiB
    disk: Amount = 10  # GiB
    cpus: Amount = 1  # that a machine has
    min_memory: Amount = 64  # MiB
    max_memory: Amount = 65536  # MiB
    max_disk: Amount = 2048  # GiB, one disk
    max_cpus: Amount = 16  # of one machine
    max_disks: Amount = 8  # of one machine

    def __post_init__(self) -> None:
        """Raises ValueError if a default is not within its limits."""
        cpus = ("cpus", 1, self.cpus, self.max_cpus)
        disk = ("disk", 1, self.disk, self.max_disk)
        limits = (("memory", self.min_memory, self.memory, self.max_memory), disk, cpus)
        for name, least, value, greatest in limits:
            if not least <= value <= greatest:
                raise ValueError(f"{name} is {value}, which is not between {least} and {greatest}")


@dataclass(frozen=True)
class Hypervisor:
    """How hosts run guests."""

    driver: Driver = "xen"  # all hosts': xen, qemu or fake; auto: Xen where one was booted with it, else QEMU
    accelerator: Accelerator = "auto"  # qemu: auto (KVM if the probe guest proves it), kvm, tcg
    probe_kernel: OptionalFile = guests.KERNEL  # qemu: the probe guest's kernel; empty: none is booted
    probe_initrd: OptionalFile = guests.INITRD  # its initrd
    probe_timeout: Seconds = 20  # seconds until the probe guest must have reached its prompt
    uid_base: Annotated[int, Range(1000, 2**31 - 1)] = 1900000000  # qemu: a guest runs as this + its number
    uid_count: Amount = 200000000  # uids that are kept for guests
    move_port: Port = 3110  # of guests that come from other hosts, the same on every host
    move_timeout: Annotated[int, Range(1, 3600)] = 300  # seconds that a move may take, unless said otherwise
    move_rate: Annotated[int, Range(0, 100_000)] = 0  # MiB a second that one move may send; 0: what there is

    def __post_init__(self) -> None:
        """Raises ValueError if there are no such uids."""
        if self.uid_base + self.uid_count > 2**31:
            raise ValueError("uid_base and uid_count go beyond 2147483647, the last uid")


@dataclass(frozen=True)
class Storage:
    """What the site's first pool of disks is made of, which all hosts see, and the trash of all pools."""

    driver: StorageDriver = "lvm"  # lvm, file or fake
    volume_group: VolumeGroup = "invirt"  # lvm: of a site's one host
    directory: Folder = "/srv/invirt/volumes"  # file: that all hosts see
    trash_days: Amount = 7  # how long a removed volume can be taken back

    @property
    def place(self) -> str:
        """The volume group, or the folder."""
        return self.volume_group if self.driver == "lvm" else self.directory


@dataclass(frozen=True)
class Network:
    """What guests are told about their network, and what they don't reach in it."""

    gateway: OptionalAddress = ""  # the guests' IPv4 router, answered for by each host
    dns: tuple[Address, ...] = ()  # name servers that guests are told of
    servers: tuple[Addresses, ...] = ()  # hosts, servers: guests reach DNS and DHCP there, no other port
    address_hold: Annotated[int, Range(0, 604800)] = 3600  # seconds until another owner may get an address

    def __post_init__(self) -> None:
        """Raises ValueError if one of servers is neither an address nor a network."""
        for server in self.servers:
            ipaddress.ip_network(server)


@dataclass(frozen=True)
class Console:
    """The console server, where each machine is a login, and how it reaches the hosts."""

    hostname: OptionalHostname = ""  # its name; empty: no console server
    address: OptionalAddress = ""  # the one that hosts see it come from; empty: what its name resolves to
    port: Port = 3109  # of consoles, the same on every host
    uid_base: Annotated[int, Range(1000, 2**31 - 1)] = 200000  # a machine's login has this + its number
    uid_count: Amount = 300000  # uids that are kept for machines
    ca: OptionalFile = "/etc/invirt/console/ca.pem"  # whose certificates are taken
    credentials: OptionalFile = "/etc/invirt/console/server.pem"  # a server's certificate and key
    administrators: tuple[Word, ...] = ("root",)  # logins of the console server that may use any console
    sessions_a_machine: Amount = 10  # at once, also while the machine is off
    sessions: Amount = 500  # at once, of all machines

    def __post_init__(self) -> None:
        """Raises ValueError if nobody is named: conserver takes an empty list for another thing."""
        if not self.administrators:
            raise ValueError("administrators names nobody")


@dataclass(frozen=True)
class Dns:
    """The name servers, which answer from the database."""

    servers: tuple[Hostname, ...] = ()  # our own; the first is the zones' primary
    nameservers: tuple[Hostname, ...] = ()  # the zones' NS records, secondaries too; default: servers
    zones: tuple[Hostname, ...] = ()  # served beside site.domain, reverse zones too
    hostmaster: OptionalHostname = ""  # mail address with a dot for its @; default: hostmaster.DOMAIN
    ttl: Seconds = 30  # seconds that others may keep an answer
    secondaries: tuple[Address, ...] = ()  # who may transfer the zones, and is told of changes


@dataclass(frozen=True)
class Dhcp:
    """The DHCP servers, which answer from the database."""

    servers: tuple[Hostname, ...] = ()  # whom hosts hand guests' requests to
    lease: Seconds = 1200  # seconds; a changed address counts after half of it at the latest


@dataclass(frozen=True)
class Metrics:
    """What remote servers tell Prometheus, at port 9373."""

    readers: tuple[Hostname, ...] = ()  # servers that may read it; none: only the remote server itself
    owners: bool = False  # also what each owner has, by name


@dataclass(frozen=True)
class Backup:
    """Where invirt-backup puts what it writes each night, on each server that has invirt-setup."""

    directory: OptionalFile = ""  # a folder, best of another computer's; empty: nothing is written by itself
    keep: Amount = 14  # how many of each server's stay there


@dataclass(frozen=True)
class Config:
    """The whole file."""

    site: Site
    database: Database
    remote: Remote
    web: Web = field(default_factory=Web)
    machines: Machines = field(default_factory=Machines)
    quota: Quota = field(default_factory=Quota)
    owners: Owners = field(default_factory=Owners)
    mail: Mails = field(default_factory=Mails)
    hypervisor: Hypervisor = field(default_factory=Hypervisor)
    storage: Storage = field(default_factory=Storage)
    network: Network = field(default_factory=Network)
    console: Console = field(default_factory=Console)
    dns: Dns = field(default_factory=Dns)
    dhcp: Dhcp = field(default_factory=Dhcp)
    metrics: Metrics = field(default_factory=Metrics)
    backup: Backup = field(default_factory=Backup)

    @property
    def remote_principals(self) -> tuple[str, ...]:
        """Host principals of all remote servers: whom the hosts obey."""
        servers = self.remote.servers or (self.remote.hostname,)
        return tuple(f"host/{server}@{self.site.realm}" for server in servers)
