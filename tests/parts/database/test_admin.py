"""invirt-admin, as an administrator uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from invirt.base import cli, guests
from invirt.database.commands.admin import COMMAND
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAII+pzCIlfdICdmg+1L5Kj+5Jg/r0n/OkRyqZ0SzECxhY"
FINGERPRINT = "SHA256:ke57Oq/JytQJTx+yfIupQK1GcRQtFq1BXUFARZdrhII"  # as ssh-keygen -l has it


class Admin:
    """Runs invirt-admin and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys, self.noted = capsys, ""

    def __call__(self, line: str, status: int = 0) -> str:
        """What `invirt-admin LINE` prints: on stdout, or on stderr if it is to fail."""
        got = cli.main(COMMAND, line.split())
        printed = self.capsys.readouterr()
        self.noted = printed.err
        assert got == status, printed.err
        return printed.err if status else printed.out

    def rows(self, line: str) -> list[dict[str, object]]:
        """The same as JSON."""
        found: list[dict[str, object]] = json.loads(self(f"{line} --json"))
        return found


@pytest.fixture
def admin(database: Database, capsys: pytest.CaptureFixture[str]) -> Admin:
    """On an empty database."""
    return Admin(capsys)


def test_hosts(admin: Admin) -> None:
    """From the first to the last day of one."""
    assert admin("host list") == ""
    assert admin("host add host1 --hostname host1.invirt.test --memory 1024") == ""
    admin("host add host22 --hostname host22.invirt.test --memory 512 --disabled")
    assert admin("host list") == (
        "name    hostname            memory  reserved  machines  hypervisor  enabled  accelerator\n"
        "host1   host1.invirt.test     1024         0         0  xen         yes      -\n"
        "host22  host22.invirt.test     512         0         0  xen         no       -\n"
    )
    admin("host set host22 --memory 2048 --enable --hypervisor qemu")
    assert admin.rows("host list")[1] == {
        "name": "host22",
        "hostname": "host22.invirt.test",
        "memory": 2048,
        "reserved": 0,
        "machines": 0,
        "hypervisor": "qemu",
        "enabled": "yes",
        "accelerator": None,
    }
    admin("host remove host1")
    assert [row["name"] for row in admin.rows("host list")] == ["host22"]


def test_pools(admin: Admin) -> None:
    """From the first to the last day of one; of another, all hosts see it."""
    admin("host add host1 --hostname host1.invirt.test --memory 1024")
    admin("host add host2 --hostname host2.invirt.test --memory 1024")
    admin("pool add ssd --driver lvm --place fast --host host1")
    admin("pool hosts ssd --add host2")
    admin("pool add big --driver file --place /srv/big")
    admin("pool hosts big --add host1")
    assert admin("pool list") == (
        "name     driver  place     hosts        disks  size\n"
        "default  lvm     invirt    all              0     0\n"
        "ssd      lvm     fast      host1 host2      0     0\n"
        "big      file    /srv/big  all              0     0\n"
    )
    admin("pool hosts ssd --remove host1")
    admin("pool hosts big --remove host2")
    admin("pool set ssd --place faster")
    assert [(row["place"], row["hosts"]) for row in admin.rows("pool list")] == [
        ("invirt", "all"), ("faster", "host2"), ("/srv/big", "host1")
    ]  # fmt: skip
    admin("pool hosts big --all")
    assert admin.rows("pool list")[2]["hosts"] == "all"
    for name in ("ssd", "big"):
        admin(f"pool remove {name}")
    assert "default is the only pool" in admin("pool remove default", status=2)


def test_hosts_that_emulate_are_named(admin: Admin, database: Database) -> None:
    """Plainly, with the reason."""
    for name in ("host1", "host2", "host3"):
        admin(f"host add {name} --hostname {name}.invirt.test --memory 1024")
    database.execute(
        "INSERT INTO host_signs (host_id, accelerator, reason) SELECT host_id,"
        " CASE name WHEN 'host1' THEN 'kvm' ELSE 'tcg' END, 'there is no /dev/kvm'"
        " FROM hosts WHERE name < 'host3'"
    )
    assert [row["accelerator"] for row in admin.rows("host list")] == ["kvm", "emulated", None]
    assert "emulated" in admin("host list")
    assert admin.noted == "host2 emulates its guests, which is slow: there is no /dev/kvm\n"


def test_a_type_of_the_packaged_kernel(admin: Admin) -> None:
    """Nothing need be said for a machine to reach its prompt; what is said counts."""
    for words in (
        "linux",
        "slow --append quiet",
        "own --kernel /boot/vmlinuz",
        "pc --virt hvm",
        "disk --kernel=",
    ):
        admin(f"type add {words}")
    assert {
        row["name"]: [row[key] for key in ("virt", "kernel", "initrd", "append")]
        for row in admin.rows("type list")
    } == {
        "linux": ["pvh", guests.KERNEL, guests.INITRD, guests.APPEND],
        "slow": ["pvh", guests.KERNEL, guests.INITRD, "quiet"],
        "own": ["pvh", "/boot/vmlinuz", None, None],
        "pc": ["hvm", None, None, None],
        "disk": ["hvm", None, None, None],
    }


