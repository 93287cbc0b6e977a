"""The API is as it is described: schemathesis, which scripts/test brings, tries all of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.web.server.conftest import WEB, WebServer
from tests.web.server.test_api import by_password

PROGRAM = Path(__file__).parents[3] / ".cache/schemathesis/bin/schemathesis"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 12  # of each path
LONGEST = 3000  # seconds


@pytest.mark.nightly
@pytest.mark.timeout(LONGEST + 60)
def test_all_of_it_is_as_described(web: WebServer) -> None:
    """Whatever is sent gets one of the answers that are described, and never a bug's.

    Not faster than one user may ask: else all that is tried is the refusal of that.
    """
    if not PROGRAM.exists():
        pytest.skip("schemathesis is not installed; scripts/test rest brings it")
    alice = by_password(web, "alice")
    described = web.folder / "openapi.json"
    described.write_text(json.dumps(alice.found("openapi.json")))
    argv = [*web.enter, str(PROGRAM), "run", str(described), "--url", f"https://{WEB}/api/1"]
    argv += ["--tls-verify", str(web.folder / "server.crt"), "--checks", CHECKS, "--workers", "1"]
    argv += ["--header", f"Authorization: {alice.headers['Authorization']}", "--rate-limit", "2/s"]
    argv += ["--max-examples", str(EXAMPLES), "--phases", "coverage,fuzzing", "--seed", "1"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=LONGEST, cwd=web.folder)
    found = done.stdout.partition("= WARNINGS =")[0]
    assert done.returncode == 0, f"{found[-9000:]}\n{done.stderr[-2000:]}\n{web.log()[-3000:]}"
    assert "something is wrong here" not in done.stdout
