"""Debian on a machine's disk, from nothing to a login at its console: some minutes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from invirt_lab import cluster, installing
from tests.lab import terminals
from tests.lab.users import Lab
from tests.results import Result, keep

pytestmark = pytest.mark.nightly
DEADLINE = 900  # seconds for what takes a tenth of that


@pytest.fixture
def system(lab: Lab) -> Iterator[str]:
    """Debian 12 is there to be installed."""
    installing.make()
    yield installing.SYSTEM
    lab.admin("autoinstall", "remove", installing.SYSTEM)
    cluster.kill(installing.SERVER)


def test_from_nothing_to_a_login(lab: Lab, system: str, machine: Callable[..., str]) -> None:
    name = machine()
    lab.remctl("alice", "machine", "resize", name, "--memory", "512M", "--disk", "hda=2G")
    began = time.monotonic()
    install = ("control", name, "install", "--autoinstall", system, "--yes")
    with terminals.closing(terminals.ssh("alice", name)) as console, ThreadPoolExecutor() as pool:
        done = pool.submit(lab.remctl, "alice", *install, timeout=DEADLINE)
        wait([done], timeout=5)  # what is refused is told at once
        assert not done.done(), done.result()
        console.expect("invirt-install: [0-9]+% unpacking", timeout=DEADLINE)
        console.expect("invirt-install: 100% done", timeout=DEADLINE)
        keep(Result("lab: Debian 12 is installed", time.monotonic() - began, "s"))
        console.expect(f"{name} login: ", timeout=DEADLINE)
        keep(Result("lab: Debian 12, from nothing to login:", time.monotonic() - began, "s"))
        password = installing.password_of(done.result(DEADLINE))
        console.sendline("root")
        console.expect("Password: ", timeout=DEADLINE)
        console.sendline(password)
        console.expect(f"root@{name}:.*# ", timeout=DEADLINE)
        shown = json.loads(lab.remctl("alice", "machine", "show", name, "--json"))
        assert shown["system"] == system and shown["installed_at"]
        console.sendline("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; ip -br -4 address; hostname -f")
        console.expect_exact(shown["host_keys"]["ED25519"], timeout=DEADLINE)
        console.expect_exact(shown["nics"][0]["ip"], timeout=DEADLINE)
        lab.remctl("alice", "control", name, "reboot", timeout=DEADLINE)
        console.expect(f"{name} login: ", timeout=DEADLINE)
