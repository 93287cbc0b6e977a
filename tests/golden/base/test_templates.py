"""Every template of every role, rendered with one invirt.yaml, against a file.

After a change that is meant: INVIRT_UPDATE_GOLDEN=1 python3 -m pytest
tests/golden/base, then read the diff.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from invirt import config
from invirt.base import firewall, identity, templates
from invirt.base.apply import Entry, Registry
from invirt.base.cli import manual
from invirt.base.commands import config as config_command
from invirt.config import loader
from tests.golden.compare import compare

ROOT = Path(__file__).parents[3]
EXPECTED = Path(__file__).parent / "expected"
TEMPLATES = sorted(ROOT.glob("invirt-*/files/**/*.mako"))
REGISTRIES = sorted(ROOT.glob("invirt-*/files/usr/share/invirt/templates.d/*"))

SITE = """\
site: {domain: invirt.test, realm: INVIRT.TEST, contact: help@invirt.test}
database: {hostname: db.invirt.test}
remote: {hostname: remote.invirt.test, servers: [remote1.invirt.test, remote2.invirt.test]}
web:
  hostname: web.invirt.test
  doors: [ticket, password, file, certificate, oidc]
  oidc: {provider: "https://login.invirt.test"}
  realms: [{domain: invirt.test, realm: INVIRT.TEST}]
network: {gateway: 192.0.2.1, dns: [192.0.2.2, 192.0.2.3], servers: [192.0.2.0/28, "2001:db8::/64"]}
dns: {servers: [dns.invirt.test], zones: [2.0.192.in-addr.arpa], secondaries: [192.0.2.53]}
dhcp: {servers: [dhcp.invirt.test]}
console: {hostname: console.invirt.test, address: 192.0.2.5}
"""
ADDRESSES = {
    "remote1.invirt.test": "192.0.2.4",
    "remote2.invirt.test": "2001:db8::4",
    "dhcp.invirt.test": "192.0.2.6",
    "web.invirt.test": "192.0.2.7",
}


def named(*hostnames: str) -> firewall.Networks:
    """firewall.named() without a resolver."""
    return [ipaddress.ip_network(ADDRESSES.get(name, name)) for name in hostnames if name]


@pytest.fixture(autouse=True)
def site(invirt_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    invirt_yaml.write_text(SITE)
    monkeypatch.setattr(firewall, "named", named)
    config.reload()
    monkeypatch.setattr(identity, "hostname", lambda: "this.invirt.test")


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_rendered(template: Path) -> None:
    role, _, *below = template.with_suffix("").relative_to(ROOT).parts
    compare(templates.render(template), EXPECTED.joinpath(role, *below))


def registered(role: Path) -> list[Entry]:
    return [
        entry
        for file in REGISTRIES
        if file.is_relative_to(role)
        for entry in loader.read(file, Registry).templates
    ]


@pytest.mark.parametrize("role", sorted(ROOT.glob("invirt-*")), ids=lambda path: path.name)
def test_what_is_registered_is_what_there_is(role: Path) -> None:
    there = [path for path in TEMPLATES if path.is_relative_to(role)]
    assert all(file.suffix == ".yaml" for file in REGISTRIES)
    assert sorted(f"{entry.target}.mako" for entry in registered(role)) == sorted(
        f"/{path.relative_to(role / 'files')}" for path in there
    )


def test_a_manual_page() -> None:
    compare(manual.page(config_command.COMMAND), EXPECTED / "invirt-config.8")
