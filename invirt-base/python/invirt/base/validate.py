"""The whitelists for every value that a user can give.

Each function takes the user's text and returns the value, or raises BadInput
saying what is wrong with it and what is accepted.  The database constrains
the same values again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable

from invirt.base import guests, log
from invirt.base.errors import BadInput
from invirt.base.names import MachineName

_MACHINE = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_PRINCIPAL = r"[A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+){0,2}@[A-Z0-9.-]+"
_SOURCE = r"(?!group:)[a-z][a-z0-9-]{0,30}:[A-Za-z0-9][A-Za-z0-9._/@+=,-]{0,199}"
_OWNER = rf"[A-Za-z0-9][A-Za-z0-9._/@+-]{{0,254}}|group:{_MACHINE}|{_SOURCE}"
_KEY_TYPE = (
    r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)"
)
_HOST = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
VOLUME_GROUP = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,126}"
FOLDER = r"(/\.?[A-Za-z0-9_+-][A-Za-z0-9._+-]*)+"
WORD = r"[a-z0-9][a-z0-9.+-]{0,62}"  # a suite, a component or a package of Debian's kin
MIRROR = r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?"
_GREATEST = 2**63 - 1  # PostgreSQL's bigint
_UNITS = "MGT"


def _shown(text: str) -> str:
    """text for an error message: quoted, harmless to a terminal, not endless."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")


def _word(text: str, pattern: str, what: str, accepted: str, longest: int = 255) -> str:
    if len(text) > longest or not re.fullmatch(pattern, text, re.ASCII):
        raise BadInput(f"{_shown(text)} is not {what}", hint=f"Accepted: {accepted}.")
    return text


def passes(text: str, whitelist: Callable[[str], str], program: str = "") -> bool:
    """Whether text is accepted by one of the functions below.

    program: what leaves out what isn't; that is logged, since the database should never have held it.
    """
    try:
        whitelist(text)
    except BadInput as error:
        if program:
            log.write(f"left out: {error.message}", log.ERROR, program=program)
        return False
    return True


def machine_name(text: str) -> MachineName:
    """The name of a machine, which is also its name in DNS (RFC 1123, lower case)."""
    accepted = "a-z, 0-9 and - (not first or last), at most 63 letters"
    return MachineName(_word(text, _MACHINE, "a machine's name", accepted))


def token_name(text: str) -> str:
    """What a user calls a token of theirs."""
    return _word(text, _MACHINE, "a token's name", "a-z, 0-9 and - (not first or last), at most 63 letters")


def is_place(driver: str, text: str) -> bool:
    """Whether a pool of disks of that driver can be there: GROUP (lvm), GROUP/POOL (thin), or a folder."""
    pattern = {"lvm": VOLUME_GROUP, "thin": f"{VOLUME_GROUP}/{VOLUME_GROUP}"}.get(driver, FOLDER)
    return len(text) <= 255 and re.fullmatch(pattern, text, re.ASCII) is not None


def principal(text: str) -> str:
    """A Kerberos principal in MIT form with its realm, as it may stand in an ACL file."""
    user, at, realm = text.rpartition("@")
    capitals = f"{user}@{realm.upper()}"
    if at and text != capitals and re.fullmatch(_PRINCIPAL, capitals, re.ASCII):
        raise BadInput(f"{_shown(text)} is not a principal", hint=f"Realms are in capitals: {capitals}.")
    return _word(text, _PRINCIPAL, "a principal", "USER@REALM or USER/INSTANCE@REALM, at most 255 letters")


def person(text: str) -> str:
    """A principal that isn't a computer's: no host/…, nor a service with a host's full name behind it."""
    accepted = principal(text).rpartition("@")[0]
    if accepted.lower().startswith("host/") or "." in accepted.partition("/")[2]:
        raise BadInput(
            f"{_shown(text)} is a computer's principal",
            hint="Machines belong to people, and people are let in: alice@REALM or alice/admin@REALM.",
        )
    return text


def mail_address(text: str) -> str:
    """A mail address of plain letters; raises BadInput."""
    pattern = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{0,253}"
    return _word(text, pattern, "mail address", "alice@example.org", 320)


def owner_name(text: str) -> str:
    """The name of an owner: whom quotas are given to."""
    accepted = (
        "A-Z, a-z, 0-9 and . _ - + / @, at most 255 letters, or KIND:NAME, as unix:staff or group:robotics"
    )
    return _word(text, _OWNER, "an owner's name", accepted)


def source(text: str) -> tuple[str, str]:
    """KIND:NAME, where an owner's members are found: the plug-in, and what it knows."""
    accepted = "KIND:NAME, as unix:staff; a name is A-Z, a-z, 0-9 and . _ - + / @ = , at most 200 letters"
    kind, _, name = _word(text, _SOURCE, "a source of members", accepted).partition(":")
    return kind, name


def group_name(text: str) -> str:
    """What users call a group of their own, whose machines are those of the owner group:NAME."""
    return _word(text, _MACHINE, "a group's name", "a-z, 0-9 and - (not first or last), at most 63 letters")


