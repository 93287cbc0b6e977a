"""Answers are taken whole or refused whole, and are read again as they were written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from invirt.base.errors import BadConfig
from invirt.setup import answers, asking, steps
from invirt.setup.answers import Answers

WHOLE = """\
domain: vm.invirt.test
realm: INVIRT.TEST
addresses: {gateway: 192.0.2.1, first: 192.0.2.128, last: 192.0.2.250}
"""
REFUSED = (
    ("realm: invirt.test", "is not a Kerberos realm in upper case"),
    ("colour: blue", "colour: unknown key"),
    ("roles: []", "what is this server to be"),
    ("roles: [remote]", "no server is the database server"),
    ("roles: [database, remote, remote]", "names one twice"),
    ("roles: [database, cook]", "is not a role"),
    ("servers: [{name: host2, address: 192.0.2.3, roles: [host]}]", "is not a server's full name"),
    ("addresses: {gateway: 192.0.2.1, first: 198.51.100.1, last: 192.0.2.9}", "not in the gateway's network"),
    ("addresses: {gateway: 192.0.2.1, first: 192.0.2.9, last: 192.0.2.8}", "is behind"),
    ("addresses: {gateway: 192.0.2.1}", "addresses.first: missing"),
    ("name: server1", "not a full name"),
    ("user: alice@INVIRT.TEST", "without a realm"),
    ("disks: ../volumes", "folder from /"),
    ('boot: {append: "quiet\\n"}', "a kernel's command line"),
    ("memory: -1", "between 0 and"),
    ("synchronous: true", "wants a copy of the database"),
)


def read(folder: Path, text: str) -> Answers:
    file = folder / "site.yaml"
    file.write_text(text)
    return answers.read(file)


def with_line(line: str) -> str:
    """WHOLE, in which a key is another one."""
    key = line.partition(":")[0]
    return re.sub(rf"(?m)^{key}:.*\n", "", WHOLE) + line + "\n"


@pytest.mark.parametrize(("line", "why"), REFUSED)
def test_refused(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(BadConfig, match=re.escape(why)) as caught:
        read(tmp_path, with_line(line))
    assert caught.value.message.startswith(f"{tmp_path}/site.yaml:")


def test_what_is_missing_is_shown_where_all_keys_are(tmp_path: Path) -> None:
    with pytest.raises(BadConfig) as caught:
        read(tmp_path, "")
    assert "invirt-setup/examples/site.yaml" in caught.value.hint


def test_the_example_has_every_key(checkout: Path, tmp_path: Path) -> None:
    text = (checkout / "invirt-setup/examples/site.yaml").read_text()
    assert read(tmp_path, text) == read(tmp_path, re.sub(r"(?m)^( *)#(?=[a-z])", r"\1", text))


def test_kept_answers_are_the_same(tmp_path: Path) -> None:
    more = "servers: [{name: h2.invirt.test, address: 192.0.2.3, roles: [host]}]\nkerberos: {make: false}\n"
    found = read(tmp_path, WHOLE + more)
    answers.keep(found, tmp_path / "kept.yaml")
    assert answers.read(tmp_path / "kept.yaml") == found
    assert (tmp_path / "kept.yaml").stat().st_mode & 0o777 == 0o600


def test_what_is_said_is_what_a_file_would_say(tmp_path: Path) -> None:
    said = {
        "domain": "vm.invirt.test",
        "realm": "INVIRT.TEST",
        "addresses.gateway": "192.0.2.1",
        "addresses.first": "192.0.2.128",
        "addresses.last": "192.0.2.250",
        "addresses.prefix": "24",
        "kerberos.make": "true",
        "roles": " ".join(answers.ROLES),
    }
    assert asking.understood(said) == read(tmp_path, WHOLE)
    with pytest.raises(BadConfig, match="true or false"):
        asking.understood({**said, "kerberos.make": "perhaps"})


def test_steps_look_before_they_act() -> None:
    """What is so is left alone, and what is not so after it was done is an error."""
    there = {"one"}
    acted: list[str] = []

    def step(name: str, works: bool = True) -> steps.Step:
        def do() -> None:
            acted.append(name)
            there.update({name} if works else ())

        return steps.Step(name, lambda: name in there, do)

    done = steps.run([step("one"), step("two")])
    assert acted == ["two"] and [record["done"] for record in done] == [False, True]
    with pytest.raises(steps.InvirtError, match="broken: was done, and is not so"):
        steps.run([step("broken", works=False)])
