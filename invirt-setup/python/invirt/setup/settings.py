"""What the site is told: invirt.yaml, and what the database can't guess."""

from __future__ import annotations

import difflib
import json
import secrets
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from invirt import config
from invirt.base import knocking
from invirt.base.errors import BadInput
from invirt.base.files import replace
from invirt.base.process import run
from invirt.config import loader
from invirt.config.schema import Config
from invirt.setup import here
from invirt.setup.answers import Answers, Boot
from invirt.setup.certificates import PAGE, STATE
from invirt.setup.realm import Realm
from invirt.setup.steps import Step

YAML = Path("/etc/invirt/invirt.yaml")
PASSWORD = STATE / "password"  # the first user's first one, root's alone
TYPE = "linux"
POOL = "default"
HTTPS = 443
# Which "invirt-config apply" starts, and doesn't wait for, where packages came before invirt.yaml.
SETUP = "invirt-database-setup.service"
HYPERVISOR = "qemu"  # which the host's packages bring; another: invirt-admin host set


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


def page(name: str, found: Sequence[str]) -> list[Step]:
    """The web server's, by Apache, which has read its site, and the certificate that is there now."""

    def answers() -> bool:
        try:
            return ssl.get_server_certificate((name, HTTPS), timeout=knocking.DEADLINE) in PAGE.read_text()
        except OSError:
            return False

    restart = ["systemctl", "restart", "apache2.service"]
    return [Step("pages", answers, lambda: run(restart, timeout=120))] if "web" in found else []


def database(answers: Answers) -> list[Step]:
    """Addresses, the first type, its pool, this host, and the names that no machine has."""
    addresses = answers.addresses
    steps = [
        Step(
            "the database has its tables", _is_set_up, lambda: run(["systemctl", "start", SETUP], timeout=600)
        ),
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
        _added("type", f"type {TYPE}", {"name": TYPE}, [TYPE, *_boot(answers.boot)]),
    ]
    if "host" in answers.roles:
        steps += host(answers, answers.name, here.guests_memory(answers))
    return [*steps, *_records(answers)]


def _is_set_up() -> bool:
    return run(["systemctl", "is-active", SETUP], check=False).returncode == 0


def _boot(boot: Boot) -> list[str]:
    """What a type boots; nothing where that goes without saying."""
    if not boot.kernel:
        return []
    ramdisk = ["--initrd", boot.initrd] if boot.initrd else []
    return ["--kernel", boot.kernel, *ramdisk, "--append", boot.append]


def host(answers: Answers, hostname: str, memory: int | None) -> list[Step]:
    """A host is known, and a pool of its own if not all see the same disks.

    memory: MiB for machines; None: it must be known already, or BadInput is raised when that is looked at.
    """
    name = hostname.partition(".")[0]

    def add() -> None:
        if memory is None:
            raise BadInput(f"how much memory of {hostname} is for machines?", "Say --memory 64G.")
        words = [name, "--hostname", hostname, "--memory", str(memory), "--hypervisor", HYPERVISOR]
        _admin("host", "add", *words)

    told = "" if memory is None else f", {memory} MiB for machines"
    steps = [Step(f"host {name}{told}", lambda: _has("host", name=name), add)]
    alone = answers.shared or hostname == answers.named("host")[0]
    return steps if alone else [*steps, *_own_pool(answers, name)]


def _own_pool(answers: Answers, name: str) -> list[Step]:
    """The first pool is the first host's; that of another is called as that is."""

    def left() -> bool:
        return any(
            row["name"] == POOL and not {name, "all"} & set(row["hosts"].split()) for row in _listed("pool")
        )

    driver = "file" if answers.disks.startswith("/") else "lvm"
    words = [name, "--driver", driver, "--place", answers.disks, "--host", name]
    return [
        Step(f"pool {POOL} is not {name}'s", left, lambda: _admin("pool", "hosts", POOL, "--remove", name)),
        _added("pool", f"pool {name}", {"name": name}, words),
    ]


def _records(answers: Answers) -> list[Step]:
    """Servers' names within the machines' domain, and where invirt, the users' command, finds the site."""
    if not answers.named("dns"):
        return []
    addresses = answers.addresses_of_servers
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

    return Step(shown, lambda: _has(kind, **known), lambda: _admin(kind, "add", *words))


def _has(kind: str, **known: str) -> bool:
    return any(all(row.get(key) == value for key, value in known.items()) for row in _listed(kind))


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
