"""scripts/test: runs the tests on this machine, after installing what they need.

Unit and golden tests also run on the libraries of Debian 13, the greater part
of the lab's also on a lab of Debian 13.  The last line alone says how it went: N
passed, N failed (and N skipped, if any were).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from invirt.base import cli
from invirt.base.errors import CommandFailed, InvirtError
from invirt.base.process import run
from invirt_lab import host, images

LIBRARIES = (
    *("python3-pytest", "python3-hypothesis", "python3-yaml", "python3-mako", "python3-fusepy"),
    *("python3-psycopg2", "python3-sqlalchemy", "python3-alembic", "python3-pyremctl", "python3-click"),
    *("python3-pytest-xdist", "python3-pytest-timeout", "python3-prometheus-client"),
    *("python3-flask", "gunicorn", "python3-aiohttp", "python3-systemd"),
)
SERVERS = (
    *("postgresql", "krb5-kdc", "krb5-admin-server", "krb5-user", "remctl-server", "remctl-client"),
    *(
        "qemu-system-x86",
        "qemu-utils",
        "busybox-static",
        "lz4",
        "zstd",
        "sudo",
        "util-linux",
        "openssl",
        "gpg",
    ),
    *("openssh-server", "conserver-server", "conserver-client", "libnss-systemd", "python3-pexpect"),
    *("nftables", "iproute2", "python3-scapy", "python3-greenlet", "lvm2", "zsh", "fish"),
    *("pdns-server", "pdns-backend-pgsql", "bind9", "bind9-dnsutils", "kea-dhcp4-server", "isc-dhcp-client"),
    *("apache2", "libapache2-mod-auth-gssapi", "libapache2-mod-auth-openidc", "curl"),
    *("python3-cryptography", "python3-jwt", "slapd", "ldap-utils", "python3-ldap", "python3-aiosmtpd"),
)
LAB = (*LIBRARIES, "lintian")
XEN = (*LIBRARIES, "mmdebstrap", "qemu-system-x86", "qemu-utils", "openssh-client", "python3-pexpect")
BENCH = ("dnsperf", "kea-admin")
BROWSER = ("chromium", "fonts-dejavu-core", "libatomic1", "python3-pip", "esbuild", "node-xterm", "novnc")


@dataclass(frozen=True)
class Kind:
    """One kind of tests.

    where: their files and folders, without tests/.  needs: Debian's packages, on
    this machine.  slow: each test is named as it runs.  workers: processes that
    share them, a file each, where no time is measured.  environment: the tests',
    unless the caller says other.  nightly: run only when it is named, or `nightly` is.
    marks: which of them, by the mark `nightly` in their files; empty: all.
    timeout: seconds for all of them.
    """

    what: str
    where: tuple[str, ...]
    needs: tuple[str, ...]
    slow: bool = False
    workers: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    nightly: bool = False
    marks: str = "not nightly"
    timeout: float = 2400

    @property
    def paths(self) -> tuple[str, ...]:
        """From the checkout's root."""
        return tuple(f"tests/{where}" for where in self.where)

    @property
    def workers_options(self) -> tuple[str, ...]:
        """What tells pytest of them."""
        return ("-n", str(self.workers), "--dist", "loadfile") if self.workers else ()


