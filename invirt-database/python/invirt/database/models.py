"""The schema as objects, for reading and for administrators: Machine.get(name="inode").nics[0].mac_addr

The rules are not here: they are constraints in the database (migrations/).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Integer, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB, MACADDR, TIMESTAMP
from sqlalchemy.orm import Mapped, relationship

from invirt.database.base import GIVEN, Base, column
from invirt.database.systems import Autoinstall as Autoinstall
from invirt.database.systems import Cdrom as Cdrom
from invirt.database.systems import Install

OWNED: dict[str, Any] = {"cascade": "all, delete-orphan", "passive_deletes": True}  # goes with what it is of


class Owner(Base):
    """Whom machines belong to; memory (MiB), disk (GiB) and machines are the quota of all of them."""

    __tablename__ = "owners"
    owner_id: Mapped[int] = column(Integer, primary_key=True)
    name: Mapped[str] = column(Text, nullable=False)
    memory: Mapped[int] = column("memory", Integer, nullable=False)
    disk: Mapped[int] = column(Integer, nullable=False)
    quota_machines: Mapped[int] = column("machines", Integer, nullable=False)
    made_by: Mapped[str | None] = column(Text)  # of a group of users' own
    members: Mapped[list[Member]] = relationship("Member", order_by="Member.principal", **OWNED)
    machines: Mapped[list[Machine]] = relationship(
        "Machine", order_by="Machine.name", back_populates="owner", passive_deletes="all"
    )
    trash: Mapped[list[Trash]] = relationship(
        "Trash", order_by="Trash.trash_id", back_populates="owner", passive_deletes="all"
    )


class Member(Base):
    """A principal who may use all machines of an owner."""

    __tablename__ = "members"
    owner_id: Mapped[int] = column(ForeignKey("owners.owner_id"), primary_key=True)
    principal: Mapped[str] = column(Text, primary_key=True)
    source: Mapped[str | None] = column(Text)  # which told of them
    keeper: Mapped[bool] = column(Boolean, nullable=False, server_default=GIVEN)


class Type(Base):
    """How a kind of machine is booted, without a kernel from its disk, and what it needs of its host."""

    __tablename__ = "types"
    type_id: Mapped[int] = column(Integer, primary_key=True)
    name: Mapped[str] = column(Text, nullable=False)
    description: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    virt: Mapped[str] = column(Text, nullable=False)
    kernel: Mapped[str | None] = column(Text, server_default=GIVEN)  # left out where it isn't said:
    initrd: Mapped[str | None] = column(Text, server_default=GIVEN)  # remote may not say it
    append: Mapped[str | None] = column(Text)
    needs: Mapped[list[str]] = column(ARRAY(Text), nullable=False, server_default=GIVEN)
    local_clock: Mapped[bool] = column(Boolean, nullable=False, server_default=GIVEN)
    cdrom_id: Mapped[int | None] = column(ForeignKey("cdroms.cdrom_id"), server_default=GIVEN)  # the second
    cdrom: Mapped[Cdrom | None] = relationship("Cdrom")


class Host(Base):
    """A server that runs guests on its hypervisor; memory is what they may have, in MiB."""

    __tablename__ = "hosts"
    host_id: Mapped[int] = column(Integer, primary_key=True)
    name: Mapped[str] = column(Text, nullable=False)
    hostname: Mapped[str] = column(Text, nullable=False)
    memory: Mapped[int] = column(Integer, nullable=False)
    enabled: Mapped[bool] = column(Boolean, nullable=False, server_default=GIVEN)
    hypervisor: Mapped[str | None] = column(Text)
    lost_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True))
    lost_by: Mapped[str | None] = column(Text)
    reservations: Mapped[list[Reservation]] = relationship("Reservation", passive_deletes="all")


class Pool(Base):
    """Where disks lie: a volume group or a folder (place), seen everywhere or by hosts."""

    __tablename__ = "pools"
    pool_id: Mapped[int] = column(Integer, primary_key=True)
    name: Mapped[str] = column(Text, nullable=False)
    driver: Mapped[str | None] = column(Text)
    place: Mapped[str | None] = column(Text)
    everywhere: Mapped[bool] = column(Boolean, nullable=False, server_default=GIVEN)
    hosts: Mapped[list[PoolHost]] = relationship("PoolHost", cascade="all, delete-orphan")


class PoolHost(Base):
    """A host that sees a pool."""

    __tablename__ = "pool_hosts"
    pool_id: Mapped[int] = column(ForeignKey("pools.pool_id"), primary_key=True)
    host_id: Mapped[int] = column(ForeignKey("hosts.host_id"), primary_key=True)
    host: Mapped[Host] = relationship("Host")


class AddressRange(Base):
    """IPv4 addresses, first to last, that machines are given."""

    __tablename__ = "address_ranges"
    range_id: Mapped[int] = column(Integer, primary_key=True)
    first: Mapped[str] = column(INET, nullable=False)
    last: Mapped[str] = column(INET, nullable=False)
    prefix: Mapped[int] = column(Integer, nullable=False)
    gateway: Mapped[str] = column(INET, nullable=False)


class ReservedName(Base):
    """A name that no machine may have."""

    __tablename__ = "reserved_names"
    name: Mapped[str] = column(Text, primary_key=True)


class RefusedName(Base):
    """What no machine may be called, since a part can't have it: a regular expression."""

    __tablename__ = "refused_names"
    pattern: Mapped[str] = column(Text, primary_key=True)
    reason: Mapped[str] = column(Text, nullable=False)


