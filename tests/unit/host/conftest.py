"""A host of its own for each test: folders, a configuration, and the fakes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from invirt import config
from invirt.base import identity, remctl
from invirt.host import reservation
from invirt.host.commands import domain, status, volume
from invirt.host.storage import pools

PROGRAMS = {"domain": domain.COMMAND, "volume": volume.COMMAND, "host": status.COMMAND}
QUESTIONS = ("list", "status")
INVIRT_YAML = """\
site: {{domain: invirt.test, realm: INVIRT.TEST}}
database: {{hostname: db.invirt.test}}
remote: {{hostname: remote.invirt.test}}
hypervisor: {{driver: fake}}
storage: {{driver: fake, directory: {directory}}}
"""
DATABASE = """\
name = "d_" + machine_name
type = "pvh"
memory = 128
vcpus = 1
"""

Host = Callable[..., Any]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """What the host keeps, with INVIRT_STATE, INVIRT_RUN, INVIRT_XEN and INVIRT_CONFIG pointing there."""
    (tmp_path / "invirt.yaml").write_text(INVIRT_YAML.format(directory=tmp_path / "volumes"))
    (tmp_path / "xen").mkdir()
    (tmp_path / "xen/invirt-database").write_text(DATABASE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INVIRT_CONFIG", str(tmp_path / "invirt.yaml"))
        patch.setenv("INVIRT_STATE", str(tmp_path))
        patch.setenv("INVIRT_RUN", str(tmp_path / "run"))
        patch.setenv("INVIRT_XEN", str(tmp_path / "xen"))
        patch.setattr(reservation, "hosts", lambda name: {identity.hostname(): "fake"})
        patch.setattr(pools, "seen", lambda: [pools.Pool("default", first=True)])
        config.reload()
        yield tmp_path
    config.reload()


@pytest.fixture
def host(state: Path, capsys: pytest.CaptureFixture[str]) -> Host:
    """host("domain", "list") as remctl runs it: the answer's JSON, or the exit code if it isn't 0.

    What takes a token gets a new one, unless it is given one.
    """
    tokens = itertools.count(1)

    def call(program: str, *argv: object, token: object = None) -> Any:
        capsys.readouterr()
        if argv[0] not in QUESTIONS:
            argv = (*argv, next(tokens) if token is None else token)
        code = remctl.main(
            PROGRAMS[program],
            [str(word) for word in argv],
            environ={"REMOTE_USER": "host/remote.invirt.test@INVIRT.TEST"},
            write=lambda *_, **__: None,
        )
        said = capsys.readouterr().out
        return code or (json.loads(said) if said else 0)

    return call
