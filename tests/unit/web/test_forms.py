"""What forms say: the rows of the remote server's table, and what was typed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from invirt.base.cli import understood, whole
from invirt.base.cli.describe import described
from invirt.base.errors import BadInput, NotFound
from invirt.remote.commands import web
from invirt.web import forms, machines, making


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """That of this checkout's remote server."""
    rows = described(web.COMMAND)
    monkeypatch.setattr(forms, "say", lambda *words: rows)
    monkeypatch.setattr(forms._Known, "until", 0.0)
    yield rows
    monkeypatch.setattr(forms._Known, "until", 0.0)


CHANGES = [verb for verbs in machines.CHANGES.values() for verb in verbs]
VALUES = {
    "user": "alice@INVIRT.TEST", "name": "remus", "other": "romulus", "new": "romulus", "memory": "1G",
    "cpus": "2", "disk": "hdb", "size": "2G", "autostart": "no", "principal": "bob", "yes": "yes",
    "cdrom": "debian-netinst",
}  # fmt: skip


@pytest.mark.parametrize("verb", [*CHANGES, *(f"control {verb}" for verb in machines.POWER)])
def test_what_is_said_is_understood(invirt_yaml: object, verb: str) -> None:
    """Each verb that a page has, with all that it asks for."""
    values = {**VALUES, "disk": {"resize": "hdb=5G", "limit": "50"}.get(verb, VALUES["disk"])}
    if verb == "lvrename":
        values = {**values, "new": "hdc"}
    words = forms.form(verb).said(values)
    call = understood(whole(web.COMMAND, "web"), words)
    assert call and call.values["user"] == VALUES["user"] and call.values["name"] == "remus"
    assert call.values.get("no_wait", True) is True, "nobody waits for a form"


def test_the_names_are_those_that_the_pages_use() -> None:
    known = forms.table()
    assert {"create", "undelete", "purge", *CHANGES} <= set(known)
    assert {field.name for field in known["create"].fields} >= {
        *making.MORE,
        "name",
        "memory",
        "disk",
        "key",
    }


def test_a_key_is_one_word(invirt_yaml: object) -> None:
    """With its comment, as a .pub file has it."""
    words = forms.form("key add").said({"user": VALUES["user"], "key": "ssh-ed25519 AAAA alice@home"})
    assert words == ("key", VALUES["user"], "add", "ssh-ed25519 AAAA alice@home")


def test_nothing_that_is_typed_becomes_an_option() -> None:
    rename = forms.form("rename")
    for typed in ("--no-wait", "-x", "", " "):
        with pytest.raises(BadInput):
            rename.said({**VALUES, "new": typed})
    words = forms.form("set").said({**VALUES, "autostart": "no --json"})
    assert "--autostart=no --json" in words


def test_a_verb_that_remote_doesn_t_know_is_none() -> None:
    with pytest.raises(NotFound, match="no 'format'"):
        forms.form("format")
