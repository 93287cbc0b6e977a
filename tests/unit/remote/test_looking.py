"""Tables, and what hosts' answers are taken for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invirt.base import validate
from invirt.base.errors import BadInput, InvirtError, Unreachable
from invirt.remote import access, answers, listing, remconffs, states
from invirt.remote.lines import Answer
from invirt.remote.machines import disk_and_size
from invirt.remote.states import Machine
from invirt.remote.verbs import request_key


class Told:
    """Hosts that answer what they were told to."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def call(self, hostname: str, *words: str, timeout: float) -> str:
        raise AssertionError("only ask() is for questions to several")

    def ask(self, hostnames: Sequence[str], *words: str, timeout: float) -> dict[str, Answer]:
        self.asked += hostnames
        return {name: self.answers[name] for name in hostnames}


def machine(name: str, host: str | None) -> Machine:
    """Of whose host nothing was ever told."""
    never = {"state": "unknown", "last_seen": {"state": "off", "seconds": None}}
    known = never if host else {"state": "off", "last_seen": None}
    return {
        "name": name,
        "host": host,
        "hostname": host and f"{host}fqdn",
        "since": None,
        "ended": None,
        "rescue": False,
        **known,
    }


def told(name: str, host: str, state: str, seconds: int = 0) -> Machine:
    """Of which its host told state so many seconds ago."""
    if seconds < 15:
        return machine(name, host) | {"state": state, "since": "then", "last_seen": None}
    return machine(name, host) | {"last_seen": {"state": state, "seconds": seconds}}


def test_each_host_is_asked_once_and_silent_ones_are_named(invirt_yaml: Path) -> None:
    hosts = Told(
        afqdn='[{"name": "one", "state": "running"}, {"name": "other", "state": "running"}]',
        bfqdn=Unreachable("no route"),
    )
    machines = [machine("one", "a"), machine("two", "a"), machine("three", "b"), machine("four", None)]
    assert states.add_states(machines, hosts) == {"b": "no route"}
    assert [m["state"] for m in machines] == ["running", "off", "unknown", "off"]
    assert hosts.asked == ["afqdn", "bfqdn"]


def test_no_host_is_asked_that_has_told(invirt_yaml: Path) -> None:
    """Be it silent by now; one that never told anything is of the version before."""
    hosts = Told(cfqdn='[{"name": "three", "state": "running"}]')
    machines = [told("one", "a", "paused"), told("two", "b", "running", 40), machine("three", "c")]
    assert states.add_states(machines, hosts) == {"b": "it said something 40 s ago for the last time"}
    assert hosts.asked == ["cfqdn"]
    assert [states.in_words(m) for m in machines] == [
        "paused",
        "unknown, last seen running 40 s ago",
        "running",
    ]


def test_hosts_are_asked_when_that_is_wished(invirt_yaml: Path) -> None:
    hosts = Told(
        afqdn='[{"name": "one", "state": "running"}, {"name": "paused", "state": "running"}]',
        bfqdn=Unreachable("no route"),
    )
    machines = [
        told("one", "a", "off"),
        told("paused", "a", "paused"),
        told("gone", "a", "running", 40),
        told("three", "b", "running"),
        told("four", "b", "off", 7200),
    ]
    assert states.add_states(machines, hosts, ask=True) == {"b": "no route"}
    assert [states.in_words(m) for m in machines] == [
        *("running", "paused", "off"),
        "unknown",
        "unknown, last seen off 2 h ago",
    ]
    assert [m["since"] for m in machines[:2]] == [None, "then"]


def test_a_list_has_all_addresses() -> None:
    """Of IPv6, too: a machine may have no other."""
    nics = [{"ip": None, "ip6": "2001:db8::7"}, {"ip": "192.0.2.1", "ip6": "2001:db8::8"}]
    more = {"memory": 128, "disks": {}, "nics": nics}
    shown = listing.MACHINES({"machines": [machine("one", None) | more], "silent_hosts": {}})
    assert "2001:db8::7, 192.0.2.1 and 2001:db8::8" in shown


def test_no_host_is_asked_about_machines_that_are_off(invirt_yaml: Path) -> None:
    assert states.add_states([machine("four", None)], Told()) == {}


@given(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(str)))
def test_a_host_gone_mad_is_as_good_as_silent(answer: str) -> None:
    try:
        found = answers.guests("host", answer)
    except InvirtError as error:
        assert isinstance(error, Unreachable)
    else:
        assert all(isinstance(name, str) for name in found)


@pytest.mark.parametrize(
    "answer", ["{}", "[1]", '[{"name": 1}]', '["x"]', "[" * 100_000, "null", ""], ids=range(7)
)
def test_nonsense(answer: str) -> None:
    with pytest.raises(Unreachable):
        answers.guests("host", answer)


@given(st.text() | st.from_regex(r"[a-z]+@[A-Z]+\n?", fullmatch=True))
def test_an_acl_holds_only_principals(text: str) -> None:
    lines = remconffs.acl([text]).splitlines()
    assert lines[-1] == "include /etc/remctl/acl/web"
    assert lines[:-1] in ([], [text])
    for line in lines[:-1]:
        assert validate.principal(line) == line and not set(line) & set("#: \t\n\\")


def test_a_bare_name_is_of_the_site_s_realm(invirt_yaml: Path) -> None:
    assert access.full_principal("bob") == "bob@INVIRT.TEST"
    assert access.full_principal("bob@OTHER.TEST") == "bob@OTHER.TEST"
    for bad in ("", "a b", "a\n", "@X", "a:b", "#"):
        with pytest.raises(BadInput):
            access.full_principal(bad)


def test_disk_and_size(invirt_yaml: Path) -> None:
    assert disk_and_size("3") == ("hda", 3)
    assert disk_and_size("hdb=3") == ("hdb", 3)
    for bad in ("", "=3", "hdb=", "sda=3", "hda=hdb=3", "0", "-1", "99999"):
        with pytest.raises(BadInput):
            disk_and_size(bad)


def test_keys() -> None:
    assert request_key("a" * 200) == "a" * 200
    for bad in ("", "a" * 201, "ä", "a\nb"):
        with pytest.raises(BadInput):
            request_key(bad)
