"""Who has a role's port, in a network of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from invirt.base import ports
from invirt.base.errors import Busy

TCP, UDP = 1, 2
# Has the ports of argv[1].
HOLDS = """
import json, socket, sys
from invirt.base import ports
from invirt.base.errors import Busy
held = []
for kind, address, port in json.loads(sys.argv[1]):
    held.append(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind))
    held[-1].bind((address, port))
    if kind == socket.SOCK_STREAM:
        held[-1].listen()
"""
# Then asks whether others have one of the role argv[2].
ASKS = """
try:
    ports.require(sys.argv[2])
    print("free")
except Busy as taken:
    print(taken)
"""
TELLS = "print(*ports.taken(ports.ROLES), sep=chr(10))"  # of all roles
ALONE = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable, "-c")


def said(role: str, *held: tuple[int, str, int], then: str = ASKS) -> str:
    """Of a role, where somebody has these ports."""
    argv = [*ALONE, HOLDS + then, json.dumps(held), role]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=30).stdout


@pytest.mark.parametrize("role", ports.ROLES)
def test_a_server_with_nothing_on_it_takes_any_role(role: str) -> None:
    assert said(role) == "free\n"
    assert said(role, (TCP, "127.0.0.1", 9999), (UDP, "127.0.0.1", 4373)) == "free\n"


@pytest.mark.parametrize(
    ("role", "kind", "address", "port"),
    [
        ("database", TCP, "127.0.0.1", 5432),
        ("remote", TCP, "0.0.0.0", 4373),
        ("host", TCP, "::", 4374),
        ("host", UDP, "0.0.0.0", 67),
        ("dns", TCP, "127.0.0.53", 53),
        ("dns", UDP, "127.0.0.53", 53),
        ("dhcp", UDP, "127.0.0.1", 67),
        ("console", TCP, "::1", 22),
        ("web", TCP, "0.0.0.0", 443),
    ],
)
def test_a_port_that_somebody_has_is_told_of(role: str, kind: int, address: str, port: int) -> None:
    told = said(role, (kind, address, port))
    name = {TCP: "TCP", UDP: "UDP"}[kind]
    assert re.match(rf"port {port} \({name}\), which the role {role} needs, is taken by \S", told), told
    assert told.endswith("then: dpkg --configure -a. Or have the role on another server.\n")


def test_all_roles_are_looked_at_together() -> None:
    """As invirt-config apply does."""
    told = said("", (TCP, "0.0.0.0", 22), (UDP, "127.0.0.53", 53), then=TELLS).splitlines()
    assert [line.partition(", is taken by")[0] for line in told] == [
        "port 53 (UDP), which the role dns needs",
        "port 22 (TCP), which the role console needs",
    ]
    assert said("", then=TELLS) == "\n"


def test_a_host_bears_a_dhcp_server_of_one_address() -> None:
    """Kea binds those of the server, not all, and the relay only what is said to all."""
    assert said("host", (UDP, "127.0.0.1", 67)) == "free\n"


def test_apache_serves_no_other_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "SITES", tmp_path)
    monkeypatch.setattr(ports, "needs", lambda role: [])
    site = "<VirtualHost {}>\n    DocumentRoot /var/www\n</VirtualHost>\n"
    (tmp_path / "invirt-web.conf").write_text(site.format("*:443"))
    (tmp_path / "000-default.conf").write_text(site.format("*:80"))
    ports.require("web")
    (tmp_path / "shop.conf").write_text(site.format("_default_:443"))
    with pytest.raises(Busy, match=r"Apache has another site at port 443.*shop\.conf"):
        ports.require("web")