def host_name(text: str) -> str:
    """The full name of a server, or its IPv4 address."""
    return _word(text, _HOST, "a host's name", "a-z, 0-9, - and . (not first or last), at most 253 letters")


def public_key(text: str) -> str:
    """An ssh key as in authorized_keys, without options or a comment."""
    pattern = _KEY_TYPE + r" AAAA[A-Za-z0-9+/]+={0,3}"
    return _word(text, pattern, "a public key", "its type and its base64: ssh-ed25519 AAAA…", 2000)


def key_line(text: str) -> str:
    """The line of a .pub file: a whole key of OpenSSH's, returned as public_key() has it."""
    line = text.strip()
    key = public_key(" ".join(line.split()[:2]) if line.isprintable() else line)
    kind, encoded = key.split()
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        blob = b""
    if _fields(blob)[:1] != [kind.encode()]:
        raise BadInput(f"{_shown(text)} is not a whole key", hint="Copy the one line of the .pub file again.")
    return f"{kind} {base64.b64encode(blob).decode()}"


def fingerprint(key: str) -> str:
    """A public key's, as `ssh-keygen -l` shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _fields(blob: bytes) -> list[bytes]:
    """What a key consists of, each behind its length (RFC 4251, string); nothing if it isn't whole."""
    fields, at = [], 0
    while at < len(blob):
        end = at + 4 + int.from_bytes(blob[at : at + 4], "big")
        fields.append(blob[at + 4 : end])
        at = end
    return fields if at == len(blob) and len(fields) > 1 else []


def disk_name(text: str) -> str:
    """The name of a machine's disk: hda to hdz."""
    return _word(text, r"hd[a-z]", "a disk's name", "hda to hdz")


def architecture(text: str) -> str:
    """What a system is made for, as Debian calls it; hosts of this version boot one alone."""
    return _word(text, guests.ARCHITECTURE, "an architecture that hosts boot", guests.ARCHITECTURE)


def suite(text: str) -> str:
    """A distribution's release, as its mirrors call it."""
    return _word(text, WORD, "a suite", "a-z, 0-9 and . + - (not first), at most 63 letters")


def mirror(text: str) -> str:
    """Where a distribution's packages are: what stands in a line of sources.list."""
    return _word(text, MIRROR, "a mirror's URL", "http or https, as in http://mirror.example.org/debian")


def description(text: str) -> str:
    """One line of printable text, at most 255 letters; may be empty."""
    if len(text) > 255 or not text.isprintable():
        raise BadInput(
            f"{_shown(text)} can't be a description",
            hint="Accepted: one line of printable text, at most 255 letters.",
        )
    return text


def _number(text: str, least: int, greatest: int, what: str, unit: str = "", more: str = "") -> int:
    accepted = f"Accepted: a whole number{unit} from {least} to {greatest}{more}."
    if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII):
        raise BadInput(f"{_shown(text)} is not {what}", hint=accepted)
    return _bounded(int(text), text.lstrip("0") or "0", least, greatest, what, accepted)


def _bounded(value: int, shown: str, least: int, greatest: int, what: str, accepted: str) -> int:
    if least <= value <= greatest:
        return value
    raise BadInput(f"{shown} is too {'small' if value < least else 'large'} for {what}", hint=accepted)


def mebibytes(text: str, least: int, greatest: int) -> int:
    """An amount of memory in MiB, from least to greatest: 512 is MiB, 2G or 2GiB is 2048."""
    return _size(text, "MiB", least, greatest, "an amount of memory")


def gibibytes(text: str, least: int, greatest: int) -> int:
    """The size of a disk in GiB, from least to greatest: 10 is GiB, 1T or 1TiB is 1024."""
    return _size(text, "GiB", least, greatest, "a disk's size")


def _size(text: str, unit: str, least: int, greatest: int, what: str) -> int:
    """A size in units, each 1024 of the one before; raises BadInput for what isn't a whole number of them."""
    found = re.fullmatch(r"([0-9]{1,19})([MGT])(iB)?", text, re.ASCII)
    more = ", or with a unit: 512M, 2G, 1TiB"
    if not found:
        return _number(text, least, greatest, what, f" of {unit}", more)
    size, left = divmod(int(found[1]) << 10 * _UNITS.index(found[2]), 1 << 10 * _UNITS.index(unit[0]))
    accepted = f"Accepted: a whole number of {unit} from {least} to {greatest}{more}."
    if left:
        raise BadInput(f"{text} is no whole number of {unit}", hint=accepted)
    return _bounded(size, text, least, greatest, what, accepted)


def count(text: str, least: int, greatest: int) -> int:
    """How many of something, from least to greatest."""
    return _number(text, least, greatest, "a number of that")


def address(text: str) -> str:
    """An address of IPv4 or IPv6, without a zone, as it is written by default; raises BadInput."""
    import ipaddress  # not for all who are started by users

    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError as error:
        raise BadInput(
            f"{_shown(text)} is no address", hint="Accepted: 192.0.2.7, or 2001:db8::7."
        ) from error


def token(text: str) -> int:
    """An operation's number or token: a positive bigint."""
    return _number(text, 1, _GREATEST, "a number of an operation")
