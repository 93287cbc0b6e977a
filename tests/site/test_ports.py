"""A role whose port is taken says so when it is installed, and what to do."""

from __future__ import annotations

import pytest

from invirt.base.errors import InvirtError
from invirt_lab import cluster, fresh

TWO = "two"
HOLD = """\
import socket, time
for kind, address, port in {}:
    s = socket.socket(socket.AF_INET, kind)
    s.bind((address, port))
    kind == socket.SOCK_STREAM and s.listen()
    globals()[f"s{{port}}{{kind}}"] = s
time.sleep(1000)
"""


def hold(unit: str, *ports: tuple[int, str, int]) -> None:
    """A service of somebody else's listens there."""
    cluster.on(TWO, "systemd-run", f"--unit={unit}", "python3", "-c", HOLD.format(ports))


@pytest.mark.usefixtures("site")
def test_a_role_whose_port_is_taken_is_refused_until_it_is_free() -> None:
    hold("resolver", (1, "127.0.0.53", 53), (2, "127.0.0.53", 53))
    hold("leases", (2, "0.0.0.0", 67))
    with pytest.raises(InvirtError) as refused:
        fresh.install(TWO, "invirt-dns-server", "invirt-dhcp-server")
    for words in (
        "port 53 (TCP), which the role dns needs, is taken by resolver.service",
        "port 67 (UDP), which the role dhcp needs, is taken by leases.service",
        "systemctl disable --now resolver.service, then: dpkg --configure -a",
    ):
        assert words in refused.value.hint
    cluster.on(TWO, "systemctl", "stop", "resolver", "leases")
    cluster.on(TWO, "dpkg", "--configure", "-a")
