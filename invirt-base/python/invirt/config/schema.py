"""What may stand in invirt.yaml: one dataclass a section, one field a key.

A field without a default must be given.  Units are in the field's comment.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Site:
    domain: str  # machines are NAME.domain
    realm: str  # the Kerberos realm of the users
    contact: str = "root"  # shown where a user is told to ask


@dataclass(frozen=True)
class Database:
    hostname: str  # or a folder that holds PostgreSQL's socket
    port: int = 5432
    name: str = "invirt"
    connect_timeout: int = 3  # seconds
    statement_timeout: int = 10  # seconds


@dataclass(frozen=True)
class Remote:
    hostname: str  # the name that users say to remctl
    servers: tuple[str, ...] = ()  # all remote servers, where there are several
    host_timeout: int = 10  # seconds that a host may take to answer a question
    work_timeout: int = 120  # seconds that one step on a host may take
    shutdown_timeout: int = 120  # seconds a guest may take to shut down when asked


@dataclass(frozen=True)
class Web:
    hostname: str = ""  # empty: no web server


@dataclass(frozen=True)
class Machines:
    """Defaults of, and limits to, one machine."""

    type: str = "linux"
    memory: int = 512  # MiB
    disk: int = 10  # GiB
    cpus: int = 1
    min_memory: int = 64  # MiB
    max_memory: int = 65536  # MiB
    max_disk: int = 2048  # GiB, one disk
    max_cpus: int = 16
    max_disks: int = 8


@dataclass(frozen=True)
class Quota:
    """What an owner has when it is made at its first machine; see invirt-admin."""

    memory: int = 2048  # MiB, all machines
    disk: int = 50  # GiB, all machines
    machines: int = 4


@dataclass(frozen=True)
class Hypervisor:
    driver: str = "xen"  # xen, qemu or fake
    accelerator: str = "auto"  # qemu: auto (KVM if the probe guest proves it), kvm, tcg
    probe_kernel: str = ""  # qemu: kernel and initrd of the probe guest
    probe_initrd: str = ""
    probe_timeout: int = 20  # seconds until the probe guest must have reached its prompt


@dataclass(frozen=True)
class Storage:
    """Disks of machines; every host sees the same ones."""

    driver: str = "lvm"  # lvm or file
    volume_group: str = "invirt"
    directory: str = "/srv/invirt/volumes"
    trash_days: int = 7  # how long a removed volume can be taken back


@dataclass(frozen=True)
class Network:
    gateway: str = ""  # the guests' IPv4 router, answered for by each host
    dns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Config:
    """The whole file."""

    site: Site
    database: Database
    remote: Remote
    web: Web = field(default_factory=Web)
    machines: Machines = field(default_factory=Machines)
    quota: Quota = field(default_factory=Quota)
    hypervisor: Hypervisor = field(default_factory=Hypervisor)
    storage: Storage = field(default_factory=Storage)
    network: Network = field(default_factory=Network)

    @property
    def remote_principals(self) -> tuple[str, ...]:
        """Host principals of all remote servers: whom the hosts obey."""
        servers = self.remote.servers or (self.remote.hostname,)
        return tuple(f"host/{server}@{self.site.realm}" for server in servers)
