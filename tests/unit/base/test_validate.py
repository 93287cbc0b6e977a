"""The whitelists: what comes through is safe in conf files, ACLs and command lines."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from invirt.base import validate
from invirt.base.errors import BadInput

BAD_NAMES = [
    *("ALL", "EMPTY", "ANYUSER", "remus\n", "remus\nANYUSER", "../x", "a" * 64, "Remus", "rémus", "a b"),
    *("", "-a", "a-", "a.b", "a_b", "a/b", "a#", "a:b", "\u0661", "a\0b", "a\u2028"),
]
BAD_PRINCIPALS = [
    *("alice", "alice@", "@REALM", "alice@realm", "al ice@REALM", "alice@REALM\n", "alice@REALM\nANYUSER"),
    *(
        "#alice@REALM",
        "alice:x@REALM",
        "princ:alice@REALM",
        "a/b/c/d@REALM",
        "a@B@C",
        "a\\@b@REALM",
        "ANYUSER",
    ),
    *("include /etc/passwd", "a" * 250 + "@REALM", "álice@REALM", ""),
]
BAD_NUMBERS = [
    "",
    "-1",
    "+1",
    "1.5",
    "1e3",
    "0x10",
    " 1",
    "1 ",
    "1\n",
    "one",
    "\u0663",
    "1_000",
    "9" * 30,
    "NaN",
]


@pytest.mark.parametrize(
    ("text", "mebibytes", "gibibytes"),
    [
        ("512", 512, 512),
        ("1024M", 1024, 1),
        ("2G", 2048, 2),
        ("2GiB", 2048, 2),
        ("1T", 1 << 20, 1024),
        ("3TiB", 3 << 20, 3072),
        ("512M", 512, None),
        ("1536MiB", 1536, None),
    ],
)
def test_sizes_have_units(text: str, mebibytes: int, gibibytes: int | None) -> None:
    """Without one it is the amount's own; what isn't a whole number of those is refused, not rounded."""
    assert validate.mebibytes(text, 1, 1 << 30) == mebibytes
    if gibibytes:
        assert validate.gibibytes(text, 1, 1 << 30) == gibibytes
    else:
        with pytest.raises(BadInput, match="is no whole number of GiB"):
            validate.gibibytes(text, 1, 1 << 30)


@pytest.mark.parametrize(
    "text",
    ["512MB", "2g", "2K", "2 G", "1.5G", "G", "2GB", "2Gi", "2iB", "-2G", "2G\n", "\u0663G", "9" * 20 + "T"],
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        validate.mebibytes(text, 1, 1 << 30)
    assert "whole number of MiB from 1 to 1073741824, or with a unit: 512M, 2G, 1TiB" in caught.value.hint


def test_sizes_out_of_bounds() -> None:
    for text in ("1T", "9999999999999999999T"):
        with pytest.raises(BadInput, match="is too large for an amount of memory"):
            validate.mebibytes(text, 64, 65536)
    with pytest.raises(BadInput, match="is too small"):
        validate.gibibytes("0T", 1, 10)


@pytest.mark.parametrize("name", ["a", "0", "remus", "a-b", "help", "a" * 63])
def test_good_machine_names(name: str) -> None:
    assert validate.machine_name(name) == name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_machine_names(name: str) -> None:
    with pytest.raises(BadInput) as caught:
        validate.machine_name(name)
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    "principal", ["alice@REALM", "host/db.invirt.test@INVIRT.TEST", "a_b-c.d@R-1.X", "bob+x@R", "a/b/c@R"]
)
def test_good_principals(principal: str) -> None:
    assert validate.principal(principal) == principal


def test_realms_are_in_capitals() -> None:
    with pytest.raises(BadInput) as raised:
        validate.principal("bob@example.org")
    assert raised.value.hint == "Realms are in capitals: bob@EXAMPLE.ORG."


@pytest.mark.parametrize("principal", BAD_PRINCIPALS)
def test_bad_principals(principal: str) -> None:
    with pytest.raises(BadInput):
        validate.principal(principal)


@pytest.mark.parametrize("number", BAD_NUMBERS)
@pytest.mark.parametrize(
    "check",
    [
        lambda text: validate.mebibytes(text, 64, 1024),
        lambda text: validate.gibibytes(text, 1, 10),
        lambda text: validate.count(text, 1, 4),
        validate.token,
    ],
)
def test_bad_numbers(check: Callable[[str], int], number: str) -> None:
    with pytest.raises(BadInput):
        check(number)


def test_limits_are_inclusive_and_named() -> None:
    assert [validate.mebibytes(text, 64, 1024) for text in ("64", "0128", "1024")] == [64, 128, 1024]
    with pytest.raises(BadInput, match="too small") as caught:
        validate.mebibytes("63", 64, 1024)
    assert "from 64 to 1024" in caught.value.hint
    with pytest.raises(BadInput, match="too large"):
        validate.mebibytes("1025", 64, 1024)


def test_tokens_fit_the_database() -> None:
    assert validate.token(str(2**63 - 1)) == 2**63 - 1
    with pytest.raises(BadInput):
        validate.token(str(2**63))
    with pytest.raises(BadInput):
        validate.token("0")


@pytest.mark.parametrize("name", ["hda", "hdz"])
def test_good_disks(name: str) -> None:
    assert validate.disk_name(name) == name


@pytest.mark.parametrize("name", ["hd", "hdaa", "HDA", "sda", "hda\n", "hda1", ""])
def test_bad_disks(name: str) -> None:
    with pytest.raises(BadInput):
        validate.disk_name(name)


ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAII+pzCIlfdICdmg+1L5Kj+5Jg/r0n/OkRyqZ0SzECxhY"


@pytest.mark.parametrize("line", ["{}", "{} alice at home", " {} é\n"])
def test_good_public_keys(line: str) -> None:
    key = f"ssh-ed25519 {ED25519}"
    assert validate.key_line(line.format(key)) == key


@pytest.mark.parametrize(
    "line",
    [
        "",
        ED25519,
        f"ssh-dss {ED25519}",
        f"ssh-rsa {ED25519}",  # of another type than it says
        f'command="id" ssh-ed25519 {ED25519}',
        f"no-pty ssh-ed25519 {ED25519}",
        f"ssh-ed25519 {ED25519}\nssh-ed25519 {ED25519}",
        f"ssh-ed25519 {ED25519} alice\ncommand=x",
        f"ssh-ed25519 {ED25519[:-8]}",
        f"ssh-ed25519 {ED25519[:24]}",
        f"ssh-ed25519 {ED25519}AAAA",
        f"ssh-ed25519 {ED25519[:-1]}",
        "ssh-ed25519 AAAA*",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_bad_public_keys(line: str) -> None:
    with pytest.raises(BadInput, match="is not a (public|whole) key"):
        validate.key_line(line)


@pytest.mark.parametrize("text", ["", "a web server", "café ☕", "it's #1: 100 %"])
def test_good_descriptions(text: str) -> None:
    assert validate.description(text) == text


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[2J", "a" * 256, "\0", "a\u202eb", "\ud800"])
def test_bad_descriptions(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        validate.description(text)
    assert caught.value.message.isprintable()


ANY = st.text(max_size=80) | st.text(alphabet="aA0.-_/@#: \n", max_size=80)


@given(ANY)
@example("a:0")
def test_only_harmless_words_come_through(text: str) -> None:
    forms = {
        validate.machine_name: r"[a-z0-9-]{1,63}",
        validate.principal: r"[A-Za-z0-9._+/@-]{3,255}",
        validate.owner_name: r"[A-Za-z0-9._+/@-]{1,255}|[a-z][a-z0-9-]{0,30}:[A-Za-z0-9._/@+=,-]{1,200}",
        validate.disk_name: r"[a-z]{3}",
    }
    for check, form in forms.items():
        try:
            assert check(text) == text
        except BadInput as error:
            assert error.message.isprintable()
        else:
            assert re.fullmatch(form, text)


@given(ANY)
def test_only_numbers_in_range_come_through(text: str) -> None:
    try:
        value = validate.gibibytes(text, 1, 2048)
    except BadInput:
        return
    assert 1 <= value <= 2048
    assert value == int(text)
