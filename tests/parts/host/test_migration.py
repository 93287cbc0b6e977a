"""A guest that moves to another host while it runs finds its rules there, before it sends anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from invirt.base.errors import Busy, NotFound
from invirt.base.process import run
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.network import vif
from invirt.host.qemu.driver import Qemu
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import Qmp, connect
from invirt.host.qemu.supervisor import Alone
from invirt.host.waiting import wait

from .conftest import Inside, prompt, shown

IP, OTHER, GATEWAY = "192.0.2.17", "192.0.2.18", "192.0.2.1"
NIC = f"mac=52:54:00:00:00:11, ip={IP}, vifname=inv17, script=vif-invirtroute"
# `invirt-guest run`, for a guest that is still elsewhere.
AWAIT = """\
import sys
from invirt.host.qemu import launch
usual = launch.arguments
launch.arguments = lambda *about: [*usual(*about), "-incoming", sys.argv[2]]
launch.launch(sys.argv[1], "tcg")
"""
REMUS = "d_remus"


@contextmanager
def other_host(folder: Path) -> Iterator[None]:
    """While it lasts, the host that is spoken of is another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVIRT_RUN", str(folder / "run"))
        patch.setenv("INVIRT_STATE", str(folder / "state"))
        try:
            yield
        finally:
            Qemu(Alone()).destroy(REMUS)


def answers(guest: Guest) -> bool:
    """Not while its socket is there already, but nobody listens at it yet."""
    with suppress(NotFound), Qmp(guest.qmp, 20):
        return True
    return False


def gateway() -> None:
    run(["ip", "link", "set", "lo", "up"])
    run(["ip", "address", "add", f"{GATEWAY}/32", "dev", "lo"])


def guarded() -> list[str]:
    """What there is of the guest's link: its table, its route, and whether it is up."""
    tables = run(["nft", "list", "tables"]).stdout
    routes = run(["ip", "route"]).stdout
    link = run(["ip", "link", "show"]).stdout
    words = {
        "table": "invirt_inv17" in tables,
        "route": IP in routes,
        "link": ",UP" in link.partition("inv17")[2],
    }
    return [name for name, there in words.items() if there]


def typed(command: str, answer: str) -> None:
    """Type into the guest's console, and wait for the answer."""
    with connect(Guest(REMUS).console, 40) as console:
        console.sendall(f"\n{command}\n".encode())
        shown(console, answer.encode())


def test_its_rules_are_there_before_the_guest(
    qemu: Qemu, remus: DomainConfig, home: Path, inside: Inside, inside_too: Inside
) -> None:
    config = DomainConfig({**remus.settings, "vif": [NIC], "disk": []})
    for network in (inside, inside_too):
        network(gateway)
    inside(qemu.create, config)
    assert prompt(REMUS)
    typed(f"ip address add {IP}/24 dev eth0; ping -c 1 {GATEWAY}", " 0% packet loss")
    source = Guest(REMUS).qmp
    (home / "way").mkdir()
    (home / "way").chmod(0o777)  # QEMU listens there as nobody
    home.chmod(0o711)
    way = f"unix:{home}/way/socket"
    launch = [sys.executable, "-c", AWAIT]

    with other_host(home / "there"):
        target = Guest(REMUS)
        paths.write(target.config_file, config.json())
        inside_too(run, ["sh", "-c", 'exec setsid --fork "$@" >/dev/null 2>&1', "sh", *launch, REMUS, way])
        assert wait(lambda: answers(target), 20)
        with Qmp(target.qmp, 20) as waiting:
            assert waiting.status() == "inmigrate"
        with pytest.raises(Busy, match="on its way in"):  # its addresses stay where they lead
            inside_too(qemu.plug, config, "inv17")
        with Qmp(target.qmp, 20) as waiting:
            assert inside_too(guarded) == ["table", "route", "link"]
            with Qmp(source) as leaving:
                leaving("migrate", uri=way)
                assert wait(lambda: leaving("query-migrate").get("status") == "completed", 40)
                assert leaving.status() == "postmigrate"
                assert inside(guarded) == ["table", "route", "link"]  # as long as its process lives
            assert wait(lambda: waiting.status() == "running", 20)
        typed(f"ip address add {OTHER}/24 dev eth0; ping -c 2 -W 2 -I {OTHER} {GATEWAY}", "100% packet loss")
        typed(f"ping -c 1 {GATEWAY}", " 0% packet loss")
        [row] = inside_too(vif.counters)
        assert row["foreign_ip"] == 2
    qemu.destroy(REMUS)
    assert wait(lambda: inside(guarded) == [], 10)
