"""The fixture that forbids child processes and the network does forbid them."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest


def test_child_processes_are_forbidden() -> None:
    with pytest.raises(AssertionError, match="child process"):
        subprocess.run(["true"], check=True)
    with pytest.raises(AssertionError, match="child process"):
        os.system("true")


def test_the_network_is_forbidden() -> None:
    with socket.socket() as reaching, pytest.raises(AssertionError, match="network"):
        reaching.connect(("127.0.0.1", 9))


@pytest.mark.children
def test_a_marked_test_may_have_children() -> None:
    assert subprocess.run(["true"], check=False).returncode == 0
