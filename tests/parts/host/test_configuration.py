"""/etc/xen/invirt-database, evaluated on a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from invirt.base import guests, identity
from invirt.base.errors import CommandFailed, NotFound
from invirt.database import connection
from invirt.host import leftovers, xmconfig
from invirt.host.qemu import able
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database
from tests.parts.waiting import until


@pytest.fixture
def file(checkout: Path) -> Path:
    """The file as it is installed."""
    return checkout / "invirt-host/files/etc/xen/invirt-database"


@pytest.fixture
def host1(monkeypatch: pytest.MonkeyPatch) -> None:
    """This is host1 of the rows."""
    monkeypatch.setattr(identity, "hostname", lambda: "host1.invirt.test")


def own(database: Database) -> None:
    """The pools that there are so far are host1's alone."""
    database.execute("UPDATE pools SET everywhere = false")
    database.execute(
        "INSERT INTO pool_hosts SELECT pool_id, host_id FROM pools, hosts WHERE hosts.name = 'host1'"
        " ON CONFLICT DO NOTHING"
    )


@pytest.mark.usefixtures("host1")
def test_a_machine(database: Database, file: Path) -> None:
    site(database)
    own(database)
    machine(database, "inode", memory=192, ip="10.5.0.10", mac="00:16:3e:00:00:01", disk=3)
    database.execute("UPDATE types SET kernel = '/srv/vmlinuz', initrd = '/srv/initrd', append = 'quiet'")
    [[nic]] = database.execute("SELECT nic_id FROM nics")
    [[number]] = database.execute("SELECT machine_id FROM machines")
    config = xmconfig.evaluate(file, {"machine_name": "inode"})
    [[virt]] = database.execute("SELECT virt FROM types WHERE name = 'linux'")
    assert config.settings == {
        "name": "d_inode",
        "machine": number,
        "type": virt,
        "memory": 192,
        "vcpus": 1,
        "disk": ["format=raw, vdev=hda, access=rw, target=/dev/invirt/d_inode_hda"],
        "vif": [f"mac=00:16:3e:00:00:01, ip=10.5.0.10, vifname=inv{nic}, script=vif-invirtroute"],
        "kernel": "/srv/vmlinuz",
        "ramdisk": "/srv/initrd",
        "extra": "quiet hostname=inode",
        "on_poweroff": "destroy",
        "on_reboot": "restart",
        "on_crash": "destroy",
    }


@pytest.mark.usefixtures("host1")
def test_what_an_installer_is_told(database: Database, file: Path) -> None:
    """As its system's row has it; nothing more is said of one that leaves suite and mirror to its base."""
    site(database)
    own(database)
    machine(database, "inode", disk=3)
    url, mirror = "http://install.example.org:8180/debian-12", "http://mirror.example.org/debian"
    database.execute(
        "INSERT INTO autoinstalls (name, url, keyring, suite, mirror) VALUES (%s, %s, 'key', %s, %s)",
        ("debian-12", url, "bookworm", mirror),
    )
    database.execute(
        "INSERT INTO installs SELECT machine_id, autoinstall_id, '', '{}' FROM machines, autoinstalls;"
        "INSERT INTO reservations (machine_id, host_id, memory) SELECT machine_id, hosts.host_id, 1"
        " FROM machines, hosts WHERE hosts.name = 'host1'"
    )
    told = ["hostname inode", "name debian-12", "suite bookworm", f"mirror {mirror}", "architecture amd64"]
    told += [f"url {url}", "keyring a2V5", "password "]
    assert xmconfig.evaluate(file, {"machine_name": "inode"}).install == told
    database.execute("UPDATE autoinstalls SET suite = '', mirror = ''")
    settings = xmconfig.evaluate(file, {"machine_name": "inode"}).install
    assert settings[2:4] == ["suite ", "mirror "]


@pytest.mark.usefixtures("host1")
def test_one_that_is_rescued(database: Database, file: Path) -> None:
    """Whatever it boots otherwise, for as long as it is that."""
    site(database)
    own(database)
    machine(database, "inode", memory=192, disk=3)
    database.execute("UPDATE machines SET system = 'debian-12', installed_at = now()")
    database.execute(
        "INSERT INTO reservations (machine_id, host_id, memory, rescue) SELECT machine_id, hosts.host_id,"
        " machines.memory, true FROM machines, hosts WHERE hosts.name = 'host1'"
    )
    settings = xmconfig.evaluate(file, {"machine_name": "inode"}).settings
    assert (settings["kernel"], settings["ramdisk"]) == (guests.KERNEL, guests.RESCUE)
    assert settings["extra"] == f"{guests.APPEND} hostname=inode" and settings["on_reboot"] == "destroy"
    assert settings["disk"] == ["format=raw, vdev=hda, access=rw, target=/dev/invirt/d_inode_hda"]
    database.execute("DELETE FROM reservations")
    usual = xmconfig.evaluate(file, {"machine_name": "inode"}).settings
    assert "kernel" not in usual and usual["on_reboot"] == "restart"
    assert usual["type"] == "pvh"  # which pvgrub boots; this host runs Xen


