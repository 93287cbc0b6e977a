"""scripts/test: runs the tests on this machine, after installing what they need.

The unit and golden tests also run in a Debian 13, on its libraries.  The last
line alone says how it went: N passed, N failed (and N skipped, if any were).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from invirt.base.errors import CommandFailed, InvirtError
from invirt.base.process import run
from invirt_lab import host, images

KINDS = {
    "unit": "everything that needs no other program; the linters",
    "golden": "what is rendered, against files",
    "parts": "one real part at a time: PostgreSQL, Kerberos, remctld, FUSE, QEMU",
    "lab": "a whole cluster of real servers",
    "xen": "a real Xen host",
    "bench": "how fast it is",
    "nightly": "hostile input and simulated histories, many thousands of each; only when it is named",
}
LIBRARIES = (
    *("python3-pytest", "python3-hypothesis", "python3-yaml", "python3-mako", "python3-fusepy"),
    *("python3-psycopg2", "python3-sqlalchemy", "python3-alembic", "python3-pyremctl", "python3-shtab"),
)
SERVERS = (
    *("postgresql", "krb5-kdc", "krb5-admin-server", "krb5-user", "remctl-server", "remctl-client"),
    *("qemu-system-x86", "qemu-utils", "busybox-static", "sudo", "util-linux", "openssl"),
    *("openssh-server", "conserver-server", "conserver-client", "libnss-systemd", "python3-pexpect"),
    *("nftables", "iproute2", "python3-scapy"),
    *("pdns-server", "pdns-backend-pgsql", "bind9-dnsutils", "kea-dhcp4-server", "isc-dhcp-client"),
)
NEEDS = {
    "unit": (*LIBRARIES, "python3-venv", "shellcheck", "mmdebstrap"),
    "golden": (*LIBRARIES, "mmdebstrap"),
    "parts": (*LIBRARIES, *SERVERS, "mmdebstrap"),
    "lab": (*LIBRARIES, "lintian"),
    "xen": LIBRARIES,
    "bench": (*LIBRARIES, *SERVERS, "dnsperf", "kea-admin"),
    "nightly": (*LIBRARIES, *SERVERS),
}
NIGHTLY = ("tests/unit/hostile", "tests/parts/hostile", "tests/parts/operations/test_simulation.py")
MANY = {"INVIRT_TEST_EXAMPLES": "5000", "INVIRT_TEST_SEEDS": "5000"}  # by night, unless the caller says other
# What Debian lacks; mypy reads the models as SQLAlchemy 2 has them, with its own types.
LINTERS = (
    "mypy==2.4.1",
    "ruff==0.17.6",
    "types-PyYAML",
    "types-psycopg2",
    "SQLAlchemy==2.0.40",
    "alembic==1.13.2",
)
TOOLS = host.TREE / ".cache/tools"
POLICY = Path("/usr/sbin/policy-rc.d")
TIMEOUT = 3600  # seconds for one kind
NIGHT = 8 * 3600  # seconds for the nightly one


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
    wanted = sorted({package for kind in kinds for package in NEEDS[kind] if not host.installed(package)})
    if wanted:
        say(f"installing {' '.join(wanted)}")
        host.require_root()
        with no_new_servers():
            host.install(wanted)
    if "unit" in kinds:
        install_linters()


def install_linters() -> None:
    """mypy and ruff, where a package index can be reached; else their tests are skipped, and counted so."""
    mark = TOOLS / "installed"
    if mark.exists() and mark.read_text() == str(LINTERS):
        return
    say("installing the linters")
    try:
        run(["/usr/bin/python3", "-m", "venv", "--clear", str(TOOLS)], timeout=120)
        run([str(TOOLS / "bin/pip"), "install", "--quiet", *LINTERS], timeout=300)
    except CommandFailed as error:
        say(f"going on without the linters: {error}")
    else:
        mark.write_text(str(LINTERS))


def child(argv: list[str], counts: Path, *, nightly: bool = False) -> bool:
    """Run one pytest, its output shown as it comes; False if it failed."""
    env = {
        **(MANY if nightly else {}),
        **os.environ,
        "INVIRT_TEST_COUNTS": str(counts),
        "INVIRT_TEST_TOOLS": str(TOOLS / "bin"),
        "PYTHONPATH": "",
    }
    timeout = NIGHT if nightly else TIMEOUT
    return subprocess.run(argv, cwd=host.TREE, env=env, check=False, timeout=timeout).returncode == 0


def pytest(kind: str) -> list[str]:
    """The command line for one kind; the slow kinds name each test as it runs."""
    shown = ["-v", "--durations=5"] if kind in ("lab", "xen", "bench", "nightly") else []
    return ["/usr/bin/python3", "-m", "pytest", *shown, *where(kind)]


def where(kind: str) -> tuple[str, ...]:
    """The files and folders that hold the tests of that kind."""
    return NIGHTLY if kind == "nightly" else (f"tests/{kind}",)


def on_debian_13(kinds: list[str], counts: Path) -> bool:
    """Unit and golden tests on the next Debian's libraries; the linters have run here already."""
    host.require_root()
    root = images.base("trixie", ("python3", *LIBRARIES))
    tests = [f"tests/{kind}" for kind in kinds if has_tests(kind)]
    # The checkout read-only, and a /tmp of its own, in a namespace that goes with the run.
    script = (
        'mount -t tmpfs tmpfs "$1/tmp"; mkdir "$1/tmp/tree"; mount --bind "$2" "$1/tmp/tree";'
        ' mount -t proc proc "$1/proc"; mount --bind "$3" "$1/mnt"; root=$1; shift 3;'
        ' exec chroot "$root" "$@"'
    )
    inside = (
        "cd /tmp/tree && INVIRT_TEST_COUNTS=/mnt/counts exec /usr/bin/python3 -m pytest"
        f" --ignore=tests/unit/test_lint.py {' '.join(tests)}"
    )
    with tempfile.TemporaryDirectory() as shared:
        argv = [*host.ALONE, "sh", "-ec", script, "sh", str(root), str(host.TREE), shared, "sh", "-c", inside]
        passed = child(argv, counts)
        with counts.open("a") as all_counts:
            all_counts.write(Path(shared, "counts").read_text() if Path(shared, "counts").exists() else "")
    return passed