class Machine(Base):
    """A virtual machine. memory is in MiB; host is its home, None when it is off."""

    __tablename__ = "machines"
    machine_id: Mapped[int] = column(Integer, primary_key=True)
    name: Mapped[str] = column(Text, nullable=False)
    owner_id: Mapped[int] = column(ForeignKey("owners.owner_id"), nullable=False)
    type_id: Mapped[int] = column(ForeignKey("types.type_id"), nullable=False)
    memory: Mapped[int] = column(Integer, nullable=False)
    cpus: Mapped[int] = column(Integer, nullable=False, server_default=GIVEN)
    description: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    host_id: Mapped[int | None] = column(ForeignKey("hosts.host_id"))
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), nullable=False, server_default=GIVEN)
    wanted_on: Mapped[bool] = column(Boolean, nullable=False, server_default=GIVEN)
    autostart: Mapped[bool] = column(Boolean, nullable=False, server_default=GIVEN)
    why_off: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    priority: Mapped[int] = column(SmallInteger, nullable=False, server_default=GIVEN)
    lost_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True))
    lost_host: Mapped[str | None] = column(Text)
    system: Mapped[str | None] = column(Text)
    installed_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True))
    cdrom_id: Mapped[int | None] = column(ForeignKey("cdroms.cdrom_id"))
    boots_cdrom: Mapped[bool] = column(Boolean, nullable=False, server_default=GIVEN)
    owner: Mapped[Owner] = relationship("Owner", back_populates="machines")
    type: Mapped[Type] = relationship("Type")
    host: Mapped[Host | None] = relationship("Host")
    cdrom: Mapped[Cdrom | None] = relationship("Cdrom")
    install: Mapped[Install | None] = relationship("Install", uselist=False, passive_deletes="all")
    disks: Mapped[list[Disk]] = relationship("Disk", order_by="Disk.name", **OWNED)
    nics: Mapped[list[Nic]] = relationship("Nic", order_by="Nic.nic_id", **OWNED)
    reservations: Mapped[list[Reservation]] = relationship("Reservation", passive_deletes="all")
    access: Mapped[list[MachineAccess]] = relationship(
        "MachineAccess", order_by="MachineAccess.principal", **OWNED
    )


