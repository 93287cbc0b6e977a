"""Pages of a large site for many users at once, beside a bare Flask page of as many rows."""

from __future__ import annotations

import http.client
import itertools
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest

from invirt.web import session
from tests.bench.test_observed import ALIVE, BARELY, FILL, HOSTS, MACHINES, OWNERS
from tests.parts.realm import end
from tests.parts.remote.conftest import WEB
from tests.results import Result, beside, keep
from tests.web.server.conftest import WebServer, doors, passed, web

__all__ = ["doors", "web"]  # the fixtures

USERS, EACH = 20, 10  # at once; pages of each
MINE = 3.0  # times as long as a bare page
OWNED, SITES = 0.1, 0.3  # seconds that are aimed at, for an owner and for an administrator
ROWS = MACHINES // OWNERS
DISKS_AND_NICS = f"""
{BARELY}
INSERT INTO disks (machine_id, name, size) SELECT machine_id, 'hda', 1 FROM machines;
INSERT INTO nics (machine_id, mac_addr, ip)
    SELECT machine_id, ('00163e' || to_char(machine_id, 'FM000000'))::macaddr, '10.8.0.9'::inet + machine_id
    FROM machines;
INSERT INTO administrators (principal)
    SELECT 'root' || n || '@INVIRT.TEST' FROM generate_series(1, {USERS}) n;
RESET session_replication_role;
ANALYZE
"""
BARE = f"""\
#!/usr/bin/python3
from flask import Flask
from invirt.web.commands.pages import Pages

PAGE = '''<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Machines</title><link rel="stylesheet" href="/static/style.css"></head>
<body><table>
{{% for row in rows %}}<tr>{{% for value in row %}}<td>{{{{ value }}}}</td>{{% endfor %}}</tr>
{{% endfor %}}</table></body></html>'''
ROWS = [(f"machine{{n}}", "running", "10.8.0.9", "64 MiB", "1 GiB", "alice") for n in range({ROWS})]
app = Flask("bare")
template = app.jinja_env.from_string(PAGE)
app.add_url_rule("/streams/bare", "mine", lambda: template.render(rows=ROWS))


class Bare(Pages):
    def load(self):
        return app


Bare().run()
"""


@pytest.fixture
def large(web: WebServer) -> WebServer:
    """Among 10,000 machines; the principals o1 and on own some, root1 and on are administrators."""
    for sql, user in ((BARELY + FILL, "postgres"), (DISKS_AND_NICS, "postgres"), (ALIVE, "invirt")):
        web.database.execute(sql, user=user)
    return web


@pytest.fixture
def bare(large: WebServer, tmp_path: Path) -> None:
    """The bare page, served as ours are, in the streams' place behind Apache."""
    program = tmp_path / "bare"
    program.write_text(BARE)
    program.chmod(0o755)
    assert large.streams
    end(large.streams)
    large.streams = passed(large, "streams", program)


def cookies(web: WebServer, name: str) -> Iterator[str]:
    """Of a session of each user of that name."""
    signing = session.signed(session.key(web.folder))
    for number in itertools.count(1):
        made: dict[str, Any] = {}
        session.begin(made, f"{name}{number}@INVIRT.TEST", "password")
        yield f"{session.COOKIE}={signing.dumps(made)}"


def asked(web: WebServer, path: str, users: Iterator[str]) -> list[float]:
    """Seconds of each page, where the next users ask for it at once, each for one after the other."""
    context = ssl.create_default_context(cafile=str(web.folder / "server.crt"))
    context.check_hostname = False  # it is reached by its address

    def one(cookie: str) -> list[float]:
        took = []
        with closing(http.client.HTTPSConnection(web.address, context=context, timeout=60)) as connection:
            for _ in range(EACH):
                began = time.monotonic()
                connection.request("GET", path, headers={"Cookie": cookie, "Host": WEB})
                response = connection.getresponse()
                page = response.read()
                took.append(time.monotonic() - began)
                assert response.status == 200 and page.count(b"<tr") >= ROWS, page
        return took

    with ThreadPoolExecutor(USERS) as pool:
        return [*itertools.chain(*pool.map(one, itertools.islice(users, USERS)))]


def test_pages(large: WebServer, bare: None) -> None:
    owners = cookies(large, "o")
    took: dict[str, list[float]] = {"/": [], "/streams/bare": []}

    def all_of(path: str) -> float:
        """Seconds of all that some users ask for."""
        began = time.monotonic()
        took[path] += asked(large, path, owners)
        return time.monotonic() - began

    for path in took:
        asked(large, path, owners)
    what = f"an owner's page, {USERS} users at once"
    beside(what, lambda: all_of("/"), lambda: all_of("/streams/bare"), MINE)
    asked(large, "/site", cookies(large, "root"))
    for whose, seconds, aim in (
        ("an owner's", took["/"], OWNED),
        ("an administrator's", asked(large, "/site", cookies(large, "root")), SITES),
    ):
        cuts = quantiles(seconds, n=100)
        what = f"{whose} page, {USERS} users at once, {MACHINES} machines on {HOSTS} hosts"
        for part, cut in (("half within", cuts[49]), ("99 of 100 within", cuts[98])):
            keep(Result(f"{what}: {part}", cut * 1000, "ms", aim * 1000))