def test_systems(admin: Admin, database: Database, tmp_path: Path) -> None:
    """Whose keyring and script are in files of the server's."""
    keyring, script = tmp_path / "keyring.gpg", tmp_path / "after"
    keyring.write_bytes(b"\x98key")
    url = "http://install.invirt.test:8180/debian-12"
    assert "--keyring is missing" in admin(f"autoinstall add debian-12 --url {url}", status=2)
    admin(f"autoinstall add debian-12 --url {url} --keyring {keyring}")
    for verb in (f"add debian-13 --url {url} --keyring {keyring}", "set debian-12"):
        said = admin(f"autoinstall {verb} --architecture arm64", status=2)
        assert "'arm64' is not an architecture that hosts boot" in said and "amd64" in said
        for wrong in ("--suite ../sid", "--suite -x", "--mirror file:/etc", "--mirror http://a/$(id)"):
            option, _, value = wrong.partition(" ")
            said = admin(f"autoinstall {verb} {option}={value}", status=2)
            assert f"'{value}' is not a{' mirror' if 'm' in option else ' suite'}" in said, said
    admin("autoinstall set debian-12 --architecture amd64")
    script.write_text("echo no first line\n")
    assert "begins with #!/" in admin(f"autoinstall set debian-12 --script {script}", status=2)
    script.write_text("#!/bin/sh\necho welcome >/etc/motd\n")
    admin(f"autoinstall set debian-12 --script {script} --memory 1G")
    assert database.execute("SELECT script, memory FROM autoinstalls") == [(script.read_text(), 1024)]
    mirror = "https://mirror.example.org:8443/~debian"
    admin(f"autoinstall set debian-12 --suite bookworm --mirror {mirror}")
    [shown] = admin.rows("autoinstall list")
    assert (shown["script"], shown["url"], shown["architecture"]) == ("yes", url, "amd64")
    assert (shown["suite"], shown["mirror"]) == ("bookworm", mirror)
    admin("autoinstall set debian-12 --suite= --mirror=")
    assert database.execute("SELECT suite, mirror FROM autoinstalls") == [("", "")]
    admin(f"autoinstall add debian-13 --url {url} --keyring {keyring} --suite trixie --mirror {mirror}")
    assert [(row["suite"], row["mirror"]) for row in admin.rows("autoinstall list")][1] == ("trixie", mirror)
    admin("autoinstall remove debian-13")
    admin("autoinstall set debian-12 --script=")
    assert database.execute("SELECT script FROM autoinstalls") == [("",)]
    assert "can't be read" in admin("autoinstall set debian-12 --script /nowhere", status=2)


def test_cds(admin: Admin, database: Database) -> None:
    """They lie on the hosts; a type of machines may have one, and a machine."""
    site(database)
    machine(database, "remus")
    admin("cdrom add netinst --path /srv/images/netinst.iso")
    admin("cdrom add drivers --path /srv/images/drivers.iso --description virtio")
    admin("cdrom set netinst --path /srv/images/newer.iso")
    assert admin("cdrom list") == (
        "name     path                     description\n"
        "drivers  /srv/images/drivers.iso  virtio\n"
        "netinst  /srv/images/newer.iso    -\n"
    )
    assert "a path begins with /" in admin("cdrom add other --path ../iso", status=2)
    admin("type add windows --virt hvm --clock local --cdrom drivers")
    database.execute("UPDATE machines SET cdrom_id = (SELECT cdrom_id FROM cdroms WHERE name = 'netinst')")
    [pc] = [row for row in admin.rows("type list") if row["name"] == "windows"]
    assert (pc["clock"], pc["cdrom"], pc["kernel"]) == ("local", "drivers", None)
    assert "is that of the type windows" in admin("cdrom remove drivers", status=2)
    assert "is in use by remus" in admin("cdrom remove netinst", status=2)
    admin("type set windows --cdrom= --clock utc")
    admin("cdrom remove drivers")


