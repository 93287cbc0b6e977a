"""invirt.yaml comes late, or is wrong for a while: all starts once it is right; a purge leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from invirt_lab import cluster, roles
from invirt_lab.site import SERVERS
from tests.lab.users import Lab, eventually

SPARE = "remote2"
YAML = "/etc/invirt/invirt.yaml"
UNITS = ("invirt-config.service", "invirt-remconffs.service", "invirt-remctld.socket")
PURGE = "DEBIAN_FRONTEND=noninteractive apt-get -q -y purge 'invirt-*' </dev/null"
AGAIN = "DEBIAN_FRONTEND=noninteractive apt-get -q -y install --reinstall invirt-remote-server </dev/null"
BAD_CONFIG = 8
ALONE = {"invirt-tickets.timer", "invirt-host-tidy.timer", "invirt-backup.timer"}  # need no configuration


def active(lab: Lab, server: str = SPARE, units: tuple[str, ...] = UNITS) -> list[str]:
    """Which of the units run on a server; by default the role's on the spare one."""
    states = lab.on(server, "systemctl", "is-active", *units, check=False).stdout.split()
    return [unit for unit, state in zip(units, states, strict=True) if state == "active"]


def serves(lab: Lab) -> bool:
    """Whether users get an answer from it."""
    argv = ("remctl", SERVERS[SPARE].fqdn, "machine", "list")
    return cluster.as_user("alice", *argv, check=False).returncode == 0


@pytest.fixture
def purged(lab: Lab) -> Iterator[None]:
    """The spare server without its role, before and after."""

    def purge() -> None:
        lab.on(SPARE, "rm", "-f", YAML)
        lab.on(SPARE, "sh", "-c", PURGE, check=False)

    purge()
    yield
    purge()


@pytest.mark.usefixtures("purged")
def test_a_role_is_installed_before_invirt_yaml(lab: Lab) -> None:
    roles.install_role(SERVERS[SPARE])
    done = lab.on(SPARE, "sh", "-c", f"{AGAIN} 2>&1")
    assert f"write {YAML}, then run invirt-config apply" in done.stdout
    assert active(lab) == []
    done = lab.on(SPARE, "invirt-config", "apply", check=False)
    assert (done.returncode, YAML in done.stderr) == (BAD_CONFIG, True)
    roles.write_config(SERVERS[SPARE])
    lab.on(SPARE, "invirt-config", "apply")
    eventually(lambda: active(lab) == list(UNITS), "all to be started")
    eventually(lambda: serves(lab), "an answer")

    # A mistake counts nowhere, not even after a reboot.
    lab.on(SPARE, "sh", "-c", f"echo bogus: 1 >>{YAML}")
    for how in ([], ["--check"], ["--diff"]):
        done = lab.on(SPARE, "invirt-config", "apply", *how, check=False)
        assert done.returncode == BAD_CONFIG
        assert "bogus: unknown key" in done.stderr
    assert serves(lab)
    lab.on(SPARE, "systemctl", "restart", "invirt-config.service")
    eventually(lambda: active(lab) == list(UNITS), "all to be there with what was applied last")
    assert serves(lab)
    lab.on(SPARE, "sh", "-c", AGAIN)
    assert serves(lab)
    roles.write_config(SERVERS[SPARE])
    lab.on(SPARE, "invirt-config", "apply")
    eventually(lambda: active(lab) == list(UNITS), "all to be started again")
    eventually(lambda: serves(lab), "an answer")


@pytest.mark.nightly
@pytest.mark.usefixtures("purged")
def test_the_first_rules_are_loaded_whoever_makes_them(lab: Lab) -> None:
    """A timer may start what needs invirt-config.service before anyone says invirt-config apply."""
    roles.install_role(SERVERS[SPARE])
    roles.write_config(SERVERS[SPARE])
    lab.on(SPARE, "systemctl", "start", "invirt-config.service")
    tables = ("nft", "list", "table", "inet", "invirt_remote")
    eventually(lambda: lab.on(SPARE, *tables, check=False).returncode == 0, "rules to be loaded")


@pytest.mark.usefixtures("purged")
def test_a_purge_leaves_nothing(lab: Lab) -> None:
    before = ours(lab)
    roles.install_spare(SPARE)
    eventually(lambda: serves(lab), "an answer")
    lab.on(SPARE, "rm", YAML)
    lab.on(SPARE, "sh", "-c", PURGE)
    assert sorted(ours(lab) - before) == []


def ours(lab: Lab) -> set[str]:
    """Every file and folder that is called after us."""
    search = "find /etc /run /usr /var/lib -name '*invirt*' -not -path '*/apt/*'"
    return set(lab.on(SPARE, "sh", "-c", search).stdout.split())


def doors(lab: Lab, server: str) -> list[str]:
    """What waits for callers or hours there, and would start what needs the configuration."""
    asked = ("--plain", "--no-legend", "--state=active", "invirt-*.socket", "invirt-*.timer")
    listed = lab.on(server, "systemctl", "list-units", *asked).stdout.splitlines()
    return sorted({line.split()[0] for line in listed} - ALONE)


@pytest.mark.parametrize(
    ("server", "units"),
    [
        ("db", ("invirt-database-setup.service",)),
        ("remote", ("invirt-operations.service", "invirt-remctld.socket", "invirt-reconcile.timer")),
        ("dns", ("pdns.service",)),
        ("dhcp", ("kea-dhcp4-server.service",)),
        ("web", ("invirt-web-pages.service", "invirt-web-pages.socket")),
        (
            "console",
            ("invirt-consolefs.service", "invirt-console-relay.service", "invirt-userdb.socket"),
        ),
        (
            "host1",
            ("invirt-dhcp-relay.service", "invirt-host-observer.service", "invirt-host-remctld.socket"),
        ),
    ],
)
def test_what_reads_the_configuration_goes_and_comes_with_it(
    lab: Lab, server: str, units: tuple[str, ...]
) -> None:
    """And no caller brings it back before."""
    open_before = doors(lab, server)
    lab.on(server, "systemctl", "stop", "invirt-config.service")
    assert (active(lab, server, units), doors(lab, server)) == ([], [])
    lab.on(server, "invirt-config", "apply")
    eventually(lambda: active(lab, server, units) == list(units), f"{units} to be started")
    eventually(lambda: doors(lab, server) == open_before, f"{open_before} to be open")