class Reservation(Base):
    """Memory (MiB) that is promised to a machine on a host: it may run there, and nowhere else."""

    __tablename__ = "reservations"
    machine_id: Mapped[int] = column(ForeignKey("machines.machine_id"), primary_key=True)
    host_id: Mapped[int] = column(ForeignKey("hosts.host_id"), primary_key=True)
    memory: Mapped[int] = column(Integer, nullable=False)
    operation_id: Mapped[int | None] = column(ForeignKey("operations.operation_id"))
    rescue: Mapped[bool] = column(Boolean, nullable=False, server_default=GIVEN)
    machine: Mapped[Machine] = relationship("Machine", back_populates="reservations")


class Disk(Base):
    """A machine's disk, in a pool; size is in GiB."""

    __tablename__ = "disks"
    disk_id: Mapped[int] = column(Integer, primary_key=True)
    machine_id: Mapped[int] = column(ForeignKey("machines.machine_id"), nullable=False)
    name: Mapped[str] = column(Text, nullable=False)
    size: Mapped[int] = column(Integer, nullable=False)
    pool_id: Mapped[int] = column(ForeignKey("pools.pool_id"), nullable=False, server_default=GIVEN)


class Nic(Base):
    """A machine's network interface."""

    __tablename__ = "nics"
    nic_id: Mapped[int] = column(Integer, primary_key=True)
    machine_id: Mapped[int] = column(ForeignKey("machines.machine_id"), nullable=False)
    mac_addr: Mapped[str] = column(MACADDR, nullable=False)
    ip: Mapped[str | None] = column(INET)
    hostname: Mapped[str | None] = column(Text)
    ip6: Mapped[str | None] = column(INET)
    hostnames: Mapped[list[Hostname]] = relationship(
        "Hostname", order_by="Hostname.hostname", cascade="all, delete-orphan", passive_deletes=True
    )

    @property
    def addresses(self) -> list[str]:
        """Those that the guest may use: IPv4, then IPv6."""
        return [str(one) for one in (self.ip, self.ip6) if one]


class HeldAddress(Base):
    """An address that a machine has had: until then no other owner's machine gets it."""

    __tablename__ = "held_addresses"
    ip: Mapped[str] = column(INET, primary_key=True)
    machine_id: Mapped[int] = column(Integer, nullable=False)
    owner_id: Mapped[int] = column(Integer, nullable=False)
    until: Mapped[datetime] = column(TIMESTAMP(timezone=True), nullable=False)


class Hostname(Base):
    """A further name of a NIC in DNS."""

    __tablename__ = "hostnames"
    hostname: Mapped[str] = column(Text, primary_key=True)
    nic_id: Mapped[int] = column(ForeignKey("nics.nic_id"), nullable=False)


class MachineAccess(Base):
    """A principal who may use a machine beside its owner's members."""

    __tablename__ = "machine_access"
    machine_id: Mapped[int] = column(ForeignKey("machines.machine_id"), primary_key=True)
    principal: Mapped[str] = column(Text, primary_key=True)


class Administrator(Base):
    """Of the site: may do to every machine what its owner may."""

    __tablename__ = "administrators"
    principal: Mapped[str] = column(Text, primary_key=True)
    in_yaml: Mapped[bool] = column(Boolean, nullable=False, server_default=GIVEN)


class PublicKey(Base):
    """An ssh key by which a principal may come to consoles."""

    __tablename__ = "public_keys"
    principal: Mapped[str] = column(Text, primary_key=True)
    key: Mapped[str] = column(Text, primary_key=True)


