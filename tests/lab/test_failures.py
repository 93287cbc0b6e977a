"""What breaks under the users: doors stay shut, nothing is half done, and it comes back by itself."""

from __future__ import annotations

from collections.abc import Callable

from invirt_lab import cluster
from tests.lab.users import Lab, eventually

Make = Callable[..., str]
UNREACHABLE, REFUSED = 7, 255


def works(lab: Lab, user: str, *words: str) -> bool:
    return lab.try_remctl(user, *words).returncode == 0


def test_a_host_that_is_down(lab: Lab, machine: Make) -> None:
    names = [machine(), machine()]
    lab.remctl("alice", "control", names[0], "create")
    home = next(host for host, found in lab.domains().items() if names[0] in found)
    with cluster.cut_off(home):
        listed = lab.try_remctl("alice", "machine", "list")
        assert listed.returncode in (0, UNREACHABLE)
        assert home in listed.stdout + listed.stderr
        done = lab.try_remctl("alice", "control", names[0], "destroy")
        assert done.returncode == UNREACHABLE
        assert home in done.stderr
        lab.remctl("alice", "control", names[1], "create")
    other = next(host for host, found in lab.domains().items() if names[1] in found)
    assert other != home
    eventually(lambda: works(lab, "alice", "control", names[0], "destroy"), "the host to be back", 90)
    assert names[0] not in lab.domains()[home]


def test_the_database_stopped(lab: Lab, machine: Make) -> None:
    name = machine()
    before = lab.world()
    lab.on("db", "systemctl", "stop", "postgresql")
    try:
        for words in (("machine", "list"), ("control", name, "status"), ("control", name, "create")):
            done = lab.try_remctl("alice", *words)
            assert done.returncode == UNREACHABLE
            assert "database" in done.stderr
            assert "Traceback" not in done.stderr
        assert lab.try_remctl("bob", "control", name, "status").returncode != 0
    finally:
        lab.on("db", "systemctl", "start", "postgresql")
    eventually(lambda: works(lab, "alice", "control", name, "status"), "the database to be back")
    assert lab.world() == before


def test_remconffs_stopped(lab: Lab, machine: Make) -> None:
    name = machine()
    lab.on("remote", "systemctl", "stop", "invirt-remconffs")
    try:
        # The socket may start it again; a stranger doesn't get in either way.
        assert lab.try_remctl("bob", "control", name, "status").returncode != 0
    finally:
        lab.on("remote", "systemctl", "start", "invirt-remconffs")
    assert works(lab, "alice", "control", name, "status")
    assert lab.try_remctl("bob", "control", name, "status").returncode == REFUSED


def test_remconffs_killed(lab: Lab, machine: Make) -> None:
    name = machine()
    lab.on("remote", "systemctl", "kill", "--signal=KILL", "invirt-remconffs")
    assert lab.try_remctl("bob", "control", name, "status").returncode != 0
    eventually(lambda: works(lab, "alice", "control", name, "status"), "remconffs to be back")
    assert lab.try_remctl("bob", "control", name, "status").returncode == REFUSED


def test_remconffs_unmounted(lab: Lab, machine: Make) -> None:
    name = machine()
    lab.on("remote", "umount", "--lazy", "/etc/remctl/remconffs")
    assert lab.try_remctl("bob", "control", name, "status").returncode != 0
    eventually(lambda: works(lab, "alice", "control", name, "status"), "remconffs to be back")
    assert lab.try_remctl("bob", "control", name, "status").returncode == REFUSED


def test_hosts_obey_remote_only(lab: Lab) -> None:
    for user in ("alice", "root/admin"):
        done = cluster.as_user(user, "remctl", "host1.invirt.test", "domain", "list", check=False)
        assert done.returncode == REFUSED
