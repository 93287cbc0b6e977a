"""The pools of disks that a host sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt.base.errors import BadConfig, NotFound
from invirt.host import leftovers, loading
from invirt.host.commands import tidy
from invirt.host.storage import pools
from invirt.host.storage.lvm import Lvm
from invirt.host.storage.pools import Pool

from .conftest import Host


def test_volumes_lie_in_the_pool_that_is_named(
    host: Host, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [Pool("ssd", False, "file", f"{state}/ssd"), Pool("default", True)]
    monkeypatch.setattr(pools, "seen", lambda: seen)
    host("volume", "create", "remus", "hda", "1", "--pool", "ssd")
    host("volume", "create", "romulus", "hda", "1")
    assert (state / "ssd/d_remus_hda").exists()
    assert (state / "volumes/d_romulus_hda").exists()
    assert [row["name"] for row in host("volume", "list", "--pool", "ssd")] == ["remus"]
    assert [row["name"] for row in host("volume", "list")] == ["romulus"]
    assert host("volume", "list", "--pool", "fast") == NotFound.exit_code
    monkeypatch.setattr(pools, "seen", lambda: seen[:1])
    assert host("volume", "list") == NotFound.exit_code


@pytest.mark.parametrize(
    ("driver", "place"),
    [
        *(("file", "srv"), ("file", "/srv/../etc"), ("lvm", "/dev/vg"), ("lvm", "-f"), ("lvm", "a/b")),
        *(("thin", "a"), ("thin", "a/b/c"), ("thin", "/a")),
    ],
)
def test_a_place_is_looked_at_again(state: Path, driver: str, place: str) -> None:
    """Whatever wrote it: it becomes a path, or an argument of LVM's."""
    with pytest.raises(BadConfig, match="is no place for the driver"):
        pools.made(Pool("ssd", False, driver, place))


def test_a_volume_group_is_one_hosts_own(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that write into a plain one lose writes without a word; one with a lock manager is for several."""
    own = Pool("ssd", False, "lvm", "fast")
    monkeypatch.setattr(Lvm, "shared", False)
    assert pools.made(own).path("remus", "hda") == "/dev/fast/d_remus_hda"
    with pytest.raises(BadConfig, match="2 hosts see the pool ssd.*overwrites without a word"):
        pools.made(own._replace(sharers=2))
    monkeypatch.setattr(Lvm, "shared", True)
    monkeypatch.setattr(loading, "driver", lambda: "xen")
    assert pools.made(own._replace(sharers=2))
    monkeypatch.setattr(loading, "driver", lambda: "qemu")
    with pytest.raises(BadConfig, match="guests of qemu don't lock"):
        pools.made(own._replace(sharers=2))
    assert pools.made(Pool("big", False, "file", f"{state}/big", sharers=2))


def test_a_pool_that_is_broken_holds_up_no_other(
    host: Host, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [Pool("ssd", True, "file", f"{state}/ssd"), Pool("broken", False, "file", "srv")]
    monkeypatch.setattr(pools, "seen", lambda: seen)
    monkeypatch.setattr(leftovers, "machines", dict)
    host("volume", "create", "remus", "hda", "1")
    host("volume", "remove", "remus", "hda", "7")
    host("volume", "purge", "remus", "hda", "7")
    [volume] = (state / "ssd").rglob("purge.*")
    for pools_seen in (seen, seen[::-1]):
        monkeypatch.setattr(pools, "seen", lambda seen=pools_seen: seen)
        volume.touch()
        with pytest.raises(BadConfig, match="pool broken"):
            tidy.tidy()
        assert not volume.exists()