class Operation(Base):
    """Something that is, or was, done to a machine; remote writes it."""

    __tablename__ = "operations"
    operation_id: Mapped[int] = column(BigInteger, primary_key=True)
    kind: Mapped[str] = column(Text, nullable=False)
    machine_id: Mapped[int | None] = column(ForeignKey("machines.machine_id"))
    machine_name: Mapped[str] = column(Text, nullable=False)
    principal: Mapped[str] = column(Text, nullable=False)
    via: Mapped[str | None] = column(Text)
    arguments: Mapped[dict[str, Any]] = column(JSONB, nullable=False, server_default=GIVEN)
    state: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    error: Mapped[str | None] = column(Text)
    request_key: Mapped[str | None] = column(Text)
    lease_holder: Mapped[str | None] = column(Text)
    lease_until: Mapped[datetime | None] = column(TIMESTAMP(timezone=True))
    token: Mapped[int | None] = column(BigInteger)
    attempts: Mapped[int] = column(Integer, nullable=False, server_default=GIVEN)
    administrator: Mapped[bool | None] = column(Boolean)
    created_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), nullable=False, server_default=GIVEN)
    finished_at: Mapped[datetime | None] = column(TIMESTAMP(timezone=True))
    steps: Mapped[list[OperationStep]] = relationship(
        "OperationStep", order_by="OperationStep.position", passive_deletes=True
    )


class OperationStep(Base):
    """One step of an operation, and the words that undo it."""

    __tablename__ = "operation_steps"
    operation_id: Mapped[int] = column(ForeignKey("operations.operation_id"), primary_key=True)
    position: Mapped[int] = column(Integer, primary_key=True)
    name: Mapped[str] = column(Text, nullable=False)
    undo: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    state: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    detail: Mapped[dict[str, Any]] = column(JSONB, nullable=False, server_default=GIVEN)
    changed_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), nullable=False, server_default=GIVEN)


class Audit(Base):
    """Who did what, and how it ended."""

    __tablename__ = "audit"
    audit_id: Mapped[int] = column(BigInteger, primary_key=True)
    at: Mapped[datetime] = column(TIMESTAMP(timezone=True), nullable=False, server_default=GIVEN)
    principal: Mapped[str] = column(Text, nullable=False)
    via: Mapped[str | None] = column(Text)
    command: Mapped[str] = column(Text, nullable=False)
    arguments: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    machine_name: Mapped[str | None] = column(Text)
    outcome: Mapped[str] = column(Text, nullable=False)
    message: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    administrator: Mapped[bool | None] = column(Boolean)
    address: Mapped[str | None] = column(Text)
    machine_id: Mapped[int | None] = column(Integer)  # no key: it outlives its machine


class Trash(Base):
    """A machine that was deleted, or a single disk (machine is None), until it is given back or ends."""

    __tablename__ = "trash"
    trash_id: Mapped[int] = column(Integer, primary_key=True)
    name: Mapped[str] = column(Text, nullable=False)
    machine_id: Mapped[int | None] = column(Integer)
    owner_id: Mapped[int | None] = column(ForeignKey("owners.owner_id"))
    machine: Mapped[dict[str, Any] | None] = column(JSONB)
    taken: Mapped[str | None] = column(Text)
    deleted_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), nullable=False, server_default=GIVEN)
    ends_at: Mapped[datetime] = column(TIMESTAMP(timezone=True), nullable=False)
    owner: Mapped[Owner | None] = relationship("Owner", back_populates="trash")
    disks: Mapped[list[TrashDisk]] = relationship(
        "TrashDisk", order_by="TrashDisk.name", passive_deletes="all"
    )


class TrashDisk(Base):
    """A disk in the trash; size is in GiB, operation_id what hosts know its volume by."""

    __tablename__ = "trash_disks"
    trash_id: Mapped[int] = column(ForeignKey("trash.trash_id"), primary_key=True)
    name: Mapped[str] = column(Text, primary_key=True)
    size: Mapped[int] = column(Integer, nullable=False)
    operation_id: Mapped[int] = column(BigInteger, nullable=False)
    pool_id: Mapped[int] = column(ForeignKey("pools.pool_id"), nullable=False, server_default=GIVEN)


class Counter(Base):
    """A number that the database's own transactions advance."""

    __tablename__ = "counters"
    name: Mapped[str] = column(Text, primary_key=True)
    value: Mapped[int] = column(BigInteger, nullable=False, server_default=GIVEN)
