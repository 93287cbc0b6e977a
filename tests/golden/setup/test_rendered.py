"""What invirt-setup makes of answers, against files."""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt.config import loader
from invirt.config.schema import Config
from invirt.setup import answers, rendered
from tests.golden.compare import compare

EXPECTED = Path(__file__).parent / "expected"
ONE = """\
domain: vm.invirt.test
realm: INVIRT.TEST
addresses: {gateway: 192.0.2.1, first: 192.0.2.128, last: 192.0.2.250}
name: server1.invirt.test
address: 192.0.2.5
user: alice
"""
SEVERAL = """\
domain: vm.invirt.test
realm: INVIRT.TEST
addresses: {gateway: 198.51.100.1, first: 198.51.100.8, last: 198.51.103.250, prefix: 22}
name: db.invirt.test
address: 192.0.2.5
roles: [database]
disks: guests
synchronous: true
kerberos: {make: false, kdcs: [kdc1.invirt.test, kdc2.invirt.test]}
boot: {kernel: /boot/vmlinuz}
servers:
  - {name: remote.invirt.test, address: 192.0.2.6, roles: [remote, web, console]}
  - {name: remote2.invirt.test, address: 192.0.2.7, roles: [remote, dns, dhcp]}
  - {name: host1.hosts.invirt.test, address: 192.0.2.8, roles: [host, dns]}
  - {name: db2.invirt.test, address: 192.0.2.9, roles: [database]}
"""
SITES = {"one": ONE, "several": SEVERAL}


def read(folder: Path, site: str) -> answers.Answers:
    (folder / "site.yaml").write_text(SITES[site])
    return answers.read(folder / "site.yaml")


@pytest.mark.parametrize("site", SITES)
def test_krb5_conf(tmp_path: Path, site: str) -> None:
    compare(rendered.krb5_conf(read(tmp_path, site)), EXPECTED / site / "krb5.conf")


def test_kdc_conf() -> None:
    compare(rendered.kdc_conf("INVIRT.TEST", Path("/var/lib/krb5kdc")), EXPECTED / "one/kdc.conf")


@pytest.mark.parametrize("site", SITES)
def test_invirt_yaml(tmp_path: Path, site: str) -> None:
    text = rendered.invirt_yaml(read(tmp_path, site))
    compare(text, EXPECTED / site / "invirt.yaml")
    (tmp_path / "invirt.yaml").write_text(text)
    loader.read(tmp_path / "invirt.yaml", Config)  # as all servers do
