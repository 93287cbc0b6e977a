"""What a new server is given: made on the first one, checked whole on the new one."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from dataclasses import dataclass
from typing import Any

from invirt.base.errors import InvirtError
from invirt.setup import certificates, keytabs, rendered
from invirt.setup.answers import ROLES, Answers
from invirt.setup.realm import Realm


@dataclass(frozen=True)
class Bundle:
    """What one is given.

    keytabs: base64, by principal.  certificates: PEM with the key, by file.  authority: of the
    consoles' certificates, PEM.  names: the addresses of the site's servers.
    """

    name: str
    roles: list[str]
    disks: str
    kernel: str
    krb5_conf: str
    invirt_yaml: str
    names: dict[str, str]
    keytabs: dict[str, str]
    certificates: dict[str, str]
    authority: str

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)

    def keytab(self, principal: str) -> bytes | None:
        """The keys of a principal, if they were given."""
        found = self.keytabs.get(principal)
        return None if found is None else base64.b64decode(found)


def understood(plain: dict[str, Any]) -> Bundle:
    """What was given, if it is whole; raises InvirtError."""
    try:
        found = Bundle(**plain)
        texts = (found.name, found.disks, found.kernel, found.krb5_conf, found.invirt_yaml, found.authority)
        mappings = (found.names, found.keytabs, found.certificates)
        whole = (
            all(isinstance(text, str) for text in texts)
            and all(isinstance(one, str) for each in mappings for pair in each.items() for one in pair)
            and set(found.roles) <= set(ROLES)
        )
        for keytab in found.keytabs.values():
            base64.b64decode(keytab, validate=True)
    except (TypeError, AttributeError, binascii.Error):
        whole = False
    if not whole:
        raise InvirtError("what was given is not whole", "Is invirt-setup of one version on both servers?")
    return found


def made(answers: Answers, name: str, roles: list[str], invirt_yaml: str) -> Bundle:
    """All that a server of that name needs, on the first one; its principals are added to a realm of ours."""
    ours = Realm(answers.realm) if answers.kerberos.make else None
    keys: dict[str, str] = {}
    if ours:
        for keytab in keytabs.wanted(name, roles):
            keys[keytab.principal] = base64.b64encode(keytabs.made(ours, keytab.principal)).decode()
    return Bundle(
        name,
        roles,
        answers.disks,
        answers.boot.kernel,
        rendered.krb5_conf(answers),
        invirt_yaml,
        answers.addresses_of_servers,
        keys,
        {str(one.file): one.authority.issue(name, one.usages) for one in certificates.wanted(roles)},
        certificates.CONSOLES_AUTHORITY.certificate.read_text(),
    )
