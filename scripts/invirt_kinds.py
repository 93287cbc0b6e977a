"""The kinds of tests: where they are, what they need, and how they are run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LIBRARIES = (
    *("python3-pytest", "python3-hypothesis", "python3-yaml", "python3-mako", "python3-fusepy"),
    *("python3-psycopg2", "python3-sqlalchemy", "python3-alembic", "python3-pyremctl", "python3-click"),
    *("python3-pytest-xdist", "python3-pytest-timeout", "python3-prometheus-client"),
    *("python3-flask", "gunicorn", "python3-aiohttp", "python3-systemd", "python3-lz4"),
)
UNIT = (*LIBRARIES, "python3-venv", "shellcheck", "mmdebstrap")
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
        UNIT,
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
    "xen": Kind("two hosts with Xen and LVM, emulated", ("xen",), XEN, slow=True),
    "bench": Kind("how fast it is", ("bench",), (*LIBRARIES, *SERVERS, *BENCH), slow=True),
    "hostile": Kind(
        "hostile input and simulated histories, many thousands of each",
        ("unit", "parts/hostile", "parts/operations/test_simulation.py"),
        (*UNIT, *SERVERS),
        slow=True,
        environment={"INVIRT_TEST_EXAMPLES": "5000", "INVIRT_TEST_SEEDS": "5000", "PYTEST_TIMEOUT": "0"},
        nightly=True,
        timeout=8 * 3600,
    ),
    "rest": Kind(
        "what takes long in parts, web, lab, site, xen and bench",
        ("parts", "web", "lab", "site", "xen", "bench"),
        (
            *LIBRARIES,
            *SERVERS,
            *BROWSER,
            *LAB,
            *BENCH,
            *XEN,
            "prometheus",
            *("openafs-dbserver", "openafs-krb5"),
            "ganeti-htools",
            "python3-venv",
        ),
        slow=True,
        nightly=True,
        marks="nightly",
        timeout=6 * 3600,
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
