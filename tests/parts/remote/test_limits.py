"""What machines are held to: by their owners, within what the site allows; as hosts see it."""

from __future__ import annotations

import json

from tests.parts.owned import machine
from tests.parts.remote.conftest import RemoteServer
from tests.parts.remote.test_requests import say

BAD, NOT_FOUND, REFUSED = 2, 3, 4


def held(remote: RemoteServer, name: str = "remus") -> dict[str, int | None]:
    """What counts, by resource."""
    found = json.loads(say(remote, "alice", "machine", "limits", name, "--json"))
    return {one["resource"]: one["amount"] for one in found if one["amount"] is not None}


def test_owners_limit_within_what_the_site_allows(remote: RemoteServer) -> None:
    """A default counts where nothing is said, a ceiling always; who is let in sees, and changes nothing."""
    database = remote.database
    database.execute("INSERT INTO administrators VALUES ('carol@INVIRT.TEST')")
    machine(remote.database, "remus")
    assert held(remote) == {}
    say(remote, "alice", "machine", "limit", "remus", "--cap", "50", "--download", "100")
    assert held(remote) == {"cap": 50, "download": 100}
    say(remote, "alice", "machine", "limit", "remus", code=BAD)
    say(remote, "bob", "machine", "limit", "remus", "--cap", "70", code=NOT_FOUND)
    say(remote, "alice", "machine", "allow", "remus", "bob")
    say(remote, "bob", "machine", "limit", "remus", "--cap", "70", code=REFUSED)
    assert "% of a CPU" in say(remote, "bob", "machine", "limits", "remus")
    say(remote, "alice", "admin", "limit", "set", "@site", "disk", "--most", "9", code=REFUSED)
    say(remote, "carol", "admin", "limit", "set", "@site", "disk", "--default", "100", "--most", "200")
    say(remote, "carol", "admin", "limit", "set", "@site", "download", "--most", "60")
    assert held(remote) == {"cap": 50, "download": 60, "disk": 100}
    say(remote, "alice", "machine", "limit", "remus", "--disk", "201", code=BAD)
    say(remote, "carol", "admin", "limit", "set", "alice", "disk", "--most", "400")
    say(remote, "alice", "machine", "limit", "remus", "--disk", "300")
    assert held(remote)["disk"] == 300
    say(remote, "carol", "admin", "limit", "set", "alice", "disk", "--most", "150")
    assert held(remote)["disk"] == 150
    say(remote, "alice", "machine", "limit", "remus", "--cap", "0", "--disk", "0")
    assert held(remote) == {"download": 60, "disk": 100}
    assert "@site" in say(remote, "carol", "admin", "limit", "list")
    for resource in ("disk", "download"):
        say(remote, "carol", "admin", "limit", "set", "@site", resource, "--default", "0", "--most", "0")
    assert held(remote) == {"download": 100, "disk": 150}
    say(remote, "carol", "admin", "limit", "set", "nobody", "cap", "--most", "5", code=NOT_FOUND)


def test_hosts_see_those_of_what_runs_there(remote: RemoteServer) -> None:
    database = remote.database
    machine(remote.database, "remus")
    say(remote, "alice", "machine", "limit", "remus", "--cap", "50")
    query = "SELECT amount FROM limits WHERE amount IS NOT NULL"
    assert database.execute(query, user="invirt_host") == []
    database.execute("INSERT INTO hosts (name, hostname, memory) VALUES ('host1', 'host1.invirt.test', 4096)")
    database.execute(
        "INSERT INTO reservations (machine_id, host_id, memory)"
        " SELECT machine_id, h.host_id, 128 FROM machines, hosts h LIMIT 1"
    )
    assert database.execute(query, user="invirt_host") == [(50,)]
