"""The README's first command, once the lab is up."""

from __future__ import annotations

import pytest

from invirt_lab import demo


@pytest.mark.usefixtures("lab", "tidy")
@pytest.mark.parametrize("moves", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_the_main_job_is_shown(moves: bool) -> None:
    demo.run(moves)
