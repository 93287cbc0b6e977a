"""What is made of what xl says, without one."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from invirt.base.errors import BadInput, CommandFailed
from invirt.base.names import DomainName
from invirt.host import paths
from invirt.host.domain import DomainConfig
from invirt.host.network import routes
from invirt.host.records import Record
from invirt.host.watching import Seen
from invirt.host.xen import driver, vif
from invirt.host.xen.driver import Xen
from invirt.host.xen.watch import XenWatch
from invirt.host.xen.xl import Xl

HEAD = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"
REMUS = DomainName("d_remus")


class Said:
    """Answers as xl does, by its verb; what it says beside that, too."""

    def __init__(self, *rows: str, **answers: tuple[str, str]) -> None:
        self.rows, self.answers = rows, answers

    def __call__(self, argv: list[str], **_: Any) -> CompletedProcess[str]:
        lines = [row if row.count(" ") > 4 else f"{row} 1 96 1 -b---- 2.5" for row in self.rows]
        out, err = self.answers.get(argv[1], ("", ""))
        said = HEAD + "".join(f"{line}\n" for line in lines) if argv[1] == "list" else out
        return CompletedProcess(argv, 0, said, err)


def known(name: str = "d_remus", machine: int = 17, log: str = "") -> Record:
    """A domain that was booted here, and what xl has written of it."""
    record = Record(DomainName(name))
    paths.write(record.config_file, DomainConfig({"name": name, "machine": machine}).json())
    if log:
        paths.write(driver.LOGS / f"xl-{name}.log", log)
    return record


@pytest.fixture(autouse=True)
def logs(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LOGS", state / "xl")


def test_domains_of_others_and_those_on_their_way() -> None:
    """A name may hold anything; what comes from another host doesn't run yet; remains don't any more."""
    xl = Said(
        "d_remus", "a b c 7 64 2 r----- 1.0", "d_old 8 64 1 ---s-- 1.0", "d_new--incoming 9 64 1 --p--- 0.0"
    )
    xen = Xen(xl)
    assert [(one.name, one.memory, one.vcpus) for one in xen.domains()] == [
        ("d_remus", 96, 1),
        ("a b c", 64, 2),
    ]
    assert [xen.running(DomainName(name)) for name in ("d_remus", "d_old", "d_new", "d")] == [
        *(True, False, False, False)
    ]


@pytest.mark.parametrize(
    ("log", "why"),
    [
        ("Domain 3 has shut down, reason code 0 0x0\n", "poweroff"),
        ("Domain 3 has shut down, reason code 1 0x1\nDomain 4 has shut down, reason code 3 0x3\n", "crash"),
        ("Domain 3 has shut down, reason code 4 0x4\n", "crash"),
        ("Domain 3 has shut down, reason code 1 0x1\nunable to add vif devices", "crash"),
        ("Domain 3 has been destroyed.\n", "crash"),
        ("", "crash"),
    ],
)
def test_why_a_domain_is_off(log: str, why: str) -> None:
    record = known(log=log)
    [seen] = XenWatch(Xl(Said())).look()
    assert (seen.state, seen.why, seen.machine) == ("off", why, 17)
    assert Xen(Said()).ended() == {REMUS: why}
    record.end_by("killed")
    [seen] = XenWatch(Xl(Said())).look()
    assert seen.why == "killed" and Xen(Said()).ended() == {REMUS: "poweroff"}
    assert Xen(Said("d_remus")).ended() == {}


def test_a_pc_that_knows_no_reset_powers_off_and_boots() -> None:
    """Without Xen's drivers xl can't have it reboot."""
    said = Said("d_remus")
    commands: list[str] = []

    def xl(argv: list[str], **options: Any) -> CompletedProcess[str]:
        commands.append(" ".join(argv))
        if argv[1] == "reboot":
            raise CommandFailed("Send trigger 'reset' failed: Function not implemented")
        if argv[1] == "shutdown":
            said.rows = ()
        return said(argv, **options)

    Xen(xl).reboot(REMUS)
    assert [command for command in commands if command != "xl list"] == [
        *("xl reboot -F d_remus", "xl shutdown -F d_remus"),
        *(f"systemctl {verb} invirt-domain@d_remus.service" for verb in ("stop", "restart")),
    ]


@pytest.mark.parametrize("watched", [False, True])
def test_remains_that_no_xl_watches_go(watched: bool) -> None:
    """They would keep the domain's name, and the locks of its disks."""
    known()
    said = Said("d_remus 8 64 1 ---s-- 1.0")
    commands: list[str] = []

    def xl(argv: list[str], **options: Any) -> CompletedProcess[str]:
        commands.append(" ".join(argv))
        if argv[1] == "destroy":
            said.rows = ()
        return CompletedProcess(argv, 0 if watched else 3) if argv[1] == "is-active" else said(argv)

    Xen(xl).tidy(14)
    assert ("xl destroy d_remus" in commands) is not watched
    assert (f"{driver.VOLUMES} release d_remus" in commands) is not watched


