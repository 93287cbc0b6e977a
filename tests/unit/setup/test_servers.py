"""What a server is, is read from what there is; what doesn't fit is refused before anything is done."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest

from invirt.base.errors import BadInput, InvirtError
from invirt.setup import bundle, certificates, here, joined, keytabs, offering, roles
from invirt.setup.answers import ROLES, Answers, read
from tests.unit.setup.test_answers import WHOLE

ALL = "name: server1.invirt.test\naddress: 192.0.2.5\n"


@pytest.fixture
def site(tmp_path: Path) -> Answers:
    (tmp_path / "site.yaml").write_text(WHOLE + ALL)
    return read(tmp_path / "site.yaml")


@pytest.mark.parametrize(
    ("mebibytes", "wanted", "left"),
    [
        (16384, ROLES, 16384 - 819 - 512 - 768),
        (65536, ("database", "remote", "host"), 65536 - 3276 - 768),
        (1024, ROLES, 128),
    ],
)
def test_memory_for_machines(
    site: Answers, tmp_path: Path, mebibytes: int, wanted: tuple[str, ...], left: int
) -> None:
    (tmp_path / "meminfo").write_text(f"MemTotal:  {mebibytes * 1024} kB\nMemFree:  1 kB\n")
    asked = dataclasses.replace(site, roles=wanted)
    assert here.guests_memory(asked, tmp_path / "meminfo") == left
    assert here.guests_memory(dataclasses.replace(asked, memory=77)) == 77


def test_names_replace_what_named_them_otherwise(tmp_path: Path) -> None:
    """As Debian's installer does, by an address of the loop."""
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "127.0.0.1\tlocalhost\n127.0.1.1\tserver1.invirt.test server1\n"
        "192.0.2.8 other # server1.invirt.test\n"
    )
    here.names({"server1.invirt.test": "192.0.2.5"}, hosts).do()
    assert hosts.read_text() == (
        "127.0.0.1\tlocalhost\n192.0.2.8 other # server1.invirt.test\n"
        "192.0.2.5\tserver1.invirt.test server1\n"
    )


def test_a_token_is_for_a_server_of_which_enough_is_known(site: Answers) -> None:
    found, server = offering.planned(site, "h2.invirt.test", ["host"], "192.0.2.6")
    assert found.servers == (server,) and server.roles == ("host",)
    assert offering.planned(found, "h2.invirt.test", [], "")[0] == found  # planned, or told before
    more, _ = offering.planned(found, "h2.invirt.test", ["host", "dns"], "")
    assert more.servers == (dataclasses.replace(server, roles=("host", "dns")),)
    for name, given, address, why in (
        ("server1.invirt.test", ["host"], "", "is this server"),
        ("h3.invirt.test", [], "192.0.2.7", "what is"),
    ):
        with pytest.raises(BadInput, match=why):
            offering.planned(site, name, given, address)


def test_a_token_is_bound_to_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "h2")
    joined.refuse_another("h2.invirt.test")
    with pytest.raises(BadInput, match=r"is for h3\.invirt\.test"):
        joined.refuse_another("h3.invirt.test")


def test_what_each_role_needs() -> None:
    """Keys, certificates and packages of all roles, and of one alone."""
    assert set(roles.PACKAGES) == set(ROLES)
    principals = [one.principal for one in keytabs.wanted("s.invirt.test", ROLES)]
    assert principals == ["host/s.invirt.test", "postgres/s.invirt.test", "HTTP/s.invirt.test"]
    assert [one.principal for one in keytabs.wanted("s.invirt.test", ["host"])] == ["host/s.invirt.test"]
    usages = {one.file.parent.name: one.usages for one in certificates.wanted(ROLES)}
    assert usages == {"console": ("serverAuth", "clientAuth"), "web": ("serverAuth",)}
    assert [one.usages for one in certificates.wanted(["host"])] == [("serverAuth", "clientAuth")]
    assert [one.usages for one in certificates.wanted(["console"])] == [("clientAuth",)]
    assert certificates.wanted(["database", "dns"]) == []
    apart = [("guests", "/boot/vmlinuz"), ("/srv", ""), ("/srv", "/boot/vmlinuz")]
    named = [roles.roles(["host"], disks, kernel).name for disks, kernel in apart]
    assert ["lvm2" in one for one in named] == [True, False, False]
    assert ["invirt-kernel" in one for one in named] == [False, True, False]


GIVEN = bundle.Bundle(
    "h2.invirt.test", ["host"], "/srv", "", "", "", {}, {"host/h2.invirt.test": "a2V5"}, {}, ""
)


def test_what_is_given_is_whole_or_refused() -> None:
    plain = GIVEN.plain()
    assert bundle.understood(plain) == GIVEN and GIVEN.keytab("host/h2.invirt.test") == b"key"
    assert GIVEN.keytab("host/other") is None
    for wrong in (
        {},
        {**plain, "more": 1},
        {**plain, "roles": ["cook"]},
        {**plain, "roles": 5},
        {**plain, "names": None},
        {**plain, "keytabs": {"host/x": "not base64!"}},
        {**plain, "authority": 5},
    ):
        with pytest.raises(InvirtError, match="not whole"):
            bundle.understood(wrong)
