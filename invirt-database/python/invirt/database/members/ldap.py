"""Groups of an LDAP directory, with the groups in them: groupOfNames, groupOfUniqueNames, posixGroup.

Its server's certificate is checked; python3-ldap speaks to it, the one module of Debian's for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import ldap
import ldap.controls
import ldap.dn
import ldap.filter

from invirt import config
from invirt.base.errors import CommandFailed, NotFound
from invirt.database.members.asking import MOST

PAGE = 200  # entries the server is asked for at once
TOGETHER = 50  # members that one search looks for
BY_DN = ("member", "uniqueMember")
BY_LOGIN = "memberUid"

Entry = tuple[str, dict[str, list[bytes]]]


def members(name: str) -> Iterable[str]:
    """Principals of all in the group, or in groups in it.  Raises NotFound, or CommandFailed.

    name: of a group beneath owners.ldap.base, or its DN.
    """
    try:
        return sorted(_walk(Directory(), name))
    except ldap.LDAPError as error:
        raise _failed(error) from error


def mail(login: str) -> str | None:
    """The first address that the directory has of somebody, beneath mail.people; None: it has none.

    Raises CommandFailed, or NotFound if invirt.yaml names no directory.
    """
    settings = config.owners.ldap
    each = (ldap.filter.escape_filter_chars(one) for one in (login, f"{login}@{config.site.realm}"))
    wanted = "".join(f"({settings.principal}={one})" for one in each)
    try:
        found = list(Directory().search(config.mail.people, ldap.SCOPE_SUBTREE, f"(|{wanted})"))
    except ldap.LDAPError as error:
        raise _failed(error) from error
    return next((one for _, values in found for one in _texts(values.get(config.mail.attribute, []))), None)


class Directory:
    """A connection that is signed on."""

    def __init__(self) -> None:
        self.settings = config.owners.ldap
        if not self.settings.server:
            raise NotFound("owners.ldap.server in invirt.yaml names nobody")
        self.connection = ldap.initialize(self.settings.server)
        try:
            self._confine()
        except ValueError as error:
            raise CommandFailed(f"{self.settings.ca or 'TLS'} can't be used: {error}") from error
        password = Path(self.settings.password).read_text().strip() if self.settings.password else ""
        self.connection.simple_bind_s(self.settings.bind, password)

    def _confine(self) -> None:
        """TLS is checked and hosts have a deadline; no referral leads to another server."""
        patience = max(1, config.owners.deadline // 2)
        self.connection.set_option(ldap.OPT_REFERRALS, 0)
        self.connection.set_option(ldap.OPT_NETWORK_TIMEOUT, patience)
        self.connection.set_option(ldap.OPT_TIMEOUT, patience)
        if self.settings.server.startswith("ldapi:"):
            return
        self.connection.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_DEMAND)
        if self.settings.ca:
            self.connection.set_option(ldap.OPT_X_TLS_CACERTFILE, self.settings.ca)
        self.connection.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
        if self.settings.server.startswith("ldap:"):
            self.connection.start_tls_s()

    def search(self, base: str, scope: int, wanted: str) -> Iterator[Entry]:
        """All entries, page by page.  Raises CommandFailed for an answer that is a part."""
        attributes = ["objectClass", *BY_DN, BY_LOGIN, self.settings.principal, config.mail.attribute]
        pages = ldap.controls.SimplePagedResultsControl(True, size=PAGE, cookie="")
        while True:
            number = self.connection.search_ext(base, scope, wanted, attributes, serverctrls=[pages])
            _, found, _, controls = self.connection.result3(number)
            for dn, values in found:
                if dn is not None:  # a referral has none
                    yield dn, _whole(dn, values)
            cookies = [one.cookie for one in controls if one.controlType == pages.controlType]
            if not cookies or not cookies[0]:
                return
            pages.cookie = cookies[0]

    def group(self, name: str) -> Entry:
        """The one group of that name, or DN."""
        if "=" in name:
            if not _key(name).endswith(_key(self.settings.base)):
                raise NotFound(f"{name} is not beneath {self.settings.base}")
            found = list(self.search(name, ldap.SCOPE_BASE, "(objectClass=*)"))
        else:
            wanted = f"(cn={ldap.filter.escape_filter_chars(name)})"
            every = self.search(self.settings.base, ldap.SCOPE_SUBTREE, wanted)
            found = [entry for entry in every if _is_group(entry)]
        if len(found) != 1 or not _is_group(found[0]):
            raise NotFound(f"LDAP has {len(found)} groups {name}, and not one")
        return found[0]

    def named(self, dns: Iterable[str]) -> Iterator[Entry]:
        """The entries of those DNs, many by one search.  Who is gone from the directory is left out."""
        by_parent: dict[str, list[Any]] = {}
        for dn in dns:
            first, *parent = ldap.dn.str2dn(dn)
            by_parent.setdefault(ldap.dn.dn2str(parent), []).append(first)
        for parent, firsts in by_parent.items():
            for begin in range(0, len(firsts), TOGETHER):
                any_of = "".join(map(_filter, firsts[begin : begin + TOGETHER]))
                yield from self._below(parent, f"(|{any_of})")

    def _below(self, parent: str, wanted: str) -> Iterator[Entry]:
        try:
            yield from self.search(parent, ldap.SCOPE_ONELEVEL, wanted)
        except ldap.NO_SUCH_OBJECT:  # a folder that is gone, with all that were in it
            return


def _failed(error: ldap.LDAPError) -> CommandFailed:
    said = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return CommandFailed(f"LDAP: {said.get('desc', error)}; {said.get('info', '')}".rstrip("; "))


def _walk(directory: Directory, name: str) -> set[str]:
    """The principals in a group, and in those in it, each of which is looked at once."""
    principals: set[str] = set()
    seen: set[str] = set()
    new: list[Entry] = [directory.group(name)]
    while new:
        dns: dict[str, str] = {}
        for dn, values in new:
            seen.add(_key(dn))
            principals |= {_principal(login) for login in _texts(values.get(BY_LOGIN, []))}
            dns |= {_key(text): text for kind in BY_DN for text in _texts(values.get(kind, []))}
        wanted = {key: text for key, text in dns.items() if key not in seen}
        seen |= wanted.keys()
        entries = [entry for entry in directory.named(wanted.values()) if _key(entry[0]) in wanted]
        new = [entry for entry in entries if _is_group(entry)]
        for dn, values in entries:
            principals |= {_principal(text) for text in _login(directory, dn, values)}
        if len(seen) > 10 * MOST or len(principals) > MOST:
            raise CommandFailed(f"the group {name} is of more than {MOST} members")
    return principals


def _login(directory: Directory, dn: str, values: dict[str, list[bytes]]) -> list[str]:
    """What makes the principal of a member who is no group; who has none has no way to sign on."""
    return [] if _is_group((dn, values)) else _texts(values.get(directory.settings.principal, []))[:1]


def _principal(login: str) -> str:
    return login if "@" in login else f"{login}@{config.site.realm}"


def _is_group(entry: Entry) -> bool:
    classes = {text.lower() for text in _texts(entry[1].get("objectClass", []))}
    return bool(classes & {"groupofnames", "groupofuniquenames", "posixgroup", "group"})


def _texts(values: Iterable[bytes]) -> list[str]:
    try:
        return [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise CommandFailed("LDAP tells a name that is not of UTF-8") from error


def _whole(dn: str, values: dict[str, list[bytes]]) -> dict[str, list[bytes]]:
    """values, unless the server kept back some: Active Directory tells 1,500 members, and a range."""
    for attribute in values:
        if ";" in attribute:
            raise CommandFailed(f"LDAP tells a part of {attribute.partition(';')[0]} of {dn}")
    return values


def _key(dn: str) -> str:
    """A DN as it compares: without case, and spaces where they mean nothing."""
    return str(ldap.dn.dn2str(ldap.dn.str2dn(dn))).lower()


def _filter(first: list[tuple[str, str, int]]) -> str:
    """What finds an entry by the first part of its DN."""
    each = "".join(f"({kind}={ldap.filter.escape_filter_chars(value)})" for kind, value, _ in first)
    return f"(&{each})"