def test_one_that_obeys_while_it_is_ended_is_ended_all_the_same() -> None:
    """xl destroys what has just gone down, which fails, and its other process boots the guest again."""
    said = Said("d_remus 8 64 1 -b---- 1.0")
    left = iter([("d_remus 9 64 1 -b---- 1.0",), ()])

    def xl(argv: list[str], **options: Any) -> CompletedProcess[str]:
        if argv[1] == "destroy":
            said.rows = next(left)
            raise CommandFailed("status 1 from: xl destroy", hint="devices_destroy failed")
        return said(argv, **options)

    Xen(xl).destroy(REMUS)
    assert said.rows == ()


def test_addresses_of_the_other_links() -> None:
    """From which the guest may send at each; one that is no machine's has none."""
    record = known()
    links = [f"mac=52:54:00:00:00:1{one}, ip=192.0.2.1{one}, vifname=inv{one}" for one in range(3)]
    paths.write(record.config_file, DomainConfig({"name": "d_remus", "vif": links}).json())
    assert vif.others(REMUS, "inv1") == ["192.0.2.10", "192.0.2.12"]
    assert vif.others(DomainName("own"), "inv1") == []


def test_a_link_that_is_up_keeps_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened once more when its guest has arrived; a link of Xen's takes no address then."""
    said: list[str] = []
    monkeypatch.setattr(routes, "NET", tmp_path)
    monkeypatch.setattr(routes, "_set", lambda *_: None)
    monkeypatch.setattr(routes, "run", lambda _, input: said.append(input))
    (tmp_path / "inv7").mkdir()
    for address in ("fe:00:00:00:00:01", routes.MAC):
        (tmp_path / "inv7/address").write_text(f"{address}\n")
        routes.open_link("inv7", ipv6=False, others=False)
    assert said == [f"link set inv7 address {routes.MAC} up\n", "link set inv7 up\n"]


def test_what_is_seen_lasts_until_it_changes() -> None:
    known()
    xl = Said("d_remus")
    watch = XenWatch(Xl(xl))
    [begun] = watch.look()
    assert begun == Seen(REMUS, "running", begun.since, "", 17) and watch.look() == [begun]
    xl.rows = ("d_remus 1 96 1 --p--- 2.5",)
    assert [one.state for one in watch.look()] == ["paused"]
    xl.rows = ("d_remus 2 96 1 -b---- 0.5",)
    [anew] = watch.look()
    assert anew.state == "running" and anew.since > begun.since
    assert watch.counted()[17].metrics == {
        **{"cpu": 500, "memory": 96, "disk_read": 0, "disk_written": 0, "disk_operations": 0}
    }


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Parsing config from x\n", ""),
        ('Parsing config from x\ngot a tsc mode string: "native"\n', ""),
        ("x:3: config parsing error near `yes': unknown\n", "unknown"),
    ],
)
def test_what_xl_says_beside_is_read(said: str, told: str, tmp_path: Path) -> None:
    config = DomainConfig({"name": "d_remus", "type": "pvh", "memory": 96})
    understood = {
        "c_info": {"type": "pvh", "name": "d_remus"},
        "b_info": {"max_vcpus": 1, "max_memkb": 96 << 10, "target_memkb": 96 << 10},
    }
    xl = Xl(Said(create=(json.dumps(understood), said)))
    if not told:
        return xl.check(config, tmp_path / "file")
    with pytest.raises(BadInput, match="d_remus") as caught:
        xl.check(config, tmp_path / "file")
    assert told in caught.value.hint
