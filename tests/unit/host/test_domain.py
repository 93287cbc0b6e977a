"""The domain commands on the fake hypervisor."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from invirt import config
from invirt.base import identity
from invirt.base.errors import BadInput, Busy, Denied
from invirt.host import loading, reservation, tokens

from .conftest import Host


def fault(state: Path, step: str, words: str) -> None:
    """Let a step of the fakes go wrong."""
    (state / "fake/faults").mkdir(parents=True, exist_ok=True)
    (state / "fake/faults" / step).write_text(words)


def test_create_boots_once(host: Host) -> None:
    assert host("domain", "status", "remus")["state"] == "off"
    assert host("domain", "create", "remus") == 0
    assert host("domain", "create", "remus") == 0
    assert host("domain", "status", "remus")["state"] == "running"
    assert host("domain", "list") == [{"name": "remus", "state": "running", "memory": 128, "cpus": 1}]


@pytest.mark.parametrize("verb", ["shutdown", "destroy"])
def test_off_twice(host: Host, verb: str) -> None:
    host("domain", "create", "remus")
    assert host("domain", verb, "remus") == 0
    assert host("domain", verb, "remus") == 0
    assert host("domain", "list") == [{"name": "remus", "state": "off", "ended": "poweroff"}]


def test_reboot_of_one_that_is_off(host: Host) -> None:
    assert host("domain", "reboot", "remus") == 3


def test_deaf_guest_goes_on(host: Host, state: Path) -> None:
    host("domain", "create", "remus")
    (state / "fake/deaf").mkdir()
    (state / "fake/deaf/remus").touch()
    assert host("domain", "shutdown", "remus") == 0
    assert host("domain", "status", "remus")["state"] == "running"


def test_a_late_command_is_refused(host: Host) -> None:
    assert host("domain", "create", "remus", token=7) == 0
    assert host("domain", "destroy", "remus", token=6) == Busy.exit_code
    assert host("domain", "status", "remus")["state"] == "running"
    assert host("domain", "destroy", "remus", token=8) == 0


def test_a_list_tells_why_guests_ended(host: Host, state: Path) -> None:
    """Those that were switched off here, and those that went by themselves."""
    for name in ("ended", "gone", "on"):
        assert host("domain", "create", name, token=1) == 0
    assert host("domain", "destroy", "ended", token=2) == 0
    (state / "fake/domains/d_gone").unlink()
    told = {row["name"]: row.get("ended") for row in host("domain", "list")}
    assert told == {"ended": "poweroff", "gone": "crash", "on": None}


def test_a_repeated_command_is_refused(host: Host, state: Path) -> None:
    """The guest has powered itself off, and may have been booted elsewhere: this host knows nothing of it."""
    assert host("domain", "create", "remus", token=7) == 0
    (state / "fake/domains/d_remus").unlink()
    assert host("domain", "create", "remus", token=7) == Busy.exit_code
    assert host("domain", "status", "remus")["state"] == "off"


def test_a_fence_keeps_out_what_is_older(host: Host) -> None:
    host("domain", "create", "remus", token=7)
    assert host("domain", "fence", "remus", token=9) == 0
    assert host("domain", "destroy", "remus", token=8) == Busy.exit_code
    assert host("domain", "status", "remus")["state"] == "running"
    assert host("domain", "fence", "remus", token=9) == Busy.exit_code


def test_a_fence_is_for_what_is_in_the_trash_too(host: Host) -> None:
    """As sent by `invirt-operations resolve`; nothing else than such a number is an item."""
    assert host("domain", "fence", "trash.12", token=9) == 0
    assert host("volume", "purge", "remus", "hda", "12", token=8) == Busy.exit_code
    for wrong in ("trash.", "trash.x", "trash.0", "trash.1/x", "../x"):
        assert host("domain", "fence", wrong, token=9) == BadInput.exit_code


def test_questions_have_no_token(host: Host) -> None:
    host("domain", "create", "remus", token=7)
    for _ in range(2):
        assert host("domain", "status", "remus")["state"] == "running"
    assert host("domain", "destroy", "remus", token=8) == 0


def test_tokens_are_a_machine_each(host: Host) -> None:
    host("domain", "create", "remus", token=7)
    assert host("domain", "create", "romulus", token=1) == 0


def test_token_counts_even_when_the_step_fails(host: Host, state: Path) -> None:
    fault(state, "create", "before fail once")
    assert host("domain", "create", "remus", token=7) == 9
    assert host("domain", "create", "remus", token=7) == Busy.exit_code
    assert host("domain", "create", "remus", token=8) == 0


def test_fault_after_the_work(host: Host, state: Path) -> None:
    fault(state, "create", "after fail")
    assert host("domain", "create", "remus") == 9
    assert host("domain", "status", "remus")["state"] == "running"


def test_lock_is_waited_for_in_vain(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "patience", 0.1)
    (state / "run/locks").mkdir(parents=True)
    with (state / "run/locks/remus").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with (
            pytest.raises(Busy, match="another command works on remus"),
            tokens.locked("remus"),
        ):
            pass
    with tokens.locked("remus"):
        pass


@pytest.mark.parametrize("name", ["../x", "", "Remus", "a" * 64, "remus\nANYUSER", "-x", "ALL"])
def test_bad_names(host: Host, state: Path, name: str) -> None:
    assert host("domain", "create", name) == 2
    assert not (state / "tokens").exists()


@pytest.mark.parametrize("token", ["0", "-1", "x", "", "9" * 30, "1e3"])
def test_bad_tokens(host: Host, token: str) -> None:
    assert host("domain", "create", "remus", token=token) == 2


def test_status_of_the_host(host: Host) -> None:
    host("domain", "create", "remus")
    about = host("host", "status")
    assert about["hypervisor"] == "fake"
    assert about["storage"] == {"file": ["grow"], "lvm": ["grow"], "thin": ["grow"], "fake": ["grow"]}
    assert {"cap", "cdrom"} < set(about["can"])
    asked = host("domain", "status", "remus")
    assert (asked["can"], asked["storage"]) == (about["can"], about["storage"])
    assert about["domains"] == 1
    assert about["memory"] > 0
    assert abs(about["clock"] - time.time()) < 60


def test_hangs_until_the_fault_is_gone(host: Host, state: Path) -> None:
    fault(state, "create", "before hang")
    release = threading.Timer(0.2, (state / "fake/faults/create").unlink)
    begin = time.monotonic()
    release.start()
    assert host("domain", "create", "remus") == 0
    assert time.monotonic() - begin >= 0.2


@pytest.mark.children
def test_killed_after_the_work_the_next_call_goes_on(host: Host, state: Path) -> None:
    host("domain", "create", "remus", token=1)
    fault(state, "destroy", "after kill once")
    call = "import sys; from invirt.base import remctl; from invirt.host.commands import domain; "
    call += "sys.exit(remctl.main(domain.COMMAND, ['destroy', 'remus', '2']))"
    environment = {**os.environ, "REMOTE_USER": "host/remote.invirt.test@INVIRT.TEST"}
    assert (
        subprocess.run([sys.executable, "-c", call], env=environment, check=False).returncode
        == -signal.SIGKILL
    )
    assert host("domain", "status", "remus")["state"] == "off"
    assert host("domain", "destroy", "remus", token=2) == Busy.exit_code
    assert host("domain", "destroy", "remus", token=3) == 0


def test_a_machine_without_a_reservation_here_is_not_booted(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may run elsewhere; one that runs here stays as it is."""
    monkeypatch.setattr(reservation, "hosts", lambda name: {"another.invirt.test": None})
    assert host("domain", "create", "remus") == Denied.exit_code
    assert host("domain", "status", "remus")["state"] == "off"
    both = {"another.invirt.test": "xen", identity.hostname(): None}
    monkeypatch.setattr(reservation, "hosts", lambda name: both)
    assert host("domain", "create", "remus") == 0
    monkeypatch.setattr(reservation, "hosts", lambda name: set())
    assert host("domain", "create", "remus") == Denied.exit_code
    assert host("domain", "destroy", "remus") == 0
    with pytest.raises(Denied, match="no memory is reserved for machine remus on this host"):
        reservation.require("d_remus")
    reservation.require("remus")  # no machine's


def test_a_host_that_is_not_what_the_database_says_boots_no_machine(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reservation, "hosts", lambda name: {identity.hostname(): "xen"})
    assert host("domain", "create", "remus") == Denied.exit_code
    monkeypatch.setattr(reservation, "hosts", lambda name: {identity.hostname(): "fake"})
    assert host("domain", "create", "remus") == 0


@pytest.mark.parametrize(
    ("said", "found"),
    [("000228f0\n", "xen"), ("000220f0\n", "qemu"), (None, "qemu")],
    ids=["first", "other", "none"],
)
def test_a_host_knows_what_it_was_booted_as(
    said: str | None, found: str, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaml = (state / "invirt.yaml").read_text().replace("driver: fake}", "driver: auto}")
    (state / "invirt.yaml").write_text(yaml)
    config.reload()
    monkeypatch.setattr(loading, "FEATURES", tmp_path / "features")
    if said is not None:
        loading.FEATURES.write_text(said)
    assert loading.driver() == found
