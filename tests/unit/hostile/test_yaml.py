"""invirt.yaml: whatever it holds is loaded as it was meant, or refused with file and line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import typing
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import strategies as st

from invirt import config
from invirt.base import cli, firewall, templates
from invirt.base.commands.getconf import COMMAND
from invirt.base.errors import BadConfig
from invirt.base.identity import database_role
from invirt.config import digests, parsed
from invirt.config.forms import Form, Range
from invirt.config.schema import Config
from invirt.database import servers
from tests.examples import given, thorough

ROOT = Path(__file__).parents[3]
LEAST = b"site: {domain: a.b, realm: A}\ndatabase: {hostname: d}\nremote: {hostname: r}\n"


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Everything that the schema accepts for a type."""
    if typing.get_origin(kind) is Annotated:
        rule = typing.get_args(kind)[1]
        if isinstance(rule, Range):
            return st.integers(rule.least, rule.greatest)
        assert isinstance(rule, Form)
        freely = re.sub(r"\(\?=[^)]*\)", "", rule.pattern)  # Hypothesis would try out what looks ahead
        return st.from_regex(re.compile(freely, re.ASCII), fullmatch=True).filter(rule.accepts)
    if typing.get_origin(kind) is tuple:
        return st.lists(values(typing.get_args(kind)[0]), max_size=3).map(tuple)
    if dataclasses.is_dataclass(kind):
        return sections(kind)
    return {bool: st.booleans(), int: st.integers(0, 10**6), str: st.text(max_size=9)}[kind]


def sections(kind: Any) -> st.SearchStrategy[Any]:
    """Everything that a section may be; its defaults in place of values that don't go together."""

    def make(chosen: dict[str, Any]) -> Any:
        try:
            return kind(**chosen)
        except ValueError:
            return kind()

    types = typing.get_type_hints(kind, include_extras=True)
    return st.fixed_dictionaries({name: values(type) for name, type in types.items()}).map(make)


CONFIGS: st.SearchStrategy[Config] = sections(Config)


def load(folder: Path, text: bytes) -> Config:
    file = folder / "invirt.yaml"
    file.write_bytes(text)
    return config.load(file)


@given(CONFIGS)
@thorough(50)
def test_what_is_written_is_what_is_read(tmp_path: Path, meant: Config) -> None:
    assert load(tmp_path, json.dumps(dataclasses.asdict(meant)).encode()) == meant


def flat(found: Any) -> Any:
    """Sections, of either kind, as dictionaries, with what they tell of themselves."""
    if isinstance(found, tuple):
        return tuple(map(flat, found))
    if not hasattr(found, "__dict__"):
        return found
    told = [name for name, one in vars(type(found)).items() if isinstance(one, property)]
    return {name: flat(getattr(found, name)) for name in (*vars(found), *told)}


@given(CONFIGS)
@thorough(50)
def test_what_is_kept_is_what_was_read(tmp_path: Path, meant: Config) -> None:
    """And no more once the file is another, be it by a letter."""
    file, beside = tmp_path / "invirt.yaml", tmp_path / "kept"
    text = json.dumps(dataclasses.asdict(meant)).encode()
    file.write_bytes(text)
    beside.write_text(parsed.written(file, config.load(file)))
    assert flat(parsed.read(beside, file)) == flat(meant)
    file.write_bytes(text + b" ")
    assert parsed.read(beside, file) is None


BITS = st.sampled_from(
    [*b"{}[]:,?-&*!|>'\"%@`#~ \n\t", 0, 0x80, 0xFF, 0xFE, *b"a1"]
).map(lambda byte: bytes([byte]))  # fmt: skip
PARTS = st.one_of(
    BITS,
    st.binary(max_size=4),
    st.text(max_size=4).map(lambda text: text.encode(errors="surrogatepass")),
    st.sampled_from([b"!!python/object:os.system", b"&a", b"*a", b"<<: *a", b"!!null", b"!!str", b"---\n"]),
    st.sampled_from([b"\nremote: ", b"\nmachines: ", b"\n  port: ", b"\\ud800", b'"\\x00"', b"1e9", b"0b1"]),
)  # fmt: skip


@given(st.lists(PARTS, max_size=12).map(b"".join), st.booleans())
@thorough()
def test_any_bytes(tmp_path: Path, noise: bytes, amid: bool) -> None:
    """Loaded or refused; and refused by its file, whose name is all that is known of some faults."""
    try:
        load(tmp_path, LEAST + noise if amid else noise)
    except BadConfig as error:
        assert str(tmp_path / "invirt.yaml") in error.message
        assert len(error.message.splitlines()) == 1


DEEP = [b"[" * 50_000, b"{a: " * 20_000, b"- " * 50_000, b"&a [*a, " * 9_000, b'"' + b"\\" * 99_999]


@pytest.mark.parametrize("text", DEEP, ids=range(len(DEEP)))
def test_what_breaks_parsers(tmp_path: Path, text: bytes) -> None:
    for whole in (text, b"site: " + text):
        with pytest.raises(BadConfig):
            load(tmp_path, whole)


def words(text: str, comment: str = "#") -> list[list[str]]:
    """The words of each line; "quoted ones" are one."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(comment)]
    return [[word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)] for line in lines]


@pytest.fixture(autouse=True)
def no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name resolves."""
    monkeypatch.setattr(firewall, "named", lambda *names: [])


