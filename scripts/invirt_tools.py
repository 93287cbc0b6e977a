"""What the tests need on this machine: Debian's packages, and what Debian lacks, in folders of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invirt.base.errors import CommandFailed
from invirt.base.process import run
from invirt_kinds import KINDS
from invirt_lab import host

# What Debian lacks; mypy reads models as SQLAlchemy 2 has them, and click, with their own types.
LINTERS = (
    "mypy==2.4.1",
    "ruff==0.17.6",
    "types-PyYAML",
    "types-psycopg2",
    "SQLAlchemy==2.0.40",
    "click==8.1.3",
    "alembic==1.13.2",
)
TOOLS = host.TREE / ".cache/tools"
# What drives the browser, and looks for what keeps people out of a page.
DRIVERS = ("playwright==1.65.2", "axe-core-python==0.1.0")
PLAYWRIGHT = host.TREE / ".cache/playwright"
# What tries an API by its description: a program of its own.
DESCRIBED = ("schemathesis==4.32.5",)
SCHEMATHESIS = host.TREE / ".cache/schemathesis"
POLICY = Path("/usr/sbin/policy-rc.d")


def say(text: str) -> None:
    """A line about what happens now."""
    print(f"== {text}", flush=True)


@contextmanager
def no_new_servers() -> Iterator[None]:
    """While packages are installed here, none of the servers in them is started."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def install(kinds: list[str]) -> None:
    """Debian's packages, and the linters, which Debian lacks, in a folder of their own."""
    wanted = sorted(
        {package for kind in kinds for package in KINDS[kind].needs if not host.installed(package)}
    )
    if wanted:
        say(f"installing {' '.join(wanted)}")
        host.require_root()
        with no_new_servers():
            host.install(wanted)
    if "unit" in kinds:
        install_linters()
    if {"web", "lab", "rest"} & set(kinds):
        install_drivers()
    if "rest" in kinds:
        install_schemathesis()


def bring(what: str, folder: Path, wanted: tuple[str, ...], *commands: list[str]) -> None:
    """What Debian lacks, into folder, where a package index can be reached; else its tests are skipped.

    commands: run one after the other, the last with what is wanted.
    """
    mark = folder / "installed"
    if mark.exists() and mark.read_text() == str(wanted):
        return
    say(f"installing the {what}")
    try:
        for command in (*commands[:-1], [*commands[-1], *wanted]):
            run(command, timeout=300)
    except CommandFailed as error:
        say(f"going on without the {what}: {error}")
    else:
        mark.write_text(str(wanted))


def install_linters() -> None:
    """mypy and ruff."""
    made = ["/usr/bin/python3", "-m", "venv", "--clear", str(TOOLS)]
    bring("linters", TOOLS, LINTERS, made, [str(TOOLS / "bin/pip"), "install", "--quiet"])


def install_drivers() -> None:
    """Playwright and axe-core."""
    pip = ["/usr/bin/python3", "-m", "pip", "install", "--quiet", "--break-system-packages"]
    into = ["--target", str(PLAYWRIGHT), "--upgrade", "--root-user-action", "ignore"]
    bring("browser's drivers", PLAYWRIGHT, DRIVERS, [*pip, *into])


def install_schemathesis() -> None:
    """In a folder of its own: it wants other libraries than Debian's."""
    made = ["/usr/bin/python3", "-m", "venv", "--clear", str(SCHEMATHESIS)]
    pip = [str(SCHEMATHESIS / "bin/pip"), "install", "--quiet"]
    bring("API's tester", SCHEMATHESIS, DESCRIBED, made, pip)
