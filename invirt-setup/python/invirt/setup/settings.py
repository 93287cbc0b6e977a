"""What the site is told: invirt.yaml, and what the database can't guess."""

from __future__ import annotations

import difflib
import json
import secrets
import tempfile
from pathlib import Path
from typing import Any

from invirt import config
from invirt.base.files import replace
from invirt.base.process import run
from invirt.config import loader
from invirt.config.schema import Config
from invirt.setup import here, rendered
from invirt.setup.answers import Answers
from invirt.setup.certificates import STATE
from invirt.setup.realm import Realm
from invirt.setup.steps import Step

YAML = Path("/etc/invirt/invirt.yaml")
PASSWORD = STATE / "password"  # the first user's first one, root's alone
TYPE = "linux"
POOL = "default"


def invirt_yaml(text: str, file: Path = YAML) -> list[Step]:
    """It is there, and applied; one that is there stays as it is."""
    return [
        Step(f"{file}", file.exists, lambda: _write(text, file)),
        Step(f"{file} is applied", _applied, lambda: run(["invirt-config", "apply"], timeout=600)),
    ]


def _write(text: str, file: Path) -> None:
    """Write it, if invirt.config takes it."""
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder, file.name)
        new.write_text(text)
        loader.read(new, Config)
    replace(file, text.encode())


def _applied() -> bool:
    return config.applied().exists() and not config.unapplied()


def difference(text: str, file: Path = YAML) -> list[str]:
    """Lines that tell how file differs from what the answers would make now."""
    had = file.read_text() if file.exists() else text
    lines = difflib.unified_diff(
        had.splitlines(), text.splitlines(), str(file), "from the answers", lineterm=""
    )
    return list(lines)


def database(answers: Answers) -> list[Step]:
    """Addresses, the first type, its pool, this host, and the names that no machine has."""
    addresses = answers.addresses
    kernel, initrd = rendered.boot(answers)
    ramdisk = ["--initrd", initrd] if initrd else []
    steps = [
        _added(
            "range",
            f"addresses {addresses.first} to {addresses.last}",
            {"first": addresses.first},
            [
                addresses.first,
                addresses.last,
                "--prefix",
                str(addresses.prefix),
                "--gateway",
                addresses.gateway,
            ],
        ),
        _added(
            "type",
            f"type {TYPE}, which boots {kernel}",
            {"name": TYPE},
            [TYPE, "--kernel", kernel, *ramdisk, "--append", answers.boot.append],
        ),
    ]
    if "host" in answers.roles:
        steps += _host(answers)
    return [*steps, *_records(answers)]


def _host(answers: Answers) -> list[Step]:
    name = answers.name.partition(".")[0]
    memory = here.guests_memory(answers)
    steps = [
        _added(
            "host",
            f"host {name}, {memory} MiB for machines",
            {"name": name},
            [name, "--hostname", answers.name, "--memory", str(memory)],
        )
    ]
    if not answers.shared:
        steps.append(
            Step(
                f"pool {POOL} is {name}'s own",
                lambda: any(row["name"] == POOL and name in row["hosts"].split() for row in _listed("pool")),
                lambda: _admin("pool", "hosts", POOL, "--add", name),
            )
        )
    return steps


def _records(answers: Answers) -> list[Step]:
    """Servers' names within the machines' domain, and where invirt, the users' command, finds the site."""
    if not answers.named("dns"):
        return []
    addresses = {answers.name: answers.address, **{one.name: one.address for one in answers.servers}}
    wanted = [
        (name, "A", address) for name, address in addresses.items() if name.endswith(f".{answers.domain}")
    ]
    known = {
        "remote": answers.named("remote"),
        "console": answers.named("console"),
        "web": answers.named("web"),
    }
    words = [f"{role}={names[0]}" for role, names in known.items() if names]
    wanted.append((f"_invirt.{answers.domain}", "TXT", f'"{" ".join([*words, f"realm={answers.realm}"])}"'))
    return [
        _added("record", f"record {name} {kind}", {"name": name, "type": kind}, [name, kind, value])
        for name, kind, value in wanted
    ]


def _added(kind: str, shown: str, known: dict[str, str], words: list[str]) -> Step:
    """A row of the database's, looked for by what is known of it."""

    def done() -> bool:
        return any(all(row.get(key) == value for key, value in known.items()) for row in _listed(kind))

    return Step(shown, done, lambda: _admin(kind, "add", *words))


def _listed(kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_admin(kind, "list", "--json"))
    return found


def _admin(*words: str) -> str:
    return run(["invirt-admin", *words]).stdout


def user(answers: Answers, realm: Realm) -> Step:
    """The first user, with a password that only root can read."""

    def do() -> None:
        if not PASSWORD.exists():
            replace(PASSWORD, f"{secrets.token_urlsafe(9)}\n".encode(), 0o600)
        realm.add_user(answers.user, PASSWORD.read_text().strip())

    return Step(f"user {answers.user}@{answers.realm}", lambda: realm.has(answers.user), do)
