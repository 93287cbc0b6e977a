"""Mistakes on a server itself: its configuration, packages, names, ports, firewall and room."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from invirt import config
from invirt.base.firewall import EVERYONE, Callers, Door, table
from invirt.check import answers, configuration, firewall, names, ports, room, versions
from invirt.check.server import Server
from tests.parts.check.conftest import apart, found, packages, put, run


@pytest.fixture
def server(tmp_path: Path, invirt_yaml: Path) -> Server:
    """The remote server, to which the database says nothing."""
    return Server(root=tmp_path / "root", roles=("remote",), name="remote.invirt.test", _said={})


def registered(server: Server) -> Path:
    """A template, and what was made of it."""
    put(server, "/usr/share/invirt/templates.d/remote.yaml", "templates: [{target: /etc/realm}]\n")
    put(server, "/etc/realm.mako", "<% from invirt import config %>\\\n${config.site.realm}\n")
    return put(server, "/etc/realm", "INVIRT.TEST\n")


def test_a_configuration_that_is_applied(server: Server) -> None:
    registered(server)
    assert found(configuration.look, server) == ""


def test_a_configuration_that_is_not_applied(server: Server, invirt_yaml: Path) -> None:
    registered(server)
    invirt_yaml.with_name("invirt.yaml.applied").write_text(invirt_yaml.read_text())
    invirt_yaml.write_text(invirt_yaml.read_text() + "dhcp: {lease: 60}\n")
    assert f"WARNING {invirt_yaml}: it is not what was applied" in found(configuration.look, server)


def test_a_configuration_that_is_wrong(server: Server, invirt_yaml: Path) -> None:
    invirt_yaml.write_text(invirt_yaml.read_text() + "bogus: 1\n")
    assert f"ERROR {invirt_yaml}: {invirt_yaml}:4: bogus: unknown key" in found(configuration.look, server)


def test_a_target_that_was_edited_by_hand(server: Server) -> None:
    registered(server).write_text("EXAMPLE.ORG\n")
    assert "realm: it was edited by hand" in found(configuration.look, server)


def test_a_target_that_is_gone(server: Server) -> None:
    registered(server).unlink()
    assert "realm: it is not what invirt.yaml makes of it" in found(configuration.look, server)


def test_packages_in_step(server: Server) -> None:
    packages(server, invirt_base="1.1", invirt_remote_server="1.1")
    assert found(versions.look, server) == ""


def test_packages_of_two_versions(server: Server) -> None:
    packages(server, invirt_base="1.2", invirt_remote_server="1.1")
    assert "invirt-base 1.2, invirt-remote-server 1.1" in found(versions.look, server)


def test_a_package_that_dpkg_stopped_at(server: Server) -> None:
    packages(server, invirt_base="1.1", invirt_remote_server="half-configured")
    assert "ERROR invirt-remote-server: it is half-configured" in found(versions.look, server)


def looked_up(server: Server, hosts: str) -> str:
    """What is found of names where /etc/hosts says this, and there is no DNS."""
    file = put(server, "/hosts", hosts, 0o644)

    def look() -> str:
        run("mount", "--bind", str(file), "/etc/hosts")
        return found(names.look, server)

    return apart(look)


GOOD = "10.9.0.3 db.invirt.test db\n"


def test_names_that_lead_there_and_back(server: Server) -> None:
    assert looked_up(server, f"{GOOD}10.9.0.4 remote.invirt.test remote\n") == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "ERROR remote.invirt.test: it has no address here"),
        ("10.9.0.4 remote\n10.9.0.4 remote.invirt.test\n", ""),
        (
            "10.9.0.3 remote.invirt.test\n",
            "WARNING remote.invirt.test: its address 10.9.0.3 leads back to db",
        ),
        ("127.0.1.1 remote.invirt.test\n", "WARNING remote.invirt.test: here it is 127.0.1.1"),
    ],
    ids=["none", "two lines", "another's", "loopback"],
)
def test_names_that_do_not(server: Server, line: str, said: str) -> None:
    assert looked_up(server, GOOD + line).startswith(said)


def test_another_server_at_this_one_s_own_address(server: Server) -> None:
    said = looked_up(server, "127.0.0.1 db.invirt.test\n10.9.0.4 remote.invirt.test\n")
    assert said.startswith("ERROR db.invirt.test: here it is 127.0.0.1")


def test_a_port_that_is_closed(server: Server, invirt_yaml: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        text = invirt_yaml.read_text()
        invirt_yaml.write_text(text.replace("db.invirt.test}", f"localhost, port: {port}}}"))
        config.reload()
        assert found(ports.look, server) == ""
    said = found(ports.look, server)
    assert said == f"ERROR localhost:{port}: it can't be reached from here: Connection refused"


def rules(server: Server, most: int = 5) -> Path:
    """The role's, as invirt.yaml makes them."""
    door = Door("remctl", 4373, (Callers("others", EVERYONE, each=most, rate=20),))
    return put(server, "/etc/invirt/nftables/remote.nft", table("remote", door))