KINDS = {
    "unit": Kind(
        "everything that needs no other program; the linters",
        ("unit",),
        (*LIBRARIES, "python3-venv", "shellcheck", "mmdebstrap"),
        workers=2,
    ),
    "golden": Kind("what is rendered, against files", ("golden",), (*LIBRARIES, "mmdebstrap")),
    "parts": Kind(
        "one real part at a time: PostgreSQL, Kerberos, remctld, FUSE, QEMU",
        ("parts/host", "parts/dhcp", "parts/remote", "parts/operations", "parts"),  # the long ones first
        (*LIBRARIES, *SERVERS, "mmdebstrap"),
        workers=4,
    ),
    "web": Kind(
        "the web server: real Apache, pages and streams; in a real browser, too",
        ("web",),
        (*LIBRARIES, *SERVERS, *BROWSER),
        workers=4,
    ),
    "lab": Kind("a whole cluster of real servers", ("lab",), (*LAB, *BROWSER), slow=True),
    "lab13": Kind(
        "a cluster of Debian 13: the main job",
        ("lab/test_demo.py",),
        LAB,
        slow=True,
        environment={"INVIRT_LAB_DEBIAN": "13"},
    ),
    "site": Kind("one server with all roles, by one run of apt", ("site",), LAB, slow=True),
    "bench": Kind("how fast it is", ("bench",), (*LIBRARIES, *SERVERS, *BENCH), slow=True),
    "hostile": Kind(
        "hostile input and simulated histories, many thousands of each",
        ("unit/hostile", "parts/hostile", "parts/operations/test_simulation.py"),
        (*LIBRARIES, *SERVERS),
        slow=True,
        environment={"INVIRT_TEST_EXAMPLES": "5000", "INVIRT_TEST_SEEDS": "5000", "PYTEST_TIMEOUT": "0"},
        nightly=True,
        timeout=8 * 3600,
    ),
    "rest": Kind(
        "what takes long in parts, web, lab, site and bench",
        ("parts", "web", "lab", "site", "bench"),
        (
            *LIBRARIES,
            *SERVERS,
            *BROWSER,
            *LAB,
            *BENCH,
            "mmdebstrap",
            "prometheus",
            *("openafs-dbserver", "openafs-krb5"),
            "ganeti-htools",
            "python3-venv",
        ),
        slow=True,
        nightly=True,
        marks="nightly",
        timeout=4 * 3600,
    ),
    "site13": Kind(
        "servers of Debian 13: one with all roles, several by tokens, a realm that is there, a copy",
        ("site",),
        LAB,
        slow=True,
        environment={"INVIRT_LAB_DEBIAN": "13"},
        nightly=True,
        marks="",
        timeout=2 * 3600,
    ),
    "names13": Kind(
        "a cluster of Debian 13: consoles, names, all of the main job",
        ("lab/test_main_job.py", "lab/test_console.py", "lab/test_names.py"),
        LAB,
        slow=True,
        environment={"INVIRT_LAB_DEBIAN": "13"},
        nightly=True,
    ),
    "xen": Kind(
        "a host with Xen and LVM, emulated",
        ("xen",),
        XEN,
        slow=True,
        nightly=True,
        marks="",
    ),
    "packages": Kind(
        "the packages' own tests, those of autopkgtest, on fresh servers",
        ("packages",),
        LAB,
        slow=True,
        nightly=True,
    ),
    "upgrade": Kind(
        "a cluster of the version before is upgraded, with a guest and a console",
        ("upgrade",),
        LAB,
        slow=True,
        nightly=True,
    ),
}
NIGHTLY = "nightly"  # all those that are
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
CLEAN = ("unshare", "--mount", "--", "/usr/bin/python3", str(Path(__file__).with_name("invirt_leftovers.py")))


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


def child(argv: list[str], kind: Kind, counts: Path) -> bool:
    """Run one pytest, its output shown as it comes; False if it failed, or isn't done in time."""
    env = {
        **kind.environment,
        **os.environ,
        "INVIRT_TEST_COUNTS": str(counts),
        "INVIRT_TEST_TOOLS": str(TOOLS / "bin"),
        "PYTHONPATH": "",
    }
    with subprocess.Popen(argv, cwd=host.TREE, env=env, process_group=0) as process:
        try:
            return process.wait(kind.timeout) == 0
        except subprocess.TimeoutExpired:
            say(f"not done after {kind.timeout:.0f} s: it is ended")
            return False
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt pytest, which then takes down its lab and servers; what doesn't obey is killed."""
    for word, patience in ((signal.SIGINT, 120), (signal.SIGTERM, 30), (signal.SIGKILL, None)):
        if process.poll() is None:
            os.killpg(process.pid, word)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)


def ended(word: int, _: object) -> NoReturn:
    """This run was told to end: what it started ends first."""
    signal.signal(word, signal.SIG_IGN)
    sys.exit(128 + word)


def here(kind: Kind, counts: Path) -> bool:
    """Run one kind on this machine; it fails, too, if it leaves something behind.

    What a lab leaves is looked for by tests of its own.
    """
    clean = CLEAN if kind.needs is not LAB else ()
    how = ["--durations=20", "-m", kind.marks]
    how += ["-v"] if kind.slow else []
    how += kind.workers_options
    return child([*clean, "/usr/bin/python3", "-m", "pytest", *how, *kind.paths], kind, counts)


