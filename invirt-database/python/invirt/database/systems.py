"""What can be put on machines, and what is being put on one: a part of the schema as objects, see models."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Integer, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, relationship

from invirt.database.base import GIVEN, Base, column


class Cdrom(Base):
    """An image that a machine can have in its drive: a file on the hosts."""

    __tablename__ = "cdroms"
    cdrom_id: Mapped[int] = column(Integer, primary_key=True)
    name: Mapped[str] = column(Text, nullable=False)
    description: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    path: Mapped[str] = column(Text, nullable=False)


class Autoinstall(Base):
    """A system that an installer can put on a machine: its base is at url, signed by a key of keyring.

    suite: what that must be of, unless empty.  mirror: what machines have in place of the one that it was
    made of, unless empty.  architecture: what it is made for, as Debian calls it.  memory (MiB) and disk
    (GiB) are the least that a machine must have.  script: is run at the end, as root of the new system.
    """

    __tablename__ = "autoinstalls"
    autoinstall_id: Mapped[int] = column(Integer, primary_key=True)
    name: Mapped[str] = column(Text, nullable=False)
    description: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    url: Mapped[str] = column(Text, nullable=False)
    keyring: Mapped[bytes] = column(LargeBinary, nullable=False)
    suite: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    mirror: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    architecture: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)
    memory: Mapped[int] = column(Integer, nullable=False, server_default=GIVEN)
    disk: Mapped[int] = column(Integer, nullable=False, server_default=GIVEN)
    script: Mapped[str] = column(Text, nullable=False, server_default=GIVEN)


class Install(Base):
    """What is being put on a machine; password as in shadow(5), keys as in authorized_keys."""

    __tablename__ = "installs"
    machine_id: Mapped[int] = column(ForeignKey("machines.machine_id"), primary_key=True)
    autoinstall_id: Mapped[int] = column(ForeignKey("autoinstalls.autoinstall_id"), nullable=False)
    password: Mapped[str] = column(Text, nullable=False)
    keys: Mapped[list[str]] = column(ARRAY(Text), nullable=False)
    autoinstall: Mapped[Autoinstall] = relationship("Autoinstall")


class HostKey(Base):
    """By what ssh knows a machine, as its installer has told."""

    __tablename__ = "host_keys"
    machine_id: Mapped[int] = column(ForeignKey("machines.machine_id"), primary_key=True)
    kind: Mapped[str] = column(Text, primary_key=True)
    fingerprint: Mapped[str] = column(Text, nullable=False)