@pytest.mark.usefixtures("host1")
def test_cds_in_the_drives_of_a_pc(database: Database, file: Path) -> None:
    site(database)
    own(database)
    machine(database, "inode", memory=192, disk=3)
    database.execute(
        "INSERT INTO cdroms (name, path) VALUES ('own', '/srv/own.iso'), ('drivers', '/srv/d.iso')"
    )
    database.execute("UPDATE machines m SET cdrom_id = c.cdrom_id FROM cdroms c WHERE c.name = 'own'")
    database.execute("UPDATE types t SET cdrom_id = c.cdrom_id, local_clock = true FROM cdroms c"
                     " WHERE c.name = 'drivers'")  # fmt: skip
    plain = xmconfig.evaluate(file, {"machine_name": "inode"})
    assert [disk["vdev"] for disk in plain.devices("disk")] == ["hda"] and not plain.text("boot")
    database.execute("UPDATE types SET virt = 'hvm'")
    pc = xmconfig.evaluate(file, {"machine_name": "inode"})
    _, disc, drivers = pc.devices("disk")
    assert disc == {
        "format": "raw",
        "vdev": "sda",
        "devtype": "cdrom",
        "access": "ro",
        "target": "/srv/own.iso",
    }
    assert (drivers["vdev"], drivers["target"]) == ("sdb", "/srv/d.iso")
    assert pc.text("boot") == "dc" and pc.number("localtime") == 1
    able.check(pc)
    database.execute("UPDATE machines SET boots_cdrom = false")
    assert not xmconfig.evaluate(file, {"machine_name": "inode"}).text("boot")


@pytest.mark.usefixtures("host1")
def test_disks_are_where_their_pools_are(database: Database, file: Path) -> None:
    """One that lies where this host sees nothing is refused; and one of several hosts that no lock guards."""
    site(database)
    machine(database, "inode", disk=3)
    database.execute("INSERT INTO pools (name, driver, place) VALUES ('ssd', 'lvm', 'fast')")
    database.execute(
        "INSERT INTO disks (machine_id, name, size, pool_id)"
        " SELECT machine_id, 'hdb', 1, pool_id FROM machines, pools WHERE pools.name = 'ssd'"
    )
    with pytest.raises(CommandFailed, match="this host has no volume group invirt"):
        xmconfig.evaluate(file, {"machine_name": "inode"})
    own(database)
    disks = xmconfig.evaluate(file, {"machine_name": "inode"}).settings["disk"]
    paths = [disk.split("target=")[1] for disk in disks]
    assert paths == ["/dev/invirt/d_inode_hda", "/dev/fast/d_inode_hdb"]
    database.execute(
        "DELETE FROM pool_hosts USING pools WHERE name = 'ssd' AND pools.pool_id = pool_hosts.pool_id"
    )
    with pytest.raises(NotFound, match="inode has no disk hdb in a pool that this host sees"):
        xmconfig.evaluate(file, {"machine_name": "inode"})


def test_both_addresses_of_a_nic(database: Database, file: Path) -> None:
    site(database)
    machine(database, "inode", ip="10.5.0.10", mac="00:16:3e:00:00:01")
    database.execute("UPDATE nics SET ip6 = '2001:db8::10'")
    [vif] = xmconfig.evaluate(file, {"machine_name": "inode"}).devices("vif")
    assert vif["ip"].split() == ["10.5.0.10", "2001:db8::10"]


def test_what_changed_is_seen_at_once(database: Database, file: Path) -> None:
    site(database)
    machine(database, "inode", memory=192)
    assert xmconfig.evaluate(file, {"machine_name": "inode"}).memory == 192
    database.execute("UPDATE machines SET memory = 256")
    assert xmconfig.evaluate(file, {"machine_name": "inode"}).memory == 256


def test_no_connection_stays_open(database: Database, file: Path) -> None:
    site(database)
    machine(database, "inode")
    xmconfig.evaluate(file, {"machine_name": "inode"})
    # PostgreSQL notices that a client went a moment after it did.
    sessions = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = 'invirt_host'"
    )
    until(lambda: not database.execute(sessions))


def test_numbers_by_name_are_the_hosts_to_read(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    site(database)
    machine(database, "inode")
    monkeypatch.setattr(connection, "role", "host")
    [[number]] = database.execute("SELECT machine_id FROM machines")
    assert leftovers.machines() == {"inode": number}


def test_no_such_machine(database: Database, file: Path) -> None:
    with pytest.raises(NotFound, match="no machine remus"):
        xmconfig.evaluate(file, {"machine_name": "remus"})
