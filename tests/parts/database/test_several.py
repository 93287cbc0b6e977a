"""A database that may be on one of several servers: whoever has it is found, and no copy is taken for it."""

from __future__ import annotations

import time
from contextlib import closing

import pytest

from invirt import config
from invirt.base.errors import Unreachable
from invirt.database import connection, reach
from tests.parts import postgres
from tests.parts.database.conftest import Caller
from tests.parts.waiting import until

WHERE = "SELECT host(inet_server_addr()), pg_is_in_recovery()"
ME = "host/remote.invirt.test"


def test_the_one_that_has_it_is_found(
    server: postgres.Cluster, copy: tuple[postgres.Cluster, str], several: Caller
) -> None:
    """While both answer, while none has it, and once the copy was made the database."""
    made, address = copy
    assert several.ask(ME, "remote", WHERE) == [("127.0.0.1", False)]
    connection.Last.server = address  # a copy by now, say
    assert several.ask(ME, "remote", WHERE) == [("127.0.0.1", False)]
    with postgres.frozen(server):
        began = time.monotonic()
        with pytest.raises(Unreachable):
            several.ask(ME, "remote", WHERE)
        assert time.monotonic() - began < 2 * config.database.connect_timeout + 2
        made.run("SELECT pg_promote()")
        assert several.ask(ME, "remote", WHERE) == [(address, False)], "a server that is silent is gone past"
        began = time.monotonic()
        assert several.ask(ME, "remote", WHERE) == [(address, False)]
        assert time.monotonic() - began < 1, "it is asked first from now on"
        connection.Last.server = ""
        with closing(reach.connect(20)) as connected, connected.cursor() as cursor:
            cursor.execute(WHERE)
            assert cursor.fetchone() == (address, False)


def test_what_follows_is_read_only(server: postgres.Cluster, copy: tuple[postgres.Cluster, str]) -> None:
    """What is committed is there; a copy takes no changes."""
    made, _ = copy
    server.run("INSERT INTO owners (name, memory, disk, machines) VALUES ('eva', 1024, 10, 4)", "invirt")
    with closing(made.superuser("invirt")) as connected, connected.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        assert cursor.fetchone() == (True,)

        def arrived() -> bool:
            cursor.execute("SELECT count(*) FROM owners WHERE name = 'eva'")
            return cursor.fetchone() == (1,)

        until(arrived)
    server.run("DELETE FROM owners WHERE name = 'eva'", "invirt")
