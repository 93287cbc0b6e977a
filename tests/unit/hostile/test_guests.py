"""What guests, and a QEMU that a guest has taken over, say to their host; volumes' names, there and back."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from hypothesis import example
from hypothesis import strategies as st

from invirt.base.errors import InvirtError, NotFound, Unreachable
from invirt.host.network import relay
from invirt.host.qemu import qmp
from invirt.host.storage import files
from invirt.host.storage.volumes import NAME, Volume
from tests.examples import given, thorough
from tests.unit.hostile.test_said import BREAKERS, TREES

HOST = "192.0.2.11"
OPTION = st.tuples(st.integers(0, 255), st.binary(max_size=20)).map(
    lambda option: bytes([option[0], len(option[1])]) + option[1]
)
OPTIONS = st.lists(OPTION, max_size=5).map(b"".join) | st.binary(max_size=60)
HEADS = st.builds(
    lambda operation, middle, giaddr, rest: bytes([operation]) + middle + giaddr + rest,
    st.sampled_from([1, 1, 1, 2, 0]),
    st.binary(min_size=23, max_size=23),
    st.sampled_from([bytes(4), bytes(4), socket.inet_aton(HOST)]) | st.binary(min_size=4, max_size=4),
    st.just(bytes(208)) | st.binary(min_size=208, max_size=208),
)
MESSAGES = st.builds(lambda head, options: head + relay.MAGIC + options, HEADS, OPTIONS)


@given(MESSAGES | st.binary(max_size=400), st.integers(1, 2**31 - 1), OPTIONS)
@example(b"\1" + bytes(235) + relay.MAGIC + bytes([relay.FQDN, 1, 0, 12, 1, 97]), 1, b"")
def test_relayed(message: bytes, nic: int, answered: bytes) -> None:
    """A request goes out with its own interface alone, and what is answered to it comes back to that one."""
    interface = f"inv{nic}"
    sent = relay.outward(message, interface, HOST)
    if sent is None:
        assert message[:1] != b"\1" or len(message) <= 240 or b"\x52" in message or any(message[24:28])
        return
    marks = [value for _, code, value in relay.options(sent) if code == relay.RELAY_AGENT]
    assert marks == [bytes([1, len(interface)]) + interface.encode() + relay.OWN_PORT]
    assert (sent[4:24], sent[24:28], sent[28:240]) == (message[4:24], socket.inet_aton(HOST), message[28:240])
    before = [(code, value) for _, code, value in relay.options(message) if code != relay.FQDN]
    assert [(code, value) for _, code, value in relay.options(sent)][:-1] == before
    mark = bytes([relay.RELAY_AGENT, len(marks[0])]) + marks[0]
    answer = b"\2" + sent[1:240] + mark + answered
    assert relay.inward(answer, HOST) == (interface, b"\2" + sent[1:240] + answered)
    assert relay.inward(answer, "192.0.2.12") is None


@given(MESSAGES | st.binary(max_size=400))
def test_answers_to_nobody(message: bytes) -> None:
    """Whatever comes for an answer goes to one of our interfaces, or nowhere."""
    found = relay.inward(message, HOST)
    assert found is None or re.fullmatch(r"inv[0-9]{1,12}", found[0])


LINES = st.one_of(
    TREES.map(json.dumps),
    st.sampled_from(['{"return": {}}', '{"QMP": {}}', '{"event": "STOP"}', '{"error": {"desc": "no"}}']),
    st.builds(lambda value: json.dumps({"return": value}), TREES),
    st.builds(lambda value: json.dumps({"error": value}), TREES),
    st.text(max_size=20),
)
SAID = st.lists(LINES, max_size=6).map(lambda lines: "".join(f"{line}\n" for line in lines))


def talk(monkeypatch: pytest.MonkeyPatch, said: bytes) -> str:
    """What a host takes for the guest's state, after QEMU said these bytes and went silent."""
    ours, theirs = socket.socketpair()
    with theirs, monkeypatch.context() as patch:
        ours.settimeout(0.2)
        patch.setattr(qmp, "connect", lambda path, timeout: ours)
        theirs.sendall(said)
        theirs.shutdown(socket.SHUT_WR)
        with qmp.Qmp(Path("qmp")) as conversation:
            return conversation.status()


@given(SAID.map(lambda said: said.encode(errors="replace")) | st.binary(max_size=60))
@thorough(2)
def test_qemu(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """An answer, or an error of ours."""
    try:
        state = talk(monkeypatch, said)
    except InvirtError as error:
        assert "\n" not in error.message
    else:
        assert json.dumps(state).encode() in said


@pytest.mark.parametrize("said", BREAKERS, ids=range(len(BREAKERS)))
def test_what_breaks_parsers(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    with pytest.raises((NotFound, Unreachable)):
        talk(monkeypatch, f"{said}\n".encode(errors="replace")[: 1 << 17])


VOLUMES = st.builds(
    Volume,
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True),
    st.from_regex(r"hd[a-z]", fullmatch=True),
    st.integers(1, 9),
    st.none() | st.integers(1, 2**63 - 1),
    st.integers(1, 2**33),
).map(lambda one: one if one.operation else Volume(one.name, one.disk, one.size))


@given(VOLUMES)
@thorough(4)
def test_volumes(tmp_path: Path, volume: Volume) -> None:
    """The name under which a driver keeps a volume says whose it is, and when it was removed."""
    assert NAME.fullmatch(volume.key)
    storage = files.FileStorage(str(tmp_path))
    (tmp_path / "trash").mkdir(exist_ok=True)
    storage.make(f"d_{volume.name}_{volume.disk}", volume.size)
    if volume.operation:
        storage.move(f"d_{volume.name}_{volume.disk}", volume.key)
    try:
        assert storage.volumes() == [volume]
    finally:
        storage.wipe(volume.key)