def test_ranges_types_owners(admin: Admin, database: Database) -> None:
    """All that a site is told at its beginning."""
    admin("range add 10.5.0.10 10.5.0.19 --prefix 24 --gateway 10.5.0.1")
    admin("type add linux --kernel /boot/vmlinuz --initrd /boot/initrd --needs cdrom,qemu")
    admin("type set linux --initrd= --append console=ttyS0")
    admin("owner add alice --memory 1024 --member alice@INVIRT.TEST --member bob@INVIRT.TEST")
    admin("owner set alice --machines 7")
    admin("owner set alice@INVIRT.TEST --cpus 9 --memory 2G")
    admin("owner set @site --addresses 1")
    others = "SELECT principal, resource, amount FROM quotas WHERE owner_id IS NULL ORDER BY amount"
    assert database.execute(others) == [
        (None, "addresses", 1), ("alice@INVIRT.TEST", "cpus", 9), ("alice@INVIRT.TEST", "memory", 2048),
    ]  # fmt: skip
    admin("member remove alice bob@INVIRT.TEST")
    admin("member add alice bob/admin@INVIRT.TEST")
    machine(database, "remus", memory=64, disk=2, ip="10.5.0.12", mac="02:00:00:00:00:01")
    assert admin.rows("range list") == [
        {"first": "10.5.0.10", "last": "10.5.0.19", "prefix": 24, "gateway": "10.5.0.1", "used": 1}
    ]
    assert admin.rows("type list") == [
        {
            "name": "linux",
            "virt": "pvh",
            "description": "",
            "kernel": "/boot/vmlinuz",
            "initrd": None,
            "append": "console=ttyS0",
            "clock": "utc",
            "cdrom": None,
            "needs": "cdrom,qemu",
        }
    ]
    assert admin("owner list") == (
        "name   memory   disk  machines  running  cpus  addresses  source  told  members\n"
        "alice  64/1024  2/50  1/7             0     1          1  -       -     alice@INVIRT.TEST"
        " bob/admin@INVIRT.TEST\n"
    )
    assert admin("machine list") == (
        "name   owner  type   memory  disk  cpus  address    host\n"
        "remus  alice  linux      64     2     1  10.5.0.12  -\n"
    )
    database.execute("UPDATE nics SET ip = NULL, ip6 = '2001:db8::7'")
    assert "2001:db8::7" in admin("machine list")


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("host add Host1 --hostname h.x --memory 1", 2, "a name is 1 to 63 of a-z"),
        ("host add h3 --hostname h3 --memory 1", 2, "a host name is small letters"),
        ("host add h3 --hostname h3.x --memory -1", 2, "'-1' is not an amount of memory"),
        ("host add h3 --hostname h3.x --memory 99999999999", 2, "99999999999 is too large for"),
        ("host add host1 --hostname h3.x --memory 1", 2, "there is a host of this name already"),
        ("host add remus --hostname h3.x --memory 1", 2, "a machine is called remus"),
        ("host set host1", 2, "nothing to set"),
        ("host set host9 --memory 1", 3, "there is no host host9"),
        ("host remove host1", 2, "the host host1 is in use by remus"),
        ("range add 10.5.0.15 10.5.0.30 --prefix 24 --gateway 10.5.0.1", 2, "overlaps with another one"),
        ("range add 10.5.0.x 10.5.0.30 --prefix 24 --gateway 10.5.0.1", 2, '"10.5.0.x" is not an address'),
        ("range remove 10.5.0.10 10.5.0.19", 2, "the machine remus has an address of the range"),
        ("range remove 10.5.0.10 10.5.0.18", 3, "there is no address range 10.5.0.10, 10.5.0.18"),
        ("type add BSD", 2, "a name is"),
        ("type add bsd --kernel vmlinuz", 2, "a path begins with /"),
        (
            "pool add x --driver lvm --place /dev/vg",
            2,
            "a pool's place is a volume group (lvm), GROUP/POOL (thin)",
        ),
        ("pool hosts default", 2, "say which hosts, or all"),
        ("host set host1 --hypervisor vmware", 2, "--hypervisor"),
        ("type add bsd --needs teleport", 2, "a type's machines may need one of"),
        ("type remove linux", 2, "the type linux is in use by remus"),
        ("type set linux", 2, "nothing to set"),
        ("owner add alice", 2, "there is an owner of this name already"),
        ("owner add bob --member bob", 2, "a principal looks like"),
        ("owner add bob --memory -1", 2, "'-1' is not an amount of memory"),
        ("owner remove alice", 2, "the owner alice is in use by remus"),
        ("owner set bob --memory 1", 3, "there is no owner bob"),
        ("member add alice alice@INVIRT.TEST", 2, "this principal is a member already"),
        ("member remove alice bob@INVIRT.TEST", 3, "is no member of alice"),
        ("reserve remus", 2, "a machine is called remus"),
        ("reserve fine no_good", 2, "a name is"),
        ("unreserve root nonesuch", 3, "there is no reserved name nonesuch"),
        (f"key add alice {KEY}", 2, "is not a principal"),
        (f"key add alice@INVIRT.TEST no-pty {KEY}", 2, "is not a public key"),
        (f"key add root@INVIRT.TEST {KEY} again", 2, "this principal has this key already"),
        (f"key remove alice@INVIRT.TEST {FINGERPRINT}", 3, "has no key"),
        ("key remove root@INVIRT.TEST SHA256:x", 3, "has no key"),
    ],
)
def test_refused_whole(admin: Admin, database: Database, line: str, status: int, said: str) -> None:
    """A sentence, an exit code, and nothing has changed."""
    site(database)
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    database.execute("UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE name = 'host1')")
    admin(f"key add root@INVIRT.TEST {KEY}")
    lists = ("host", "range", "type", "owner", "machine", "reserved", "key")
    before = [admin(f"{what} list") for what in lists]
    entries = database.execute("SELECT count(*) FROM audit")
    error = admin(line, status)
    assert error.startswith("invirt-admin: ") and said in error and "Traceback" not in error
    assert [admin(f"{what} list") for what in lists] == before
    assert database.execute("SELECT count(*) FROM audit") == entries


