"""The packages' own tests (debian/tests), each on a fresh server, as autopkgtest runs them elsewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from invirt.base.errors import InvirtError
from invirt.base.process import run
from invirt_lab import cluster, fresh
from invirt_lab.site import FRESH, RELEASE

ROOT = Path(__file__).parents[2]
STANZA = re.compile(r"^Tests: ([\w-]+)\nDepends:\n((?: .*\n)*)", re.MULTILINE)
DEPENDS = {
    name: re.findall(r"^ ([a-z0-9-]+),$", wanted, re.MULTILINE)
    for name, wanted in STANZA.findall((ROOT / "debian/tests/control").read_text())
}
UNPACK = "mkdir -p /tmp/tree/tmp; base64 -d | tar x -C /tmp/tree"
TRY = 'cd /tmp/tree; AUTOPKGTEST_TMP=/tmp/tree/tmp; export AUTOPKGTEST_TMP; sh -x "debian/tests/$0" 2>&1'
TIMEOUT = 600  # seconds


def groups() -> Iterator[list[str]]:
    """As many tests as there are fresh servers at once."""
    names = list(DEPENDS)
    yield from (names[begin : begin + len(FRESH)] for begin in range(0, len(names), len(FRESH)))


def tried(server: str, name: str) -> str:
    """What the test said, if it failed."""
    try:
        fresh.install(server, *DEPENDS[name])
    except InvirtError as error:
        return f"{name}: {error}"
    tree = run(["sh", "-c", 'tar c -C "$0" debian/tests | base64', str(ROOT)]).stdout
    cluster.on(server, "sh", "-c", UNPACK, input=tree)
    done = cluster.on(server, "sh", "-c", TRY, name, timeout=TIMEOUT, check=False)
    return f"{name}: {done.stdout}" if done.returncode else ""


@pytest.mark.parametrize("names", groups(), ids=" ".join)
def test_packages_pass_their_own_tests(names: list[str]) -> None:
    cluster.down()
    release = int(os.environ.get("INVIRT_LAB_DEBIAN", RELEASE))
    with fresh.servers(*list(FRESH)[: len(names)], release=release), ThreadPoolExecutor() as pool:
        failed = [said for said in pool.map(tried, FRESH, names) if said]
    assert not failed, "\n".join(failed)
