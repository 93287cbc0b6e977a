"""Who is in a role's rules, where names resolve and where they don't."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from invirt import config
from invirt.base import firewall, templates
from invirt.base.errors import CommandFailed
from invirt.base.remctl import HOST_PORT

ROOT = Path(__file__).parents[3]
HOST = ROOT / "invirt-host/files/etc/invirt/nftables/host.nft.mako"


def getent(*lines: str) -> object:
    def run(argv: list[str], timeout: float) -> CompletedProcess[str]:
        if not lines:
            raise CommandFailed("status 2")
        return CompletedProcess(argv, 0, "".join(f"{line}\n" for line in lines))

    return run


def remctl_rule() -> str:
    """The first rule of a host's door for remctl."""
    return templates.render(HOST).partition("chain remctl {\n")[2].splitlines()[0].strip()


def test_servers_that_resolve(invirt_yaml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ("192.0.2.4       STREAM remote", "192.0.2.4       DGRAM", "2001:db8::4     STREAM")
    monkeypatch.setattr(firewall, "run", getent(*said))
    assert list(firewall.named("remote", "")) == [
        ipaddress.ip_network("192.0.2.4"),
        ipaddress.ip_network("2001:db8::4"),
    ]
    assert remctl_rule() == "ct state new ip saddr { 192.0.2.4/32 } goto remctl_remote"


def test_a_name_that_does_not_resolve_leaves_the_servers(
    invirt_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall, "run", getent())
    with invirt_yaml.open("a") as file:
        file.write('network: {servers: [192.0.2.0/28, "2001:db8::/64"]}\n')
    config.reload()
    assert remctl_rule() == "ct state new ip saddr { 192.0.2.0/28 } goto remctl_remote"


def test_where_no_server_is_named_there_are_caps_alone(
    invirt_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall, "run", getent())
    assert remctl_rule() == "ct state new goto remctl_others"
    assert "ct count over 32 }" in templates.render(HOST)


def test_the_hosts_socket_is_at_the_port_that_remote_tries_first() -> None:
    socket = (ROOT / "invirt-host/systemd/invirt-host-remctld.socket").read_text()
    users = (ROOT / "invirt-remote/systemd/invirt-remctld.socket").read_text()
    assert f"\nListenStream={HOST_PORT}\n" in socket
    assert f"\nListenStream={HOST_PORT}\n" not in users