def test_reserved_names(admin: Admin) -> None:
    """Added and taken back."""
    admin("reserve fine good")
    assert {"fine", "good", "root"} <= {row["name"] for row in admin.rows("reserved list")}
    admin("unreserve fine good")
    assert not {"fine", "good"} & {row["name"] for row in admin.rows("reserved list")}


def test_what_becomes_of_a_running_machines_nics_is_told(
    admin: Admin, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    site(database)
    machine(database, "inode", ip="10.5.0.10", mac="02:00:00:00:00:01")

    def told(line: str) -> str:
        assert cli.main(COMMAND, line.split()) == 0
        return capsys.readouterr().err

    assert told("nic add inode") == ""
    database.execute("UPDATE machines SET host_id = (SELECT min(host_id) FROM hosts)")
    assert told("nic add inode --ip 10.5.0.11").startswith("inode runs on host1, which plugs the NIC in")
    mac = admin.rows("nic list")[1]["mac"]
    assert "if host1 can't" in told(f"nic set {mac} --ip 10.5.0.12")
    assert told(f"nic set {mac} --ip 10.5.0.13") == ""
    assert "plugs the NIC out" in told(f"nic remove {mac}")
    assert told("nic set 02:00:00:00:00:01 --ip 10.5.0.14") == ""


def test_nics(admin: Admin, database: Database) -> None:
    """More addresses and names than a machine was born with."""
    site(database)
    machine(database, "inode", ip="10.5.0.10", mac="02:00:00:00:00:01")
    admin("nic set 02:00:00:00:00:01 --ip6 2001:db8::1 --hostname www.invirt.test")
    admin("nic name shop.other.test 02:00:00:00:00:01")
    admin("nic add inode --ip 10.5.0.11")
    first, second = admin.rows("nic list")
    assert first == {
        "machine": "inode",
        "mac": "02:00:00:00:00:01",
        "ip": "10.5.0.10",
        "ip6": "2001:db8::1",
        "hostname": "www.invirt.test",
        "further_names": "shop.other.test",
    }
    assert second["ip"] == "10.5.0.11" and str(second["mac"]).startswith("00:16:3e:")
    assert "exists already" in admin("nic set 02:00:00:00:00:01 --ip 10.5.0.11", status=2)
    assert "no range" in admin("nic set 02:00:00:00:00:01 --ip 10.6.0.1", status=2)
    admin(f"nic remove {second['mac']}")
    admin("nic set 02:00:00:00:00:01 --ip6 none --hostname none")
    admin("nic unname shop.other.test 02:00:00:00:00:01")
    (left,) = admin.rows("nic list")
    assert (left["ip6"], left["hostname"], left["further_names"]) == (None, None, "")
    assert "there is no nic" in admin("nic remove 02:00:00:00:00:99", status=3)


def test_keys(admin: Admin) -> None:
    """The line of a .pub file, comment and all; taken back by what ssh-keygen calls it."""
    admin(f"key add alice@INVIRT.TEST {KEY} alice at home")
    assert admin("key list") == (
        f"principal          type         fingerprint\nalice@INVIRT.TEST  ssh-ed25519  {FINGERPRINT}\n"
    )
    admin(f"key remove alice@INVIRT.TEST {FINGERPRINT}")
    assert admin("key list") == ""


def test_changes_are_audited(admin: Admin, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who, under sudo, and what; looking is not."""
    admin("owner add alice")
    admin("owner list")
    monkeypatch.setenv("SUDO_USER", "eve")
    admin("owner set alice --memory 64")
    rows = database.execute("SELECT principal, command, arguments, outcome FROM audit ORDER BY audit_id")
    assert rows == [
        ("root", "invirt-admin", "group=owner verb=add name=alice", "succeeded"),
        ("eve", "invirt-admin", "group=owner verb=set name=alice memory=64", "succeeded"),
    ]
