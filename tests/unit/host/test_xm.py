"""xm beside the commands of the remote server, on the fake hypervisor."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from invirt.base.errors import Busy
from invirt.base.names import DomainName
from invirt.host import loading, tokens
from invirt.host.commands import xm

from .conftest import Host

ACTS = {verb.name: verb.run for verb in xm.VERBS if verb.changes}
D_REMUS = DomainName("d_remus")


def test_it_takes_the_locks_of_the_remote_servers_commands(
    host: Host, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one of them works on a machine, nothing that xm does is done to its domain; who looks, may."""
    assert host("domain", "create", "remus") == 0
    monkeypatch.setattr(tokens, "patience", 0.1)
    with (state / "run/locks/remus").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for act in (ACTS[name] for name in ACTS if name != "create"):
            with pytest.raises(Busy, match="another command works on remus"):
                act(D_REMUS)
        with pytest.raises(Busy, match="another command works on remus"):
            xm.create("invirt-database", ("machine_name=remus",), console=False)
        assert loading.hypervisor().running(D_REMUS)
    ACTS["destroy"](D_REMUS)
    assert not loading.hypervisor().running(D_REMUS)


def test_which_verbs_change_something() -> None:
    assert ACTS.keys() == {"create", "shutdown", "reboot", "destroy", "pause", "unpause"}
