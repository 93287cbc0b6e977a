"""Asks whoever sits at the terminal for what can't be guessed, with a guess where there is one."""

from __future__ import annotations

import ipaddress
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from invirt.base.errors import BadConfig, BadInput
from invirt.setup import answers

# What is asked, by its key in the file: the question, and a guess made of what was said before.
_QUESTIONS = (
    ("domain", "Domain of the machines' names (remus.DOMAIN)"),
    ("realm", "Kerberos realm"),
    ("kerberos.make", "Make that realm on this server (true), or join one that is there (false)"),
    ("addresses.gateway", "The machines' router, an IPv4 address"),
    ("addresses.prefix", "Length of its network's mask"),
    ("addresses.first", "The first address for machines"),
    ("addresses.last", "The last address for machines"),
    ("roles", f"What this server is, of {' '.join(answers.ROLES)}"),
    ("user", "Name of the first user, without the realm (may be empty)"),
)


def ask() -> answers.Answers:
    """What was said; a whole that doesn't do is asked for again.  Raises BadInput where nobody sits there."""
    if not sys.stdin.isatty():
        raise BadInput("nobody is there to be asked", "Give the answers as a file: --answers FILE.")
    said: dict[str, str] = {}
    while True:
        for key, question in _QUESTIONS:
            said[key] = _asked(question, said.get(key, _guess(key, said)))
        try:
            return understood(said)
        except BadConfig as error:
            print(f"That doesn't do: {error.message.partition(': ')[2]}\n", file=sys.stderr)


def understood(said: dict[str, str]) -> answers.Answers:
    """What was said, as a file of answers would say it; raises BadConfig."""
    whole: dict[str, Any] = {}
    for key, value in said.items():
        section, _, name = key.rpartition(".")
        place = whole.setdefault(section, {}) if section else whole
        place[name] = value.split() if key == "roles" else _value(value)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(whole, file, sort_keys=False)
        file.flush()
        return answers.read(Path(file.name))


def _value(word: str) -> str | int | bool:
    """A word as YAML would have it."""
    if word in ("true", "false"):
        return word == "true"
    return int(word) if word.isascii() and word.isdigit() else word


def _asked(question: str, guess: str) -> str:
    said = input(f"{question}{f' [{guess}]' if guess else ''}: ").strip()
    return said or guess


def _guess(key: str, said: dict[str, str]) -> str:
    """What is most likely, or nothing."""
    plain = {"kerberos.make": "true", "addresses.prefix": "24", "roles": " ".join(answers.ROLES)}
    if key == "realm":
        return said["domain"].upper()
    if key in ("addresses.first", "addresses.last"):
        return _end(said, last=key == "addresses.last")
    return plain.get(key, "")


def _end(said: dict[str, str], last: bool) -> str:
    """The upper half of the gateway's network."""
    try:
        whole = f"{said['addresses.gateway']}/{said['addresses.prefix']}"
        network = ipaddress.IPv4Network(whole, strict=False)
    except ValueError:
        return ""
    return str(network.broadcast_address - 1 if last else network[network.num_addresses // 2])