def on_debian_13(kind: Kind, counts: Path) -> bool:
    """Run one kind on Debian 13's libraries; the linters have run here already."""
    host.require_root()
    base = images.base(13)
    upper = images.layer("libraries", base, list(LIBRARIES)) / "upper"
    # In a namespace that goes with the run; all that is written outlives it in `shared` alone.
    script = (
        'mount -t overlay -o "lowerdir=$1:$2" overlay /mnt; mount -t tmpfs tmpfs /mnt/tmp;'
        ' mkdir /mnt/tmp/tree; mount --bind "$3" /mnt/tmp/tree; mount -t proc proc /mnt/proc;'
        ' mount --bind "$4" /mnt/mnt; shift 4; exec chroot /mnt "$@"'
    )
    inside = (
        "cd /tmp/tree && INVIRT_TEST_COUNTS=/mnt/counts exec /usr/bin/python3 -m pytest"
        f" --ignore=tests/unit/test_lint.py {' '.join((*kind.workers_options, *kind.paths))}"
    )
    with tempfile.TemporaryDirectory() as shared:
        folders = [str(upper), str(base), str(host.TREE), shared]
        argv = [*host.ALONE, "sh", "-ec", script, "sh", *folders, "sh", "-c", inside]
        passed = child(argv, kind, counts)
        with counts.open("a") as all_counts:
            all_counts.write(Path(shared, "counts").read_text() if Path(shared, "counts").exists() else "")
    return passed


def run_kinds(names: list[str], counts: Path) -> list[str]:
    """Run them one after the other, unit and golden once more on Debian 13; returns those that failed."""
    runs = [(name, KINDS[name], here) for name in names]
    runs += [
        (f"{name} on Debian 13", KINDS[name], on_debian_13) for name in names if name in ("unit", "golden")
    ]
    failed, took = [], {}
    for name, kind, work in runs:
        started = time.monotonic()
        say(f"{name}: {kind.what}")
        if not work(kind, counts):
            failed.append(name)
        took[name] = (time.monotonic() - started) / 60
    for name, minutes in took.items():
        say(f"{minutes:5.1f} min  {name}")
    return failed


def closing_line(counts: Path, failed: list[str]) -> str:
    """The sums; a run that broke off without counting its failure counts as one."""
    lines = [map(int, line.split()) for line in counts.read_text().splitlines()]
    passed, bad, skipped = map(sum, zip(*lines, strict=True)) if lines else (0, 0, 0)
    bad = max(bad, len(failed))
    return f"{passed} passed, {bad} failed" + (f", {skipped} skipped" if skipped else "")


def main(kinds: tuple[str, ...]) -> int:
    """Run the kinds that are named, or all but those that want to be."""
    for word in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(word, ended)
    nightly = [name for name, kind in KINDS.items() if kind.nightly]
    wanted = {name for word in kinds for name in (nightly if word == NIGHTLY else [word])}
    names = [name for name in KINDS if name in wanted or not (kinds or name in nightly)]
    with tempfile.NamedTemporaryFile() as counts:
        try:
            install(names)
            failed = run_kinds(names, Path(counts.name))
        except InvirtError as error:
            print(f"scripts/test: {error}", file=sys.stderr)
            failed = ["set-up"]
        if failed:
            say(f"failed: {', '.join(failed)}")
        print(closing_line(Path(counts.name), failed))
    return 1 if failed else 0


SHOWN = "; ".join(f"{name}{f' ({NIGHTLY})' * kind.nightly}: {kind.what}" for name, kind in KINDS.items())
COMMAND = cli.Command(
    name="scripts/test",
    section=8,
    summary="run the tests",
    description="Installs what they need. The last line says how many passed and failed.",
    example="scripts/test unit golden",
    arguments=(
        cli.Argument(
            "kinds",
            f"default: all but those of {NIGHTLY}. {SHOWN}",
            choices=(*KINDS, NIGHTLY),
            metavar="KIND",
            required=False,
            several=True,
        ),
    ),
    run=main,
    shown=None,
)


if __name__ == "__main__":
    cli.start(COMMAND)