@given(CONFIGS)
@thorough(100)
def test_templates(invirt_yaml: Path, meant: Config) -> None:
    """Rendered with any configuration that is accepted, each file says just that."""
    console = dataclasses.replace(meant.console, address=meant.console.address or "192.0.2.9")
    meant = dataclasses.replace(meant, console=console)
    invirt_yaml.write_text(json.dumps(dataclasses.asdict(meant)))
    config.reload()
    rendered = {
        path.with_suffix("").name: templates.render(path) for path in ROOT.glob("invirt-*/files/**/*.mako")
    }
    assert words(rendered["invirt-remote"]) == [[who] for who in meant.remote_principals]
    idents(servers.ident(servers.known(["h.x"])), meant)
    hba = words(rendered["pg_hba.conf"])
    assert ["hostgssenc", "all", "all", "gss"] not in hba
    assert hba[1][:3] == ["local", meant.database.name, "invirt"]
    assert hba[-1][-2] == f"krb_realm={meant.site.realm}"
    kea(json.loads(rendered["invirt-dhcp4.conf"])["Dhcp4"], meant)
    powerdns(rendered["invirt.conf"], meant)
    zones(rendered["site.sql"], meant)
    assert words(rendered["web"]) == [
        [f"host/{name}@{meant.site.realm}"] for name in [meant.web.hostname] if name
    ]
    postgresql = dict(
        line.split(" = ") for line in rendered["postgresql.conf"].splitlines()[1:] if "=" in line
    )
    assert postgresql["port"] == str(meant.database.port)
    conservers(rendered, meant)
    getconf(meant)


def conservers(rendered: dict[str, str], meant: Config) -> None:
    """Whom a host's conserver lets write, and at which port consoles are: in each file once."""
    console, hosts = meant.console, rendered["invirt-host.cf"]
    assert values_of(hosts, "trusted") == ["127.0.0.1/32"]
    assert values_of(hosts, "rw") == [",".join(console.administrators)]
    assert values_of(hosts, "primaryport") == [str(console.port)]
    assert rendered["port.conf"].splitlines()[1:] == [
        "[Socket]",
        "ListenStream=",
        f"ListenStream={console.port}",
    ]


def values_of(text: str, word: str) -> list[str]:
    """What conserver.cf(5) gives to a word, wherever it stands."""
    return re.findall(rf"(?m)^\s*{word} (\S+);$", text)


def getconf(meant: Config) -> None:
    """invirt-getconf: KEY=VALUE, a line each; a list's values a line each where it is asked for alone."""
    listed = dict(line.split("=", 1) for line in printed([]).splitlines())
    assert listed["site.domain"] == meant.site.domain
    for key, values in (("remote.servers", meant.remote.servers), ("network.dns", meant.network.dns)):
        assert listed[key].split() == list(values)
        assert printed([key]).splitlines() == list(values)


def printed(argv: list[str]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert cli.main(COMMAND, argv) == 0
    return out.getvalue()


def places(meant: Config) -> str:
    """Where the database may be, as libpq has it."""
    return ",".join(dict.fromkeys((meant.database.hostname, *meant.database.copies)))


def idents(text: str, meant: Config) -> None:
    """Who may come as which role: the servers that are named, and hosts that the database names."""
    lines = {(who, role) for _, who, role in words(text)}
    named = {
        "remote": [who.split("/")[1].split("@")[0] for who in meant.remote_principals],
        "console": [name for name in [meant.console.hostname] if name],
        "web": [name for name in [meant.web.hostname] if name],
        "dns": meant.dns.servers,
        "dhcp": meant.dhcp.servers,
        "host": ["h.x"],
    }
    several = {meant.database.hostname, *meant.database.copies}
    standbys = {(f"postgres/{name}@{meant.site.realm}", "invirt_standby") for name in several}
    local = {("invirt-members", "invirt_members"), ("invirt-mail", "invirt_mail")}
    assert lines == {("root", "invirt"), ("postgres", "invirt")} | local | (
        standbys if len(several) > 1 else set()
    ) | {
        (f"host/{name}@{meant.site.realm}", role)
        for kind, names in named.items()
        for name in names
        for role in (f"invirt_{kind}", database_role(kind, name))
    }


def kea(conf: dict[str, Any], meant: Config) -> None:
    assert conf["hosts-database"]["host"] == places(meant)
    assert conf["hosts-database"]["name"] == meant.database.name
    assert conf["valid-lifetime"] == meant.dhcp.lease
    data = {option["name"]: option["data"] for option in conf["option-data"]}
    assert data["domain-name"] == meant.site.domain
    assert data.get("domain-name-servers", "") == ", ".join(meant.network.dns)


def powerdns(text: str, meant: Config) -> None:
    lines = [line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#")]
    settings = dict(lines)
    assert len(settings) == len(lines)
    assert settings["gpgsql-host"] == places(meant)
    assert settings["gpgsql-dbname"] == meant.database.name
    assert settings.get("also-notify", "") == ",".join(meant.dns.secondaries)
    assert settings["default-ttl"] == str(meant.dns.ttl)


def zones(text: str, meant: Config) -> None:
    """Five words between quotes, of which none can be ended early, and a number; before them, others."""
    others, _, rest = text.partition("dns.set_site")
    assert set(re.findall(r"'([^']*)'", others)) <= {
        meant.hypervisor.driver,
        meant.storage.driver,
        meant.storage.place,
        *meant.network.servers,
        *chain.from_iterable(digests.sections(meant).items()),
    }
    domain, named, _, nameservers, _, _ = re.findall(r"'([^']*)'", rest)
    assert domain == meant.site.domain
    assert set(named.split(",")) == {meant.site.domain, *meant.dns.zones}
    assert nameservers.split(",") == list(meant.dns.nameservers) or not meant.dns.nameservers
