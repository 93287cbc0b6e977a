"""Debian on a machine's disk, from nothing to a login at its console: some minutes."""

from __future__ import annotations

import base64
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from invirt.autoinstaller import signing
from invirt_lab import cluster
from invirt_lab.site import SERVERS
from tests.lab import terminals
from tests.lab.users import Lab
from tests.parts.autoinstaller.serving import kept
from tests.results import Result, keep

pytestmark = pytest.mark.nightly
DEADLINE = 900  # seconds for what takes a tenth of that
SERVER, PLACE = "client", "/srv/bases"  # any web server that guests reach will do


@pytest.fixture
def system(lab: Lab, checkout: Path) -> Iterator[str]:
    """Debian 12 is there to be installed."""
    place = Path(f"/proc/{cluster.leader(SERVER)}/root{PLACE}")
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder, "state")
        kept(checkout, state)
        shutil.copytree(state / "public", place)
        keyring = base64.b64encode((state / signing.KEYRING).read_bytes()).decode()
    serve = ["python3", "-m", "http.server", "--directory", PLACE, "8180"]
    lab.on(SERVER, "systemd-run", "--unit=bases", *serve)
    lab.on("db", "sh", "-c", "base64 -d >/root/keyring.gpg", input=keyring)
    url = f"http://{SERVERS[SERVER].address}:8180/debian-12"
    lab.admin("autoinstall", "add", "debian-12", "--url", url, "--keyring", "/root/keyring.gpg")
    yield "debian-12"
    lab.admin("autoinstall", "remove", "debian-12")
    lab.on(SERVER, "systemctl", "stop", "bases")
    shutil.rmtree(place)


def test_from_nothing_to_a_login(lab: Lab, system: str, machine: Callable[..., str]) -> None:
    name = machine()
    lab.remctl("alice", "machine", "resize", name, "--memory", "512M", "--disk", "hda=2G")
    began = time.monotonic()
    install = ("control", name, "install", "--autoinstall", system, "--yes")
    with terminals.closing(terminals.ssh("alice", name)) as console, ThreadPoolExecutor() as pool:
        done = pool.submit(lab.remctl, "alice", *install, timeout=DEADLINE)
        console.expect("invirt-install: [0-9]+% unpacking", timeout=DEADLINE)
        console.expect("invirt-install: 100% done", timeout=DEADLINE)
        keep(Result("lab: Debian 12 is installed", time.monotonic() - began, "s"))
        console.expect(f"{name} login: ", timeout=DEADLINE)
        keep(Result("lab: Debian 12, from nothing to login:", time.monotonic() - began, "s"))
        (password,) = re.findall(r"said once: (\S+)", done.result(DEADLINE))
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
