"""What the relay of DHCP lets through, and how it marks it; whatever a guest may send it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invirt import config
from invirt.base.errors import BadConfig
from invirt.host.commands.relay import run
from invirt.host.network import relay

HOST = "10.86.0.11"
HEAD = bytes([1, 1, 6, 0]) + b"xid." + bytes(16)
CHADDR = bytes.fromhex("525400000011") + bytes(10)
DISCOVER = bytes([53, 1, 1])
TOLD = b"\x01\x05inv17\x13\x02\0\0"  # the link, and that the answer is to come to the relay's own port


def message(operation: int = 1, giaddr: str = "0.0.0.0", options: bytes = DISCOVER) -> bytes:
    head = bytes([operation]) + HEAD[1:]
    return head + socket.inet_aton(giaddr) + CHADDR + bytes(192) + relay.MAGIC + options + b"\xff"


def test_a_request_names_the_host_and_the_interface() -> None:
    sent = relay.outward(message(), "inv17", HOST)
    assert sent is not None
    assert sent[3] == 1 and sent[24:28] == socket.inet_aton(HOST)
    assert sent[4:24] == message()[4:24] and sent[28:44] == CHADDR
    codes = {code: value for _, code, value in relay.options(sent)}
    assert codes == {53: b"\x01", 82: TOLD} and sent[-1] == 255


def test_a_full_name_is_left_out() -> None:
    fqdn = b"\x51\x06\x01\x00\x00abc"
    for said in (fqdn + DISCOVER, DISCOVER + fqdn, DISCOVER + b"\0" + fqdn + fqdn):
        sent = relay.outward(message(options=said), "inv17", HOST)
        assert sent and sorted(code for _, code, _ in relay.options(sent)) == [53, 82]


def test_padding_after_the_end_is_left_out() -> None:
    padded = message() + bytes(60)
    assert relay.outward(padded, "inv17", HOST) == relay.outward(message(), "inv17", HOST)


def test_a_guest_that_speaks_as_a_relay_is_not_heard() -> None:
    assert relay.outward(message(giaddr="10.86.0.12"), "inv17", HOST) is None
    assert relay.outward(message(options=DISCOVER + b"\x52\x06\x01\x04inv1"), "inv17", HOST) is None
    assert relay.outward(message(operation=2), "inv17", HOST) is None


def test_an_answer_goes_to_the_interface_that_it_names() -> None:
    answer = message(2, HOST, DISCOVER + b"\x52\x07\x01\x05inv17" + b"\x03\x04abcd")
    assert relay.inward(answer, HOST) == ("inv17", message(2, HOST, DISCOVER + b"\x03\x04abcd"))


def test_an_answer_for_another_host_or_interface_goes_nowhere() -> None:
    circuit = b"\x52\x07\x01\x05inv17"
    assert relay.inward(message(2, "10.86.0.12", circuit), HOST) is None
    assert relay.inward(message(2, HOST, b"\x52\x06\x01\x04eth0"), HOST) is None
    assert relay.inward(message(2, HOST), HOST) is None
    assert relay.inward(message(1, HOST, circuit), HOST) is None


@given(st.binary(max_size=400), st.sampled_from([0, 1, 2]))
def test_any_bytes_are_borne(junk: bytes, operation: int) -> None:
    for options in (junk, bytes(236)[:236] + relay.MAGIC + junk):
        for tried in (options, bytes([operation]) + options[1:], message(operation, HOST, junk)):
            sent = relay.outward(tried, "inv17", HOST)
            assert sent is None or [v for _, c, v in relay.options(sent) if c == 82] == [TOLD]
            relay.inward(tried, HOST)


def test_a_guest_that_asks_without_end_leaves_others_their_turns() -> None:
    shares, now = relay.Shares(), 1000.0
    carried = sum(shares.take("inv1", now + second / 1000) for second in range(10_000))
    assert 35 <= carried <= 41  # 20 at once, and 2 a second
    assert all(shares.take(f"inv{nic}", now + 10) for nic in range(2, 40))


def test_a_host_asks_no_more_than_its_share() -> None:
    shares = relay.Shares()
    burst = int(relay.PER_HOST[1])
    assert sum(shares.take(f"inv{nic}", 1000.0) for nic in range(2 * burst)) == burst
    assert shares.take("inv1", 1001.0)


def test_a_server_by_the_name_of_nobody_is_told_of(
    invirt_yaml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostbyname", lambda _: "127.0.0.1")  # wherever names come from here
    invirt_yaml.write_text(invirt_yaml.read_text() + "dhcp: {servers: [localhost]}\n")
    config.reload()
    with pytest.raises(BadConfig, match=r"localhost of dhcp\.servers is 127\.0\.0\.1 here"):
        run()


def test_what_is_remembered_has_a_bound() -> None:
    shares = relay.Shares()
    for nic in range(2 * relay.MOST_GUESTS):
        shares.take(f"inv{nic}", float(nic))
    assert len(shares.guests) <= relay.MOST_GUESTS + 1
