"""The README's first command, once the lab is up."""

from __future__ import annotations

from invirt_lab import demo
from tests.lab.users import Lab


def test_the_main_job_is_shown(lab: Lab) -> None:
    demo.run()
    lab.remctl("alice", "control", "remus", "destroy")
    lab.remctl("alice", "machine", "delete", "remus", "--yes")
