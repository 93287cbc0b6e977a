"""One-time tokens over real TLS: who is answered, how often, and what happens when it is cut off."""

from __future__ import annotations

import dataclasses
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from invirt.base.errors import Denied, InvirtError, Unreachable
from invirt.base.listening import serve
from invirt.setup import enrol, join, tokens
from invirt.setup.bundle import Bundle
from invirt.setup.certificates import Authority
from invirt.setup.tokens import Offers, Token
from tests.parts.realm import loopback

NAME = "host2.invirt.test"
GIVEN = Bundle(
    NAME, ["host"], "/srv/volumes", "", "[libdefaults]\n", "site: {}\n", {NAME: "192.0.2.9"},
    {f"host/{NAME}": "a2V5"}, {"/etc/invirt/console/server.pem": "PEM"}, "CA",
)  # fmt: skip
DEADLINE = 20  # seconds


def fingerprint(authority: Authority) -> str:
    return tokens.fingerprint(ssl.PEM_cert_to_DER_cert(authority.certificate.read_text()))


@dataclass
class Door:
    """The first server's end, in this process."""

    offers: Offers
    authority: Authority
    address: str = field(default_factory=loopback)
    port: int = 0
    pause: float = 0.0

    def __post_init__(self) -> None:
        tls = enrol.context(self.authority.certificate, self.authority.folder / "ca.key")
        listening = socket.create_server((self.address, 0))
        self.port = listening.getsockname()[1]

        def carry(connection: socket.socket) -> None:
            enrol.answer(connection, tls, self.offers, self.pause)

        words = ("invirt-enrol", carry, enrol.MOST, listening.detach())
        threading.Thread(target=serve, args=words, daemon=True).start()

    def token(self, lasts: float = 3600, name: str = NAME) -> Token:
        """A token for that name, as it is printed and read."""
        said = tokens.secret()
        self.offers.make(name, said, dataclasses.replace(GIVEN, name=name).plain(), lasts)
        return tokens.token(str(Token(self.address, name, said, fingerprint(self.authority))))

    @property
    def there(self) -> list[str]:
        return self.offers.waiting()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority("Invirt enrolment", tmp_path_factory.mktemp("enrolment") / "made")
    made.make()
    return made


@pytest.fixture
def door(tmp_path: Path, authority: Authority) -> Door:
    folder = tmp_path / "offers"
    folder.mkdir(mode=0o700)
    return Door(Offers(folder, owner=""), authority)


@dataclass(frozen=True)
class New:
    """A new server, which keeps what it is given in a folder."""

    folder: Path
    door: Door

    def fetch(self, token: Token) -> Bundle:
        joined, claim = self.folder / "joined.json", self.folder / "claim"
        return join.fetched(token, self.door.port, joined, claim)


@pytest.fixture
def new(tmp_path: Path, door: Door) -> Callable[[str], New]:
    def made(name: str) -> New:
        (tmp_path / name).mkdir(exist_ok=True)
        return New(tmp_path / name, door)

    return made