def test_a_firewall_that_is_on(server: Server) -> None:
    file = rules(server)
    assert apart(lambda: [run("nft", "-f", file), found(firewall.look, server)][1]) == ""


def test_a_firewall_that_is_off(server: Server) -> None:
    rules(server)
    said = apart(lambda: found(firewall.look, server))
    assert said == "ERROR firewall table invirt_remote: it is not loaded: the role's ports are open"


def test_a_firewall_of_other_rules(server: Server) -> None:
    file = rules(server)

    def look() -> str:
        run("nft", "-f", str(file))
        rules(server, most=6)
        return found(firewall.look, server)

    assert "ERROR firewall table invirt_remote: its rules are not those of" in apart(look)


def test_a_firewall_that_was_never_made(server: Server) -> None:
    assert "remote.nft: it was not made: the ports are open" in found(firewall.look, server)


def test_a_disk_that_is_full(server: Server, invirt_yaml: Path) -> None:
    def look() -> tuple[str, str]:
        folder = server.file("/var/log")
        folder.mkdir(parents=True)
        run("mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=100", "tmpfs", str(folder))
        run("dd", "if=/dev/zero", f"of={folder}/big", "bs=1k", "count=1000")
        full = found(room.space, server)
        os.truncate(folder / "big", 0)
        for number in range(96):
            (folder / str(number)).touch()
        return full, found(room.space, server)

    # The files are those of the thread's own mounts, so it is looked at there.
    full, many = apart(look)
    assert "ERROR /var/log: 0.0 GiB of 0.0 are free" in full
    assert "ERROR /var/log: 2 more files can be made, of 100" in many


@pytest.mark.parametrize(
    ("device", "chosen", "said"),
    [
        (False, "", "WARNING /dev/kvm: it isn't there"),
        (True, "tcg: no prompt within 20 s", "guests are emulated, which is many times slower: no prompt"),
        (True, "", "invirt-host-probe did not run"),
        (True, "kvm: it reached its prompt", ""),
    ],
)
def test_kvm(server: Server, invirt_yaml: Path, device: bool, chosen: str, said: str) -> None:
    invirt_yaml.write_text(invirt_yaml.read_text() + "hypervisor: {driver: qemu}\n")
    config.reload()
    if device:
        put(server, room.KVM)
    if chosen:
        put(server, room.CHOSEN, f"{chosen}\n")
    assert said in found(room.kvm, server) if said else found(room.kvm, server) == ""


def test_a_dhcp_server_without_its_port(server: Server) -> None:
    assert found(answers.dhcp, server_with_sockets(server, "0100007F:0043")) == ""
    for others in ("0100007F:0044", "FFFFFFFF:0043"):  # the second is a relay's
        assert "nothing listens on UDP port 67" in found(answers.dhcp, server_with_sockets(server, others))


def server_with_sockets(server: Server, local: str) -> Server:
    """As the kernel lists them."""
    line = f"  12: {local} 00000000:0000 07 00000000:00000000 00:00000000\n"
    put(server, answers.SOCKETS, f"  sl  local_address rem_address   st\n{line}")
    return server


def test_a_name_server_that_does_not_answer(server: Server) -> None:
    server.name = "127.0.0.2"
    assert "ERROR name server 127.0.0.2: it gives no answer for invirt.test" in found(answers.dns, server)
