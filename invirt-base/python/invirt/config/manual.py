"""The manual page invirt.yaml(5), made from the schema: what a key means is its comment there."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from invirt.base.cli.manual import roff, see_also
from invirt.config import forms, people, schema
from invirt.config.schema import Config

# Of what has no default, a value: of its kind, and where a better one can be told, of the key.
SAMPLES: Mapping[Any, str] = {
    forms.Hostname: "host1.example.org",
    forms.OptionalHostname: "host1.example.org",
    forms.Realm: "EXAMPLE.ORG",
    forms.Person: "alice@EXAMPLE.ORG",
    forms.Server: "db.example.org",
    forms.OptionalFile: "/srv/boot/vmlinuz",
    forms.OptionalAddress: "192.0.2.1",
    forms.Address: "192.0.2.53",
    forms.Addresses: "192.0.2.0/28",
    forms.Issuer: "https://login.example.org",
    forms.Kind: "unix",
    forms.Directory: "ldaps://ldap.example.org",
    forms.Dn: "ou=groups,dc=example,dc=org",
    forms.MailRule: '"{name}@example.org"',
    forms.OptionalMail: "invirt@example.org",
    "owners.afs.folder": "/afs/example.org",
    "mail.server": "mail.example.org",
    "mail.people": "ou=people,dc=example,dc=org",
    "site.domain": "example.org",
    "remote.hostname": "remote.example.org",
    "web.hostname": "web.example.org",
    "web.certificate.revoked": "/etc/invirt/web/clients.crl",
    "console.hostname": "console.example.org",
    "dns.hostmaster": "hostmaster.example.org",
    "dns.zones": "[2.0.192.in-addr.arpa]",
}
HEAD = """\
.TH INVIRT.YAML 5 "" Invirt
.SH NAME
invirt.yaml \\- the configuration of a site of Invirt
.SH SYNOPSIS
.I /etc/invirt/invirt.yaml
.SH DESCRIPTION
The same file on every server of the site. It is YAML: sections, each with keys.
Only what is said to be needed must be there; all else is as told below when it is left out.
An unknown key, a value of another kind and a key that is given twice are refused, naming
file, line and key.
.PP
What is written counts once
.B invirt\\-config apply
has compiled it, and not before; programs go by what was applied last.
.B invirt\\-check
says whether all servers go by the same.
.SH SECTIONS"""
FILES = """\
.SH FILES
.TP
.I /etc/invirt/invirt.yaml.applied
what was applied last, which counts
.TP
.I /usr/share/doc/invirt\\-base/examples/invirt.yaml
an example with every key"""


@dataclass(frozen=True)
class Key:
    """One key.  name: with its sections'.  kind: what is taken.  default: None if it must be given."""

    name: str
    about: str
    kind: str
    default: str | None
    sample: str


def keys(section: type, prefix: str) -> Iterator[Key]:
    """Those of a section, and of the sections in it, in the order of the schema."""
    types = typing.get_type_hints(section, include_extras=True)
    told = _comments()[section.__name__]
    for field in dataclasses.fields(section):
        name, kind = f"{prefix}.{field.name}", types[field.name]
        if dataclasses.is_dataclass(kind):
            yield from keys(typing.cast(type, kind), name)
            continue
        default = None if field.default is dataclasses.MISSING else _written(field.default)
        known = default if default not in (None, '""', "[]") else _sample(kind)
        yield Key(name, told[field.name], _kind(kind), default, SAMPLES.get(name, known or ""))


def sections() -> Iterator[tuple[str, type]]:
    """All, by name."""
    yield from typing.get_type_hints(Config).items()


def page() -> str:
    """The manual page."""
    parts = [HEAD]
    for name, section in sections():
        parts.append(f".SS {name}\n{roff(inspect.getdoc(section) or '')}")
        parts += [_paragraph(key) for key in keys(section, name)]
    others = (("invirt-config", 8), ("invirt-getconf", 1), ("invirt-check", 8), ("invirt", 7))
    return "\n".join([*parts, FILES, see_also(others)]) + "\n"


def _paragraph(key: Key) -> str:
    default = "It must be given." if key.default is None else f"When left out: {key.default}."
    about = f"{key.about[0].upper()}{key.about[1:]}." if key.about else ""
    said = roff(
        f"{about} It is {key.kind}. {default} For example: {key.name.rpartition('.')[2]}: {key.sample}"
    )
    return f".TP\n.B {roff(key.name)}\n{said}"


@functools.cache
def _comments() -> dict[str, dict[str, str]]:
    """The comment behind each field, by class and name."""
    found: dict[str, dict[str, str]] = {}
    for source in map(inspect.getsource, (schema, people)):
        lines = source.splitlines()
        found |= {
            one.name: {
                field.target.id: lines[(field.end_lineno or 0) - 1].partition("  # ")[2]
                for field in one.body
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            }
            for one in ast.parse(source).body
            if isinstance(one, ast.ClassDef)
        }
    return found


def _kind(kind: Any) -> str:
    """In words, what the loader takes."""
    if typing.get_origin(kind) is Annotated:
        base, rule = typing.get_args(kind)
        return f"a whole number {rule.description}" if base is int else str(rule.description)
    if typing.get_origin(kind) is tuple:
        of = typing.get_args(kind)[0]
        if dataclasses.is_dataclass(of):
            return "a list of " + _sample(of)
        return f"a list, of which each is {_kind(of)}"
    return "true or false" if kind is bool else "a whole number" if kind is int else "text"


def _sample(kind: Any) -> str:
    """A value that is taken."""
    if typing.get_origin(kind) is tuple:
        return f"[{_sample(typing.get_args(kind)[0])}]"
    if not dataclasses.is_dataclass(kind):
        return SAMPLES[kind]
    types = typing.get_type_hints(kind, include_extras=True)
    inside = ", ".join(f"{field.name}: {_sample(types[field.name])}" for field in dataclasses.fields(kind))
    return f"{{{inside}}}"


def _written(value: Any) -> str:
    """As it stands in the file."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'
