"""The sections of invirt.yaml that are about people: what they may use, who they are, where they get mail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from invirt.config.forms import (
    Amount,
    Claim,
    Directory,
    Dn,
    Kind,
    MailRule,
    OptionalFile,
    OptionalHostname,
    OptionalMail,
    Port,
    Range,
    Seconds,
)


@dataclass(frozen=True)
class Quota:
    """What an owner has when it is made at its first machine; see invirt-admin."""

    memory: Amount = 2048  # MiB, all machines
    disk: Amount = 50  # GiB, all machines
    machines: Annotated[int, Range(0)] = 4  # how many
    running: Annotated[int, Range(0)] = 0  # how many at once; 0: as many as it has
    cpus: Annotated[int, Range(0)] = 0  # all machines; 0: as many as they are given
    addresses: Annotated[int, Range(0)] = 0  # IPv4, all machines; 0: as many as they have


@dataclass(frozen=True)
class Ldap:
    """The directory that the plug-in ldap asks for members of owners."""

    server: Directory = ""  # ldaps://HOST, or ldap://HOST, which then must speak TLS, too (StartTLS)
    base: Dn = ""  # beneath which groups are looked for
    ca: OptionalFile = ""  # whose certificates are taken; empty: those that Debian takes
    bind: Dn = ""  # as whom it is asked; empty: as nobody
    password: OptionalFile = ""  # the file that has its password, which group invirt-members may read
    principal: Claim = "uid"  # attribute of people: a login of site.realm, or a whole principal


@dataclass(frozen=True)
class Afs:
    """The cell whose folders' access lists the plug-in afs asks for members of owners."""

    folder: OptionalFile = ""  # beneath which lockers are: /afs/example.org


@dataclass(frozen=True)
class Owners:
    """How the members of owners are found, where nobody names them one by one."""

    sources: tuple[Kind, ...] = ()  # plug-ins that are asked: unix, ldap, afs, and those of a site's own
    refresh: Seconds = 600  # seconds until a source is asked again
    patience: Seconds = 86400  # seconds that a source may be down before its members have no access
    deadline: Seconds = 20  # seconds that one answer may take
    groups: Annotated[int, Range(0, 1000)] = 2  # groups that one user may make, each with a quota of its own
    ldap: Ldap = field(default_factory=Ldap)
    afs: Afs = field(default_factory=Afs)

    def __post_init__(self) -> None:
        """Raises ValueError for sources that can't be, and if patience ends before anyone is asked again."""
        if "group" in self.sources:
            raise ValueError("sources names group, which users' own groups are called")
        if len(set(self.sources)) < len(self.sources):
            raise ValueError("sources names one twice")
        if self.patience < 2 * self.refresh + self.deadline:
            raise ValueError("patience is less than twice refresh and deadline: one slow answer would close")
        if "ldap" in self.sources and not (self.ldap.server and self.ldap.base):
            raise ValueError("sources names ldap, and ldap.server or ldap.base nobody")
        if "afs" in self.sources and not self.afs.folder:
            raise ValueError("sources names afs, and afs.folder no folder")


@dataclass(frozen=True)
class Mails:
    """How people are told of quotas, and of machines that are handed over."""

    server: OptionalHostname = ""  # takes mail for people (SMTP); empty: nobody is told by mail
    port: Port = 25  # of that server
    tls: bool = False  # whether it must speak TLS (STARTTLS), with a certificate that Debian takes
    sender: OptionalMail = ""  # as whom mail is sent; empty: invirt@ the site's domain
    address: MailRule = ""  # of people of the site's realm; empty: {name}@ the site's domain
    people: Dn = ""  # where owners.ldap has people, by whose entries addresses then are found
    attribute: Claim = "mail"  # of their entries, that has the address
