"""Groups as a real protection server of AFS has them, in user space; what fs says is the test's."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from invirt import config
from invirt.base import cli
from invirt.base.errors import CommandFailed
from invirt.database.commands.admin import COMMAND
from invirt.database.members import afs, asking, keeping
from tests.parts.members.conftest import configure
from tests.parts.owned import machine
from tests.parts.postgres import Database
from tests.parts.realm import Realm, end

pytestmark = pytest.mark.nightly
PATIENCE = 60.0  # seconds until it takes changes: it looks first whether there are others
ADDRESS = "10.99.0.1"  # not 127.0.0.1, at which AFS has no server
SET_UP = """\
set -e
ip link set lo up
ip addr add $1/32 dev lo
for folder in /etc/openafs /var/lib/openafs /var/log/openafs; do mount -t tmpfs tmpfs $folder; done
mkdir -p /etc/openafs/server /var/lib/openafs/db /var/lib/openafs/local
for folder in /etc/openafs /etc/openafs/server; do
    echo invirt.test >$folder/ThisCell
    printf '>invirt.test\n%s #db\n' $1 >$folder/CellServDB
done
echo $1 >/etc/openafs/server/NetInfo
cp "$2" /etc/openafs/server/rxkad.keytab
asetkey add rxkad_krb5 "$3" 18 "$2" afs/invirt.test
exec /usr/lib/openafs/ptserver -rxbind
"""
Say = Callable[..., str]


@pytest.fixture(scope="module")
def pts(realm: Realm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The program, signed on as the cell's administrator, with users and groups there."""
    keytab = realm.keytab("afs/invirt.test")
    told = subprocess.run(["klist", "-k", str(keytab)], check=True, capture_output=True, text=True).stdout
    argv = ["unshare", "-m", "-n", "--propagation", "private", "sh", "-c", SET_UP, "-"]
    kvno = told.strip().splitlines()[-1].split()[0]
    server = subprocess.Popen([*argv, ADDRESS, str(keytab), kvno], env=realm.environment)
    program = tmp_path_factory.mktemp("afs") / "pts"
    program.write_text(f'#!/bin/sh\nexec nsenter -t {server.pid} -m -n pts "$@" -localauth\n')
    program.chmod(0o755)
    try:
        limit = time.monotonic() + PATIENCE
        while "has id" not in say(program, "createuser", "alice", "-id", "1001"):
            assert server.poll() is None and time.monotonic() < limit
            time.sleep(0.2)
        _fill(program)
        yield program
    finally:
        end(server)


def say(program: Path, *words: str) -> str:
    done = subprocess.run([str(program), *words], check=False, capture_output=True, text=True, timeout=30)
    return done.stdout


def _fill(program: Path) -> None:
    """alice:outer has prefixless, alice:inner and alice; alice:open everybody."""
    for user in ("bob", "erin", "alice.root", "192.0.2.7", "gone"):
        assert "has id" in say(program, "createuser", user)
    for group in ("alice:inner", "alice:outer", "alice:open", "prefixless", "alice:empty"):
        assert "has id" in say(program, "creategroup", group, "-owner", "alice")
    for user, group in (
        *(("bob", "alice:inner"), ("gone", "alice:inner"), ("192.0.2.7", "alice:inner")),
        *(("alice:outer", "alice:inner"), ("alice:inner", "alice:outer"), ("alice", "alice:outer")),
        *(("prefixless", "alice:outer"), ("alice.root", "prefixless"), ("erin", "prefixless")),
        *(("system:authuser", "alice:open"), ("alice", "alice:open")),
    ):
        say(program, "adduser", user, group)
    say(program, "delete", "gone")


@pytest.fixture
def locker(
    pts: Path, site: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Who the members are, of a folder with these rights."""
    (tmp_path / "fs").write_text('#!/bin/sh\ncat "$0.acl"\n')
    (tmp_path / "fs").chmod(0o755)
    configure(site, "ldaps://localhost:1", tmp_path / "cert.pem", tmp_path / "password")
    site.config.write_text(
        site.config.read_text().replace("ldap, hr]", "ldap, afs]") + "  afs: {folder: /afs/invirt.test}\n"
    )
    config.reload()
    monkeypatch.setattr(afs, "FS", (str(tmp_path / "fs"),))
    monkeypatch.setattr(afs, "PTS", (str(pts),))

    def members(given: str, taken: str = "") -> list[str]:
        lines = [f"  {one} rlidwka" for one in given.split()]
        less = ["Negative rights:", *(f"  {one} a" for one in taken.split())] if taken else []
        said = ["Access list for /afs/invirt.test/robotics is", "Normal rights:", *lines, *less]
        (tmp_path / "fs.acl").write_text("\n".join(said) + "\n")
        return [one.removesuffix("@INVIRT.TEST") for one in asking.ask("afs", "robotics")]

    return members


def test_groups_in_groups(locker: Callable[..., list[str]]) -> None:
    """In a circle, without a prefix; computers are no users, nor is who was deleted."""
    assert locker("alice:outer") == ["alice/root", "alice", "bob", "erin"]
    assert locker("alice:inner alice:empty") == ["alice/root", "alice", "bob", "erin"]
    assert locker("prefixless 192.0.2.7 bob@other.test 1017 -300") == ["alice/root", "erin"]
    assert locker("alice:empty") == []


def test_what_is_taken_is_taken_by_groups_too(locker: Callable[..., list[str]]) -> None:
    assert locker("alice:outer", "prefixless") == ["alice", "bob"]
    assert locker("bob", "alice:outer") == []
    assert locker("bob", "system:authuser") == []


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("alice:open", ""),
        ("alice", "alice:open"),
        ("nobody:there", ""),
        ("alice", "nobody"),
        ("system:anyuser", ""),
    ],
)
def test_what_lets_in_everybody_or_is_not_there(
    locker: Callable[..., list[str]], given: str, taken: str
) -> None:
    with pytest.raises(CommandFailed):
        locker(given, taken)


def test_who_is_not_signed_on_is_told_nothing(
    locker: Callable[..., list[str]], pts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server would answer, but so could anybody."""
    (tmp_path / "pts").write_text(pts.read_text().replace("-localauth", ""))
    (tmp_path / "pts").chmod(0o755)
    monkeypatch.setattr(afs, "PTS", (str(tmp_path / "pts"),))
    assert "alice" in say(tmp_path / "pts", "membership", "alice:outer")
    with pytest.raises(CommandFailed):
        locker("alice:outer")


def test_a_locker_s_members_are_who_may(locker: Callable[..., list[str]], pts: Path, site: Database) -> None:
    """What they may is the database's to say, to every door; who leaves the group may nothing more."""
    locker("alice:inner alice")  # what fs says from here on
    assert cli.main(COMMAND, ["owner", "add", "afs:robotics"]) == 0
    machine(site, "remus", "afs:robotics")
    query = "SELECT DISTINCT principal FROM access WHERE role = 'owner' ORDER BY 1"

    def who() -> list[str]:
        site.execute("UPDATE sources SET due_at = now()")
        with closing(site.connect("invirt_members")) as connected, connected.cursor() as cursor:
            assert keeping.turn(cursor, asking.ask) == 1
        return [str(one).removesuffix("@INVIRT.TEST") for (one,) in site.execute(query, user="invirt_remote")]

    assert who() == ["alice/root", "alice", "bob", "erin"]
    say(pts, "removeuser", "bob", "alice:inner")
    try:
        assert who() == ["alice/root", "alice", "erin"]
    finally:
        say(pts, "adduser", "bob", "alice:inner")