def has_tests(kind: str) -> bool:
    """Whether there is a test of that kind."""
    return kind == "nightly" or any((host.TREE / "tests" / kind).rglob("test_*.py"))


def run_kinds(kinds: list[str], counts: Path) -> list[str]:
    """Run them one after the other; returns those that failed."""
    failed = []
    for kind in filter(has_tests, kinds):
        started = time.monotonic()
        say(f"{kind} tests: {KINDS[kind]}")
        if not child(pytest(kind), counts, nightly=kind == "nightly"):
            failed.append(kind)
        say(f"{kind}: {time.monotonic() - started:.0f} s")
    libraries = [kind for kind in kinds if kind in ("unit", "golden") and has_tests(kind)]
    if libraries:
        say(f"{' and '.join(libraries)} tests on Debian 13")
        if not on_debian_13(libraries, counts):
            failed.append("Debian 13")
    return failed


def closing_line(counts: Path, failed: list[str]) -> str:
    """The sums; a run that broke off without counting its failure counts as one."""
    lines = [map(int, line.split()) for line in counts.read_text().splitlines()]
    passed, bad, skipped = map(sum, zip(*lines, strict=True)) if lines else (0, 0, 0)
    bad = max(bad, len(failed))
    return f"{passed} passed, {bad} failed" + (f", {skipped} skipped" if skipped else "")


def main() -> int:
    """Run the kinds named on the command line, or all but the nightly one."""
    parser = argparse.ArgumentParser(prog="scripts/test", description="Run the tests.")
    shown = "; ".join(f"{kind}: {what}" for kind, what in KINDS.items())
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"default: all but nightly. {shown}")
    kinds = parser.parse_args().kinds or [kind for kind in KINDS if kind != "nightly"]
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        parser.error(f"unknown kind: {' '.join(unknown)}")
    with tempfile.NamedTemporaryFile() as counts:
        try:
            install(kinds)
            failed = run_kinds(kinds, Path(counts.name))
        except InvirtError as error:
            print(f"scripts/test: {error}", file=sys.stderr)
            failed = ["set-up"]
        if failed:
            say(f"failed: {', '.join(failed)}")
        print(closing_line(Path(counts.name), failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
