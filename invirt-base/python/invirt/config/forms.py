"""The whitelists of values in invirt.yaml, by type: texts by a pattern, numbers by their range."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from invirt.base.validate import FOLDER, VOLUME_GROUP


@dataclass(frozen=True)
class Form:
    """A whitelist for a text: the whole of it must match the pattern."""

    description: str
    pattern: str

    def accepts(self, value: str) -> bool:
        """Whether value is of this form."""
        return re.fullmatch(self.pattern, value, re.ASCII) is not None


@dataclass(frozen=True)
class Range:
    """The least and the greatest value of a number."""

    least: int
    greatest: int = 2**31 - 1

    @property
    def description(self) -> str:
        """For error messages."""
        return f"between {self.least} and {self.greatest}"

    def accepts(self, value: int) -> bool:
        """Whether value is in the range."""
        return self.least <= value <= self.greatest


def choice(*words: str) -> Form:
    """One of these words."""
    return Form("one of: " + ", ".join(words), "|".join(words))


_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOSTNAME = rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*"
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"

Hostname = Annotated[str, Form("a host name in lower case", _HOSTNAME)]
OptionalHostname = Annotated[str, Form("a host name in lower case, or empty", f"({_HOSTNAME})?")]
Realm = Annotated[str, Form("a Kerberos realm in upper case", r"[A-Z0-9]([A-Z0-9.-]{0,253}[A-Z0-9])?")]
Person = Annotated[
    str,
    Form(
        "a person's principal",
        r"(?![Hh][Oo][Ss][Tt]/)[A-Za-z0-9._+-]+(/[A-Za-z0-9_+-]+){0,2}@[A-Z0-9.-]{1,200}",
    ),
]
Mail = Annotated[str, Form("a mail address or a user's name", r"[A-Za-z0-9._+-]+(@[A-Za-z0-9.-]+)?")]
OptionalMail = Annotated[str, Form("a mail address, or empty", r"([A-Za-z0-9._+-]+@[A-Za-z0-9.-]+)?")]
MailRule = Annotated[
    str,
    Form(
        "an address with {name} in it, or empty",
        r"([A-Za-z0-9._+-]*\{name\}[A-Za-z0-9._+-]*@[A-Za-z0-9.-]+)?",
    ),
]
Word = Annotated[str, Form("a word of a-z, 0-9, - and _", r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")]
Server = Annotated[str, Form("a host name or a folder from /", f"{_HOSTNAME}|{FOLDER}")]
Folder = Annotated[str, Form("a folder from /", FOLDER)]
OptionalFile = Annotated[str, Form("a file from /, or empty", f"({FOLDER})?")]
OptionalAddress = Annotated[str, Form("an IPv4 address, or empty", f"({_IPV4})?")]
Address = Annotated[str, Form("an IPv4 address", _IPV4)]
Addresses = Annotated[str, Form("an address or a network", r"[0-9a-f.:]{2,39}(/[0-9]{1,3})?")]
VolumeGroup = Annotated[str, Form("the name of a volume group", VOLUME_GROUP)]
Driver = Annotated[str, choice("auto", "xen", "qemu", "fake")]
Accelerator = Annotated[str, choice("auto", "kvm", "tcg")]
StorageDriver = Annotated[str, choice("lvm", "file", "fake")]
Door = Annotated[str, choice("ticket", "password", "file", "certificate", "oidc")]
Issuer = Annotated[
    str,
    Form(
        "an https URL, without a / at its end", rf"(https://{_HOSTNAME}(:[0-9]{{1,5}})?(/[A-Za-z0-9._~-]+)*)?"
    ),
]
Client = Annotated[str, Form("a client's name: A-Z, a-z, 0-9 and . _ ~ : / -", r"[A-Za-z0-9._~:/-]{1,200}")]
Claim = Annotated[str, Form("a claim's name: A-Z, a-z, 0-9 and _", r"[A-Za-z0-9_]{1,64}")]
Kind = Annotated[str, Form("a word of a-z, 0-9 and -", r"[a-z][a-z0-9-]{0,30}")]
Directory = Annotated[
    str, Form("ldaps://HOST or ldap://HOST, or empty", rf"(ldaps?://{_HOSTNAME}(:[0-9]{{1,5}})?)?")
]
Dn = Annotated[str, Form("a DN of LDAP's, or empty", r"([A-Za-z0-9._@=, -]{3,200})?")]
Certified = Annotated[str, choice("email", "subject-email", "upn")]
Port = Annotated[int, Range(1, 65535)]
Seconds = Annotated[int, Range(1, 86400)]
Amount = Annotated[int, Range(1)]
