"""The server at hand: its name, its address, its memory."""

from __future__ import annotations

import dataclasses
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from invirt.base.errors import BadInput, CommandFailed
from invirt.base.files import replace
from invirt.base.process import run
from invirt.setup.answers import Answers
from invirt.setup.steps import Step

HOSTS = Path("/etc/hosts")
MEMINFO = Path("/proc/meminfo")
SYSTEM = 512  # MiB that Debian itself needs
ROLE = 128  # MiB that each role needs beside it
LEAST = 128  # MiB for machines


def completed(answers: Answers) -> Answers:
    """The answers with this server's name and address; raises BadInput where they can't be told."""
    name = answers.name or _full_name()
    address = answers.address or _address(answers.addresses.gateway)
    if name in {server.name for server in answers.servers}:
        raise BadInput(
            f"servers names {name}, which is this one", "Name the others there, and its roles as roles."
        )
    return dataclasses.replace(answers, name=name, address=address)


def _full_name() -> str:
    name = run(["hostname", "--fqdn"], check=False).stdout.strip().lower()
    if "." not in name:
        raise BadInput(
            f"this server's full name is not known: hostname --fqdn says {name!a}",
            "Say it in the answers (name: server1.example.org), and to hostnamectl.",
        )
    return name


def _address(gateway: str) -> str:
    """Ours towards the machines' network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect((gateway, 9))  # sends nothing
        except OSError as error:
            raise BadInput(
                f"no way to {gateway}: {error}", "Say this server's address: address: …"
            ) from error
        found = str(asking.getsockname()[0])
    if found.startswith("127."):
        raise BadInput(f"{found} is no address that others reach", "Say this server's address: address: …")
    return found


def guests_memory(answers: Answers, meminfo: Path = MEMINFO) -> int:
    """MiB for machines: as answered, or what this server has, less what its system and other roles need."""
    if answers.memory:
        return answers.memory
    total = int(re.findall(r"(?m)^MemTotal: +([0-9]+) kB", meminfo.read_text())[0]) // 1024
    others = len(answers.roles) - ("host" in answers.roles)
    return max(LEAST, total - total // 20 - SYSTEM - ROLE * others)


def names(wanted: Mapping[str, str], hosts: Path = HOSTS) -> Step:
    """Servers' names lead to their addresses, here."""
    return Step(
        "names of the site's servers (/etc/hosts)", lambda: _resolve(wanted), lambda: _add(wanted, hosts)
    )


def _resolve(wanted: Mapping[str, str]) -> bool:
    return all(resolved(name) == address for name, address in wanted.items())


def resolved(name: str) -> str:
    """The first address of name here, or nothing."""
    try:
        found = run(["getent", "ahostsv4", name], timeout=15, check=False).stdout
    except CommandFailed:
        return ""
    return found.split()[0] if found else ""


def _add(wanted: Mapping[str, str], hosts: Path) -> None:
    """Lines for those that aren't there; what names them otherwise, as Debian's 127.0.1.1 does, goes."""
    kept = [
        line
        for line in hosts.read_text().splitlines()
        if not set(line.partition("#")[0].split()[1:]) & set(wanted)
    ]
    lines = [f"{address}\t{name} {name.partition('.')[0]}" for name, address in wanted.items()]
    replace(hosts, ("\n".join([*kept, *lines]) + "\n").encode())
