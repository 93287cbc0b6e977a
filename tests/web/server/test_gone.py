"""What is left of the pages when something behind them is gone."""

from __future__ import annotations

from tests.parts.owned import machine
from tests.parts.postgres import Cluster, frozen
from tests.web.server.conftest import WebServer
from tests.web.server.test_progress import BEGUN, ENDED, STEP, told


def test_the_remote_server_is_gone(web: WebServer) -> None:
    """What is known is shown; a form says that nothing was done."""
    alice = web.browser("alice")
    web.database.execute(
        "INSERT INTO machines (name, owner_id, type_id, memory)"
        " SELECT 'remus', owner_id, type_id, 128 FROM owners, types WHERE owners.name = 'alice'"
    )
    assert web.remote
    web.remote.remctld.stop()
    assert alice.ask("/").status == 200
    page = alice.ask("/machines/remus")
    assert page.status == 200 and ">remus</h1>" in page.text
    answer = alice.send("/", "/machines/remus/create")
    assert answer.status == 503 and "nothing was done: remote.invirt.test" in answer.text


def test_the_database_stands_still(web: WebServer, cluster: Cluster) -> None:
    """Each page says so, and is back when it is; signing on needs it not."""
    alice = web.browser("alice")
    assert alice.ask("/").status == 200
    with frozen(cluster):
        page = web.browser("alice").ask("/")
        assert page.status == 503 and "the database" in page.text and page.headers["Refresh"]
        assert alice.ask("/sign-on").status == 200
    assert alice.ask("/").status == 200


def test_streams_while_the_database_stands_still(web: WebServer, cluster: Cluster) -> None:
    """What is open stays so, and hears what was missed; nobody new is let in."""
    alice = web.browser("alice")
    machine(web.database, "waits", "alice")
    number = int(web.database.execute(BEGUN.replace("'remus'", "'waits'"))[0][0])
    path = f"/streams/operations/{number}"
    stream = alice.open(path)
    assert told(stream)
    with frozen(cluster):
        assert alice.ask(path).status == 503
        assert alice.ask(path).status == 503
    web.database.execute(STEP, ("doing", number, 1))
    assert (now := told(stream)) and now["steps"]
    web.database.execute(ENDED, (number,))
    assert (now := told(stream)) and now["state"] == "done" and told(stream) is None
    stream.close()
    assert alice.ask("/streams/operations/123456789").status == 404


def test_the_database_was_restarted(web: WebServer) -> None:
    """Connections that were kept are made anew."""
    alice = web.browser("alice")
    assert alice.ask("/").status == 200
    web.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'invirt-web'",
        user="postgres",
    )
    assert [alice.ask("/").status for _ in range(4)] == [200] * 4
