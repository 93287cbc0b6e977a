"""xm beside the commands of the remote server, on the fake hypervisor."""

from __future__ import annotations

import fcntl
import json
from contextlib import suppress
from pathlib import Path

import pytest

from invirt.base.errors import BadInput, Busy, Denied
from invirt.base.names import DomainName
from invirt.host import loading, tokens
from invirt.host.commands import xm
from invirt.host.xen import stream, verbs

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
        for act in (ACTS[name] for name in ("shutdown", "reboot", "destroy", "pause", "unpause")):
            with pytest.raises(Busy, match="another command works on remus"):
                act(D_REMUS)
        with pytest.raises(Busy, match="another command works on remus"):
            xm.create("invirt-database", ("machine_name=remus",), console=False)
        assert loading.hypervisor().running(D_REMUS)
    ACTS["destroy"](D_REMUS)
    assert not loading.hypervisor().running(D_REMUS)


def test_which_verbs_change_something() -> None:
    assert ACTS.keys() == {
        *("create", "shutdown", "reboot", "destroy", "pause", "unpause"),
        *("vcpu-set", "migrate", "save", "restore"),
    }


def test_which_verbs_are_xens_own(host: Host, state: Path) -> None:
    """Elsewhere they say what there is instead; nothing is begun."""
    own = DomainName("own")
    for act in (
        lambda: ACTS["vcpu-set"](own, 1),
        lambda: ACTS["save"](own, "/x", checkpoint=False),
        lambda: ACTS["restore"]("/x", paused=False),
        lambda: ACTS["migrate"](own, "host2", live=True),
    ):
        with pytest.raises(BadInput, match="Xen's own, and this host runs fake") as caught:
            act()
        assert caught.value.hint


@pytest.fixture
def xen(state: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A host of Xen; what is run in the terminal."""
    ran: list[list[str]] = []
    monkeypatch.setattr(loading, "driver", lambda: "xen")
    monkeypatch.setattr(verbs, "foreground", lambda argv, **_: ran.append(argv))
    monkeypatch.setattr(verbs.os, "execvp", lambda _, argv: ran.append(argv))
    monkeypatch.setattr(verbs.shutil, "which", lambda _: "/usr/bin/remctl")
    return ran


def saved(folder: Path, name: object) -> str:
    """A file as xl begins it."""
    config = json.dumps({"c_info": {"name": name}}).encode() + b"\0"
    head = stream.HEAD.pack(stream.MAGIC, 1, 3, 0, len(config) + 4)
    (folder / "saved").write_bytes(head + stream.LENGTH.pack(len(config)) + config)
    return str(folder / "saved")


def test_domains_of_ones_own_are_saved_and_go(xen: list[list[str]], tmp_path: Path) -> None:
    file = saved(tmp_path, "own")
    verbs.save(DomainName("own"), file, checkpoint=True)
    verbs.restore(file, paused=True)
    verbs.migrate(DomainName("own"), "host2", live=False)
    with suppress(TypeError):  # nothing was executed
        verbs.top()
    assert xen == [
        ["xl", "save", "-c", "own", file],
        ["xl", "restore", "-p", file],
        ["xl", "migrate", "own", "host2"],
        ["xl", "top"],
    ]


def test_a_machines_memory_is_not_kept_and_remote_moves_it(xen: list[list[str]], tmp_path: Path) -> None:
    """Its disk may have been written to elsewhere meanwhile."""
    for act in (
        lambda: verbs.save(D_REMUS, "/x", checkpoint=False),
        lambda: verbs.restore(saved(tmp_path, "d_remus"), paused=False),
    ):
        with pytest.raises(Denied, match="the machine remus's"):
            act()
    verbs.migrate(D_REMUS, "host2", live=True)
    assert xen[0] == [*("remctl", "remote.invirt.test", "admin", "machine", "migrate", "remus", "host2")]


@pytest.mark.parametrize("content", [b"", b"x" * 99, stream.HEAD.pack(stream.MAGIC, 1, 3, 0, 9) + b"{" * 9])
def test_what_xl_has_not_saved(xen: list[list[str]], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved").write_bytes(content)
    for file in (tmp_path / "saved", tmp_path / "nothing"):
        with pytest.raises(BadInput, match=r"holds no domain|can't be read"):
            verbs.restore(str(file), paused=False)
    assert not xen
