"""`admin host update` on real hosts: apt, a reboot, back into service, and no guest ever stopped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from invirt_lab import console
from invirt_lab.cluster import wait_booted
from invirt_lab.site import ARCHIVE, HOSTS, REALM
from tests.lab.users import Done, Lab, eventually

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1500)]
Make = Callable[..., str]
UPTIME = "cut -d. -f1 /proc/uptime"
ENABLED = "SELECT name FROM hosts WHERE enabled ORDER BY name"

# Packages of ours as they are installed on a server, $1 their new version, $2 what the host does
# at last in its postinst; in an archive that is that server's alone.
NEWER = r"""
set -e
rm -rf /srv/newer
mkdir -p /srv/newer
cd /srv/newer
for name in $(dpkg-query --show --showformat='${Package}\n' 'invirt-*'); do
    dpkg-deb --raw-extract "$(find "$0" -name "${name}_*.deb" | sort | tail -n 1)" tree
    old=$(dpkg-deb --field "$(find "$0" -name "${name}_*.deb" | sort | tail -n 1)" Version)
    sed -i "s/^Version: .*/Version: $1/; s/(= $old)/(= $1)/g" tree/DEBIAN/control
    [ "$name" != invirt-host ] || echo "$2" >>tree/DEBIAN/postinst
    dpkg-deb --build tree "$name.deb" >/dev/null
    rm -r tree
    dpkg-deb --field "$name.deb" >>Packages
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$name.deb" "$(stat -c %s "$name.deb")" \
        "$(sha256sum "$name.deb" | cut -d' ' -f1)" >>Packages
done
echo 'deb [trusted=yes] file:/srv/newer ./' >/etc/apt/sources.list.d/newer.list
"""


def newer(lab: Lab, host: str, version: str, last: str = "true") -> None:
    lab.on(host, "sh", "-c", NEWER, ARCHIVE, version, last)


def version(lab: Lab, host: str) -> str:
    return lab.on(host, "dpkg-query", "--show", "--showformat=${Version} ${Status}", "invirt-host").stdout


def update(lab: Lab, *words: str) -> Done:
    done = lab.try_remctl("bob", "admin", "host", "update", *words, timeout=900)
    print(done.stdout, done.stderr)
    return done


@pytest.fixture(autouse=True)
def administrator(lab: Lab) -> Iterator[None]:
    """Bob, for as long as the test."""
    lab.admin("administrator", "add", f"bob@{REALM}")
    yield
    lab.admin("administrator", "remove", f"bob@{REALM}")


@pytest.fixture
def guests(lab: Lab, machine: Make) -> Iterator[dict[str, int]]:
    """One on each host, with how long it is up."""
    names = []
    for host in HOSTS:
        others = [other for other in HOSTS if other != host]
        for other in others:
            lab.admin("host", "set", other, "--disable")
        names.append(machine())
        lab.remctl("alice", "control", names[-1], "create")
        for other in others:
            lab.admin("host", "set", other, "--enable")
    for name in names:
        console.wait_for_prompt(name)
    up = {name: uptime(name) for name in names}
    yield up
    assert all(uptime(name) > before for name, before in up.items()), "a guest was booted anew"


def uptime(name: str) -> int:
    return int(re.findall(r"(?m)^(\d+)\s*$", console.ask(name, UPTIME))[-1])


def test_all_hosts_are_upgraded(lab: Lab, guests: dict[str, int]) -> None:
    """One that needs it is booted anew; an apt that fails stops the run, which goes on where it was."""
    first, second = HOSTS
    newer(lab, first, "9.0", "touch /run/reboot-required")
    newer(lab, second, "9.0")
    boots = {host: lab.on(host, "cat", "/proc/sys/kernel/random/boot_id").stdout for host in HOSTS}
    done = update(lab, "--all")
    assert done.returncode == 0
    for words in ("host 1 of 2: host1 is emptied", "host1 reboots", "host 2 of 2: host2 installs packages"):
        assert words in done.stdout + done.stderr
    for host in HOSTS:
        wait_booted(host)
        assert version(lab, host) == "9.0 install ok installed"
        now = lab.on(host, "cat", "/proc/sys/kernel/random/boot_id").stdout
        assert (now != boots[host]) == (host == first)
    assert lab.sql(ENABLED).split() == list(HOSTS)

    newer(lab, first, "9.1", "exit 3")
    newer(lab, second, "9.1")
    done = update(lab, "--all", "--reboot", "never")
    assert done.returncode == 1 and "FAILED: " in done.stdout and "dpkg" in done.stdout
    assert "Then go on: admin host update host1" in done.stdout
    assert version(lab, second).startswith("9.0 ") and lab.sql(ENABLED).split() == [second]
    assert update(lab, second).returncode == 1, "it is gone on with, and host2 waits for its turn"

    newer(lab, first, "9.2")
    lab.on("remote", "systemctl", "kill", "--signal=KILL", "invirt-upkeep.service")
    assert update(lab, "--all", "--reboot", "never").returncode == 0
    assert version(lab, first).startswith("9.2 ") and version(lab, second).startswith("9.1 ")
    assert lab.sql(ENABLED).split() == list(HOSTS)
    eventually(lambda: not lab.sql("SELECT FROM upkeep WHERE step <> 'done'"), "all to be done")


def test_only_administrators_upgrade_hosts_and_only_remote_is_obeyed(lab: Lab) -> None:
    done = lab.try_remctl("alice", "admin", "host", "update", "--all")
    assert done.returncode == 4 and "is no administrator of this site" in done.stderr
