"""The two names of a guest."""

from __future__ import annotations

import re
from pathlib import Path

from invirt.base.names import PREFIX, DomainName, MachineName, domain_of, machine_of

ROOT = Path(__file__).parents[3]


def test_a_machines_domain_is_its_own() -> None:
    for name in (MachineName("remus"), MachineName("d"), MachineName("d-remus")):
        assert machine_of(domain_of(name)) == name


def test_others_domains_are_no_machines() -> None:
    assert machine_of(DomainName("probe")) is None
    assert machine_of(DomainName("Domain-0")) is None


def test_how_it_is_made_is_written_once() -> None:
    """What people read (help, examples) may say d_NAME; what works with names may not."""
    made = re.compile(rf"""["']{PREFIX}(["'{{]|%s)""")
    files = [*ROOT.glob("invirt-*/python/**/*.py"), ROOT / "invirt-host/files/etc/xen/invirt-database"]
    found = [str(file.relative_to(ROOT)) for file in files if made.search(file.read_text())]
    assert found == ["invirt-base/python/invirt/base/names.py"]
