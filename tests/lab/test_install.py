"""Debian on a machine's disk, from nothing to a login at its console: some minutes."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pexpect
import pytest

from invirt.autoinstaller import bases, tools
from invirt_lab import cluster, installing
from tests.lab import terminals
from tests.lab.users import Lab
from tests.parts.autoinstaller import mirrors
from tests.results import Result, keep

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]
CONTROL = """\
Package: greeter
Version: 1
Architecture: all
Maintainer: Nobody <root@localhost>
Description: says that it is there
"""
FAILED = r"invirt-install: failed: [^\r]*"
DEADLINE = 900  # seconds for what takes a tenth of that


@pytest.fixture(scope="module")
def system(lab: Lab) -> Iterator[str]:
    """Debian 12 is there to be installed."""
    installing.make()
    yield installing.SYSTEM
    lab.admin("autoinstall", "remove", installing.SYSTEM)
    cluster.kill(installing.SERVER)


def hear(console: pexpect.spawn, words: str) -> None:
    """Wait until the installer says so on the machine's console."""
    heard = console.expect([f"invirt-install: [0-9]+% {words}", FAILED], timeout=2 * DEADLINE)
    assert heard == 0, console.match[0]


def by_apt(folder: Path) -> str:
    """Make a mirror of one package, served beside the bases; the line that installs and runs it."""
    tree, packages = folder / "tree", folder / "packages"
    for one in (tree / "DEBIAN", tree / "usr/bin", packages, folder / "mirror"):
        one.mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(CONTROL)
    (tree / "usr/bin/greet").write_text("#!/bin/sh\necho greeted-by-$1\n")
    (tree / "usr/bin/greet").chmod(0o755)
    words = ["dpkg-deb", "--build", "--root-owner-group", str(tree), str(packages)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=60)
    mirror = mirrors.empty(folder / "mirror", mirrors.SUITE, folder / "nobody")
    mirror.publish("", packages)
    shutil.copy(mirror.keyring, mirror.folder / "nobody.gpg")
    shutil.copytree(mirror.folder, installing.public() / "mirror")
    url = installing.url("mirror")
    fetch = f"/usr/lib/apt/apt-helper download-file {url}/nobody.gpg /etc/apt/trusted.gpg.d/nobody.gpg"
    line = f"deb {url} {mirrors.SUITE} {mirrors.COMPONENT}"
    told = f"{fetch} && echo {line} >/etc/apt/sources.list"
    return f"{told} && apt-get update && apt-get -y install greeter && greet apt"


def test_from_nothing_to_a_login(lab: Lab, system: str, tidy: None, tmp_path: Path) -> None:
    """By one line of a user's, which ends at the new machine's console."""
    name, began = "remus", time.monotonic()
    words = ("create", name, "--memory", "512M", "--disk", "2G", "--install", system, "--console")
    with terminals.closing(terminals.open(cluster.command_as("alice", ["invirt", *words]))) as console:
        console.expect(r"root's password, which is said once: (\S+)", timeout=DEADLINE)
        password = console.match[1]
        keep(Result("lab: Debian 12 is installed", time.monotonic() - began, "s"))
        console.expect(f"{name} login: ", timeout=DEADLINE)
        keep(Result("lab: Debian 12, from nothing to login:", time.monotonic() - began, "s"))
        console.sendline("root")
        console.expect("Password: ", timeout=DEADLINE)
        console.sendline(password)
        console.expect(f"root@{name}:.*# ", timeout=DEADLINE)
        shown = json.loads(lab.remctl("alice", "machine", "show", name, "--json"))
        assert shown["system"] == system and shown["installed_at"]
        console.sendline("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; ip -br -4 address; hostname -f")
        console.expect_exact(shown["host_keys"]["ED25519"], timeout=DEADLINE)
        console.expect_exact(shown["nics"][0]["ip"], timeout=DEADLINE)
        console.sendline(by_apt(tmp_path))
        console.expect_exact("greeted-by-apt", timeout=DEADLINE)
        lab.remctl("alice", "control", name, "reboot", timeout=DEADLINE)
        console.expect(f"{name} login: ", timeout=DEADLINE)


@pytest.fixture
def without_base(lab: Lab, system: str, tmp_path: Path) -> Iterator[str]:
    """Few of the same packages, of a mirror that another key has signed; nothing is made of them ahead."""
    name = mirrors.NAME
    with tempfile.TemporaryDirectory() as folder:  # a name short enough for gpg's socket
        state = Path(folder, "state")
        shutil.copytree(installing.BASES, state, ignore=shutil.ignore_patterns("S.*"))
        mirrors.download(tmp_path, (*mirrors.MINIMAL, *mirrors.FEW))
        (state / "packages").mkdir()
        mirror = mirrors.empty(state / "packages", mirrors.SUITE, state / "nobody")
        mirror.publish("", tmp_path)
        own = mirrors.own(state / "bases", mirror.keyring, installing.url("packages"), ahead=False)
        recipe = replace(own, packages=mirrors.FEW, mirror=mirrors.NOWHERE)
        bases.build(state, name, partial(tools.make, recipe, tools.DEBIAN), tools.MAKES, suite=own.suite)
        for served in (state / bases.PUBLIC / name, mirror.folder):
            shutil.copytree(served, installing.public() / served.name)
    installing.offer(name, "made in the machine", mirrors.SUITE, "--mirror", installing.url("packages"))
    yield name
    lab.admin("autoinstall", "remove", name)


def test_without_a_base(lab: Lab, without_base: str, machine: Callable[..., str]) -> None:
    """The machine makes its system itself, of packages that its own apt has checked."""
    name = machine()
    lab.remctl("alice", "machine", "resize", name, "--memory", "512M", "--disk", "hda=2G")
    began = time.monotonic()
    install = ("control", name, "install", "--autoinstall", without_base, "--yes", "--no-wait")
    with terminals.closing(terminals.ssh("alice", name)) as console:
        assert installing.password_of(lab.remctl("alice", *install))  # a call ends before this may
        for words in ("fetching packages", "installing the other packages", "done"):
            hear(console, words)
        keep(Result("lab: Debian 12 is installed without a base", time.monotonic() - began, "s"))
        console.expect(f"{name} login: ", timeout=DEADLINE)
    shown = json.loads(lab.remctl("alice", "machine", "show", name, "--json"))
    assert shown["system"] == without_base and shown["installed_at"] and shown["host_keys"]