def until(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_what_was_offered_is_given_once(door: Door, new: Callable[[str], New]) -> None:
    token = door.token()
    assert new("new").fetch(token) == GIVEN
    until(lambda: door.there == [])
    assert (new("new").folder / "joined.json").stat().st_mode & 0o777 == 0o600
    assert new("new").fetch(token) == GIVEN  # of its own disk
    with pytest.raises(Denied, match="refused"):
        new("thief").fetch(token)


def test_refused_alike(door: Door, new: Callable[[str], New]) -> None:
    """A wrong name, a wrong secret, one that has ended: the same words, and nothing is used up."""
    token = door.token()
    ended = door.token(lasts=0, name="host3.invirt.test")
    said = set()
    for wrong in (
        dataclasses.replace(token, name="host9.invirt.test"),
        dataclasses.replace(token, secret=tokens.secret()),
        dataclasses.replace(ended, secret=token.secret),
        ended,
    ):
        with pytest.raises(Denied) as caught:
            new("new").fetch(wrong)
        said.add(str(caught.value))
    assert len(said) == 1
    assert door.there == [NAME] and new("new").fetch(token) == GIVEN


def test_an_earlier_token_counts_no_more(door: Door, new: Callable[[str], New]) -> None:
    first, second = door.token(), door.token()
    with pytest.raises(Denied):
        new("new").fetch(first)
    assert new("new").fetch(second) == GIVEN


def test_nothing_is_said_to_another_server(
    door: Door, new: Callable[[str], New], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate is another one: it hears no secret."""
    forged = Authority("Invirt enrolment", tmp_path / "forged")
    forged.make()
    heard: list[Any] = []
    monkeypatch.setattr(enrol, "_read", lambda lines: heard.append(lines.read()))
    impostor = Door(door.offers, forged)
    token = dataclasses.replace(door.token(), address=impostor.address)
    with pytest.raises(Denied, match="is not the server that made the token"):
        New(new("new").folder, impostor).fetch(token)
    until(lambda: heard == [b""])


def test_a_certificate_is_no_proof_without_its_key(
    door: Door, new: Callable[[str], New], tmp_path: Path
) -> None:
    """Who shows the true certificate, which anybody can see, must have its key, too."""
    other = Authority("Invirt enrolment", tmp_path / "other")
    other.make()
    with pytest.raises(ssl.SSLError):
        enrol.context(door.authority.certificate, other.folder / "ca.key")


class Cut:
    """Stands between both, and cuts the connection behind so many bytes of the server's."""

    def __init__(self, door: Door, after: int) -> None:
        self.door, self.after = door, after
        self.listening = socket.create_server((door.address, 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._carry, daemon=True).start()

    def _carry(self) -> None:
        near, _ = self.listening.accept()
        with near, socket.create_connection((self.door.address, self.door.port)) as far:
            threading.Thread(target=self._up, args=(near, far), daemon=True).start()
            left = self.after
            while left and (data := far.recv(left)):
                near.sendall(data)
                left -= len(data)
            for one in (near, far):
                one.shutdown(socket.SHUT_RDWR)

    @staticmethod
    def _up(near: socket.socket, far: socket.socket) -> None:
        try:
            while data := near.recv(4096):
                far.sendall(data)
        except OSError:
            return


def test_a_connection_that_is_cut_loses_nothing(door: Door, new: Callable[[str], New]) -> None:
    """Wherever it is cut, the same server gets all of it with the same token, and no other does."""
    whole = 0
    for after in range(0, 6000, 150):
        name = f"new{after}"
        token = door.token()
        cut = Cut(door, after)
        joined, claim = new(name).folder / "joined.json", new(name).folder / "claim"
        try:
            join.fetched(token, cut.port, joined, claim)
            whole += 1
        except Unreachable:
            assert door.there == [NAME]
        assert new(name).fetch(token) == GIVEN
        until(lambda: door.there == [])
        with pytest.raises(Denied):
            new("thief").fetch(token)
        if whole:
            break
    assert whole


def test_a_server_that_was_killed_gives_the_same_again(
    door: Door, authority: Authority, new: Callable[[str], New]
) -> None:
    """What was claimed is on the disk before anything is given."""
    token = door.token()
    assert door.offers.claimed(NAME, token.secret, "another") == GIVEN.plain()
    again = Door(door.offers, authority, door.address)
    with pytest.raises(Denied):
        New(new("new").folder, again).fetch(token)
    assert again.offers.claimed(NAME, token.secret, "another") == GIVEN.plain()


def test_two_at_once_are_not_both_answered(door: Door, new: Callable[[str], New]) -> None:
    for turn in range(5):
        token = door.token()

        def fetch(name: str, token: Token = token) -> bool:
            try:
                return new(name).fetch(token) == GIVEN
            except Denied:
                return False

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(fetch, [f"new{turn}-{number}" for number in range(4)])) == 1


def test_a_thousand_guesses(door: Door, new: Callable[[str], New]) -> None:
    """None is answered; whoever has the token is, then."""
    token = door.token()

    def guess(number: int) -> bytes:
        with contexted(door) as lines:
            asked = {"name": NAME, "secret": tokens.secret(), "claim": str(number)}
            lines.write(json.dumps(asked).encode() + b"\n")
            lines.flush()
            return bytes(lines.readline())

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(guess, range(1000))) == {enrol.REFUSED}
    assert new("new").fetch(token) == GIVEN


@pytest.mark.parametrize(
    "said",
    [
        b"", b"\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b"[" * 4000 + b"\n", b"x" * 10000,
        b'{"name": "../../etc/shadow", "secret": "x", "claim": "y"}\n',
        b'{"name": "host2.invirt.test", "secret": null, "claim": ""}\n',
        b'{"name": "host2.invirt.test", "secret": "x", "claim": "y", "more": "z"}\n',
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused_alike(door: Door, new: Callable[[str], New], said: bytes) -> None:
    token = door.token()
    with contexted(door) as lines:
        lines.write(said or b"\n")
        lines.flush()
        assert lines.readline() == enrol.REFUSED
    assert new("new").fetch(token) == GIVEN


def test_a_refusal_takes_its_time(door: Door) -> None:
    """So does each guess of a row of eight."""
    door.pause = 0.3
    start = time.monotonic()
    with contexted(door) as lines:
        lines.write(b"{}\n")
        lines.flush()
        assert lines.readline() == enrol.REFUSED
    assert time.monotonic() - start >= 0.3
    assert enrol.PAUSE >= 1


def test_half_a_token_is_told() -> None:
    for text in ("", "192.0.2.1/host2", str(Token("192.0.2.1", NAME, "x" * 21, "0" * 43))):
        with pytest.raises(InvirtError, match="not a whole token"):
            tokens.token(text)


class contexted:
    """A connection to the door by TLS, without a look at who is there."""

    def __init__(self, door: Door) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        raw = socket.create_connection((door.address, door.port), DEADLINE)
        self.connection = tls.wrap_socket(raw)

    def __enter__(self) -> Any:
        self.lines = self.connection.makefile("rwb")
        return self.lines

    def __exit__(self, *_: object) -> None:
        self.connection.close()
