"""A user's command all the way: remctl, remote's worker, the database, a host's worker; beside bare calls.

Guests and volumes of the hosts are files, which cost nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.parts.owned import owner
from tests.parts.realm import Answer
from tests.parts.remote.conftest import Cloud, cloud, site
from tests.results import Result, beside, keep, quickest

__all__ = ["cloud", "site"]  # the fixtures

ROUNDS = 5
AT_ONCE, STORM = 10, 100
CREATE, CREATES, HOST = 14.0, 20.0, 5.0  # times as long as bare calls
ABOVE = 0.04  # seconds that a host's command may take above a bare call

_numbers = itertools.count(1)


def ok(answer: Answer) -> None:
    """It must have succeeded."""
    assert answer.status == 0, answer


def create(cloud: Cloud, people: Sequence[str] = ("alice",)) -> None:
    number = next(_numbers)
    words = ("machine", "create", f"m{number}", "--memory", "64", "--disk", "1")
    ok(cloud.call(people[number % len(people)], *words))


def at_once(work: Callable[[], None], many: int = AT_ONCE) -> None:
    """So many of it, all at the same time."""
    with ThreadPoolExecutor(many) as pool:
        for done in [pool.submit(work) for _ in range(many)]:
            done.result()


@pytest.fixture
def roomy(cloud: Cloud) -> Cloud:
    """With room for as many machines as it likes, and a command that does nothing."""
    file = cloud.remote.database.config  # some wait in line for their owner's row longer than tests let them
    file.write_text(file.read_text().replace("statement_timeout: 2", "statement_timeout: 20"))
    cloud.remote.database.execute("UPDATE owners SET machines = 10000, memory = 1000000, disk = 10000")
    cloud.remote.database.execute("UPDATE address_ranges SET last = '192.0.9.250', prefix = 16")
    for place in (cloud.remote, *cloud.hosts):
        conf = place.namespace.folder / "remctl/conf.d/nothing"
        conf.write_text("nothing ALL /bin/true ANYUSER\n")
    return cloud


def bare(cloud: Cloud, user: str = "alice") -> None:
    """A call that does nothing."""
    ok(cloud.call(user, "nothing"))


def test_commands_through_hosts(roomy: Cloud) -> None:
    cloud, host = roomy, roomy.hosts[0]

    def bare_of_host() -> None:
        ok(host.call("nothing"))

    def volume() -> None:
        ok(host.call("volume", "create", "other", "hda", "1", str(next(_numbers))))

    def status() -> None:
        ok(host.call("domain", "status", "other"))

    with cloud.warm():
        for made in (partial(create, cloud), volume, status):
            made()
        beside(
            "machine create, through its host", partial(quickest, partial(create, cloud), ROUNDS),
            partial(quickest, partial(bare, cloud), ROUNDS), CREATE,
        )  # fmt: skip
        beside(
            f"{AT_ONCE} machine creates at once",
            partial(quickest, partial(at_once, partial(create, cloud)), 1),
            partial(quickest, partial(at_once, partial(bare, cloud)), 1), CREATES,
        )  # fmt: skip
        for what, work in (("volume create", volume), ("domain status", status)):
            name = f"remctl HOST {what}"
            took, plain = beside(
                name, partial(quickest, work, ROUNDS), partial(quickest, bare_of_host, ROUNDS), HOST
            )
            keep(Result(f"{name}, above a bare call", took - plain, "s", ABOVE))


@pytest.mark.nightly
def test_a_storm(roomy: Cloud) -> None:
    """As many at once as a class has people; each is answered."""
    people = [f"student{number}" for number in range(STORM // 4)]
    for one in people:
        owner(roomy.remote.database, one)
        bare(roomy, one)  # who has a ticket from now on
    with roomy.warm():
        create(roomy)
        took, _ = beside(
            f"{STORM} machine creates at once",
            partial(quickest, partial(at_once, partial(create, roomy, people), STORM), 1),
            partial(quickest, partial(at_once, partial(bare, roomy), STORM), 1),
            CREATES,
        )
        keep(Result(f"machine creates, {STORM} at once", STORM / took, "a second"))
