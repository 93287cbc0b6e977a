"""The whole way: user, remote, host; real remctld, Kerberos and PostgreSQL, fake guests."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

from tests.parts.postgres import Database
from tests.parts.remote.conftest import Cloud

CREATE = ("machine", "create", "remus", "--memory", "128", "--disk", "1")


def ok(cloud: Cloud, *command: str, user: str = "alice") -> str:
    """What a command prints that must succeed."""
    answer = cloud.call(user, *command)
    assert answer.status == 0, (command, answer)
    return answer.stdout


def running(cloud: Cloud) -> list[str]:
    """All guests on all hosts."""
    return [guest for host in cloud.hosts for guest in host.running()]


def test_one_machine_s_life(cloud: Cloud) -> None:
    made = ok(cloud, *CREATE)
    assert re.search(r"address: +192\.0\.2\.10 \(", made) and "hda 1 GiB" in made
    assert ok(cloud, "control", "remus", "create") == "remus is running\n"
    assert running(cloud) == ["d_remus"]
    [listed] = json.loads(ok(cloud, "machine", "list", "--json"))["machines"]
    assert (listed["name"], listed["state"], listed["disks"]) == ("remus", "running", {"hda": 1})
    assert "running" in ok(cloud, "machine", "list")
    assert ok(cloud, "control", "remus", "status") == f"remus is running on {listed['host']}\n"
    second = cloud.call("alice", "control", "remus", "create")
    assert second.status == 5 and "already running on" in second.stderr
    assert ok(cloud, "control", "remus", "reboot") == "remus reboots\n"
    assert cloud.call("alice", "machine", "delete", "remus", "--yes").status == 5
    assert ok(cloud, "control", "remus", "shutdown") == "remus is off\n"
    assert running(cloud) == []
    [quota] = json.loads(ok(cloud, "machine", "quota", "--json"))
    used = {"machines": 1, "running": 0, "memory": 128, "disk": 1, "cpus": 1, "addresses": 1}
    assert quota["used"] == used
    assert "128 of 4096 MiB" in ok(cloud, "machine", "quota", "alice")
    assert cloud.call("bob", "machine", "quota", "alice").status == 3


def test_changes_and_the_end(cloud: Cloud) -> None:
    ok(cloud, *CREATE)
    ok(cloud, "machine", "resize", "remus", "--memory", "256", "--cpus", "2", "--disk", "hda=2")
    ok(cloud, "machine", "rename", "remus", "romulus")
    shown = json.loads(ok(cloud, "machine", "show", "romulus", "--json"))
    assert (shown["memory"], shown["cpus"], shown["disks"]) == (256, 2, {"hda": 2})
    assert shown["principals"] == ["alice@INVIRT.TEST"] and shown["state"] == "off"
    asked = cloud.call("alice", "machine", "delete", "romulus")
    assert asked.status == 2 and "romulus" in asked.stdout and "--yes" in asked.stderr
    ok(cloud, "machine", "delete", "romulus", "--yes")
    assert json.loads(ok(cloud, "machine", "list", "--json")) == {"machines": [], "silent_hosts": {}}
    [trashed] = json.loads(ok(cloud, "machine", "trash", "--json"))
    assert (trashed["name"], trashed["disks"], trashed["machine"]) == ("romulus", {"hda": 2}, True)
    assert "romulus" in ok(cloud, "machine", "trash") and "2 GiB\n" in ok(cloud, "machine", "quota")
    assert ok(cloud, "machine", "trash", user="bob") == "There is nothing in your trash.\n"
    assert cloud.call("bob", "machine", "undelete", "romulus").status == 3
    assert ok(cloud, "machine", "undelete", "romulus", "--name", "remus") == "remus is back\n"
    back = json.loads(ok(cloud, "machine", "show", "remus", "--json"))
    assert {**back, "name": "romulus"} == shown
    ok(cloud, "machine", "delete", "remus", "--yes")
    assert cloud.call("alice", "machine", "purge", "remus").status == 2
    ok(cloud, "machine", "purge", "remus", "--yes")
    assert json.loads(ok(cloud, "machine", "trash", "--json")) == []
    done = json.loads(ok(cloud, "machine", "operations", "--json"))
    assert [(o["kind"], o["state"]) for o in done] == [
        ("purge", "done"), ("delete", "done"), ("undelete", "done"),
        ("delete", "done"), ("rename", "done"), ("resize", "done"), ("create", "done"),
    ]  # fmt: skip
    assert "delete" in ok(cloud, "machine", "operations")


def test_disks_in_a_user_s_name(cloud: Cloud) -> None:
    web = "host/web.invirt.test"
    ok(cloud, "web", "create", "alice", "remus", "--memory", "128", "--disk", "1", user=web)
    ok(cloud, "web", "lvcreate", "alice", "remus", "hdb", "1", user=web)
    ok(cloud, "web", "lvresize", "alice", "remus", "hdb", "3", user=web)
    ok(cloud, "web", "lvrename", "alice", "remus", "hdb", "hdc", user=web)
    [listed] = json.loads(ok(cloud, "web", "listvms", user=web))["machines"]
    assert listed["disks"] == {"hda": 1, "hdc": 3}
    stranger = cloud.call(web, "web", "lvremove", "bob", "remus", "hdc")
    assert stranger.status == 3 and "no machine remus that you may use" in stranger.stderr
    ok(cloud, "web", "lvremove", "alice", "remus", "hdc", user=web)
    ok(cloud, "web", "control", "alice", "remus", "create", user=web)
    assert running(cloud) == ["d_remus"]
    rows = cloud.remote.database.execute("SELECT DISTINCT principal, via FROM operations")
    assert rows == [("alice@INVIRT.TEST", f"{web}@INVIRT.TEST")]


def test_each_command_is_audited_before_and_after(cloud: Cloud) -> None:
    ok(cloud, *CREATE)
    cloud.call("alice", "machine", "create", "remus")
    ok(cloud, "machine", "list")
    rows = cloud.remote.database.execute(
        "SELECT arguments, machine_name, outcome FROM audit WHERE principal = 'alice@INVIRT.TEST'"
        " ORDER BY audit_id"
    )
    words = " ".join(CREATE[1:])
    assert rows == [
        (words, "remus", "begun"), (words, "remus", "succeeded"),
        ("create remus", "remus", "begun"), ("create remus", "remus", "failed"),
        ("list", None, "succeeded"),
    ]  # fmt: skip


def test_a_host_that_is_down_is_named(cloud: Cloud) -> None:
    ok(cloud, *CREATE)
    ok(cloud, "control", "remus", "create")
    [listed] = json.loads(ok(cloud, "machine", "list", "--json"))["machines"]
    home = next(host for host in cloud.hosts if host.running())
    home.remctld.stop()
    answer = cloud.call("alice", "machine", "list")
    assert answer.status == 0 and "unknown" in answer.stdout
    assert answer.stderr.startswith(f"{listed['host']} did not answer"), answer
    failed = cloud.call("alice", "control", "remus", "shutdown")
    assert failed.status == 7 and not failed.stdout, failed
    [_, newest, *_] = ok(cloud, "machine", "operations", "remus").splitlines()
    assert "shutdown" in newest and "undone" in newest and f"{home.hostname} doesn't answer" in newest


def test_the_same_key_is_the_same_request(cloud: Cloud) -> None:
    for _ in range(2):
        ok(cloud, *CREATE, "--key", "once")
    assert cloud.remote.database.execute("SELECT count(*) FROM operations") == [(1,)]


def test_quota_is_said_and_kept(cloud: Cloud) -> None:
    answer = cloud.call("alice", "machine", "create", "remus", "--memory", "60000")
    assert answer.status == 6 and "quota" in answer.stderr and not answer.stdout, answer
    assert cloud.remote.database.execute("SELECT * FROM machines") == []


def test_a_system_is_installed(cloud: Cloud, site: Database) -> None:
    """By a fake installer, which is told what a real one is, and says that it is done."""
    site.execute(
        "INSERT INTO autoinstalls (name, url, keyring, memory, disk)"
        " VALUES ('debian-12', 'http://install.invirt.test:8180/debian-12', 'key', 128, 1)"
    )
    assert "debian-12" in ok(cloud, "machine", "systems")
    ok(cloud, *CREATE)
    asked = ("control", "remus", "install", "--autoinstall")
    refused = cloud.call("alice", *asked, "debian-99", "--yes")
    assert refused.status == 3 and "password" not in refused.stderr, refused
    assert "Say so again with --yes" in cloud.call("alice", *asked, "debian-12").stderr
    done = cloud.call("alice", *asked, "debian-12", "--yes", "--key", "once")
    said = re.search(r"root's password, which is said once: (\S{16})\n", done.stdout)
    assert done.status == 0 and said, done
    assert done.stderr.startswith(f"  root's password, should this call be cut off: {said[1]}\n"), done
    assert running(cloud) == ["d_remus"]
    again = ok(cloud, *asked, "debian-12", "--yes", "--key", "once")
    assert "was said when this was asked for first" in again
    shown = json.loads(ok(cloud, "machine", "show", "remus", "--json"))
    assert shown["system"] == "debian-12" and shown["installed_at"]
    ok(cloud, "control", "remus", "destroy")
    twice = (*asked, "debian-12", "--yes", "--key", "twice at once")
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda _: cloud.call("alice", *twice), range(2))
    assert first.status == second.status == 0, (first, second)
    assert ["said once" in answer.stdout for answer in (first, second)].count(True) == 1, (first, second)
    ok(cloud, "control", "remus", "destroy")
    assert "control remus reboot ends that" in ok(cloud, "control", "remus", "rescue")
    assert "remus is running (rescue) on" in ok(cloud, "control", "remus", "status")
    ok(cloud, "control", "remus", "reboot")
    assert "rescue" not in ok(cloud, "control", "remus", "status")
    ok(cloud, "control", "remus", "destroy")
    assert cloud.call("bob", *asked, "debian-12", "--yes").status == 255  # remctld itself refuses
