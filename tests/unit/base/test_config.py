"""invirt.yaml: what is accepted, and that each mistake is named by file, line and key."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from invirt import config
from invirt.base.cli.manual import roff
from invirt.base.errors import BadConfig
from invirt.config import loader, manual
from invirt.config.schema import Config, Database, Remote, Site

GOOD = """\
site:
  domain: invirt.test
  realm: INVIRT.TEST
database:
  hostname: db.invirt.test
remote:
  hostname: remote.invirt.test
"""


def write(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "invirt.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_the_least_that_must_be_given(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, GOOD))
    assert loaded == Config(
        Site("invirt.test", "INVIRT.TEST"), Database("db.invirt.test"), Remote("remote.invirt.test")
    )
    assert loaded.machines.memory == 512
    assert loaded.remote_principals == ("host/remote.invirt.test@INVIRT.TEST",)


def test_lists_numbers_and_empty_sections(tmp_path: Path) -> None:
    text = GOOD + "  servers: [a.test, b.test]\n  host_timeout: 7\nweb:\nmachines: {}\n"
    loaded = config.load(write(tmp_path, text))
    assert loaded.remote.servers == ("a.test", "b.test")
    assert loaded.remote.host_timeout == 7
    assert loaded.remote_principals == ("host/a.test@INVIRT.TEST", "host/b.test@INVIRT.TEST")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("  domain: invirt.test\n", "", 2, "site.domain: missing"),
        ("domain", "domian", 2, "site.domian: unknown key"),
        ("site:", "sight:", 1, "sight: unknown key"),
        (
            "hostname: db.invirt.test",
            "hostname: db.invirt.test\n  port: often",
            6,
            "database.port: a whole number",
        ),
        (
            "hostname: db.invirt.test",
            "hostname: db.invirt.test\n  port: 0o17",
            6,
            "database.port: a whole number",
        ),
        (
            "hostname: db.invirt.test",
            "hostname: db.invirt.test\n  port: 010",
            6,
            "database.port: a whole number",
        ),
        ("hostname: db.invirt.test", "hostname: db.invirt.test\n  port: 65536", 6, "between 1 and 65535"),
        ("hostname: db.invirt.test", "hostname: db.invirt.test\n  name:", 6, "database.name: no value"),
        (
            "hostname: db.invirt.test",
            "hostname: db.invirt.test\n  hostname: b",
            6,
            "given twice, first in line 5",
        ),
        ("hostname: db.invirt.test", "hostname: no", 5, "database.hostname: text was expected"),
        ("hostname: db.invirt.test", "hostname: [a]", 5, "database.hostname: text was expected"),
        ("hostname: db.invirt.test", "hostname: a;reboot", 5, "is not a host name or a folder"),
        ("hostname: db.invirt.test", "hostname: /a/../b", 5, "is not a host name or a folder"),
        ("domain: invirt.test", 'domain: "invirt.test\\n"', 2, "is not a host name"),
        ("realm: INVIRT.TEST", "realm: invirt.test", 3, "is not a Kerberos realm"),
        ("remote.invirt.test", "remote.invirt.test\n  servers: a.test", 8, "remote.servers: a list"),
        (
            "remote.invirt.test",
            "remote.invirt.test\n  servers: [a, 2]",
            8,
            "remote.servers: text was expected",
        ),
        ("database:\n  hostname: db.invirt.test", "database: db", 4, "database: keys with values"),
        ("site:", "? [a]\n: b\nsite:", 1, "unknown key"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    file = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(BadConfig) as caught:
        config.load(file)
    assert caught.value.message.startswith(f"{file}:{line}: ")
    assert said in caught.value.message


def test_values_that_do_not_go_together(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD + "machines:\n  max_memory: 256\n")
    with pytest.raises(BadConfig, match=r"yaml:9: machines: memory is 512, which is not between 64 and 256"):
        config.load(file)


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ("doors: []", "web: doors names none"),
        ("doors: [file, file]", "web: doors names one twice"),
        ("doors: [ticket, kerberos]", "web.doors: 'kerberos' is not one of: ticket, password, file"),
        ("doors: ticket", "web.doors: a list was expected"),
        ("doors: [certificate]", "web: doors names certificate, and realms no domain"),
        ("doors: [oidc], oidc: {provider: 'https://a.test'}", "web: doors names oidc, and realms no domain"),
        (
            "doors: [oidc], realms: [{domain: a.test, realm: A}]",
            "web: doors names oidc, and oidc.provider nobody",
        ),
        ("oidc: {provider: 'http://a.test'}", "web.oidc.provider: 'http://a.test' is not an https URL"),
        ("oidc: {provider: 'https://a.test/'}", "web.oidc.provider: 'https://a.test/' is not an https URL"),
        ("oidc: {client: 'a b'}", "web.oidc.client: 'a b' is not a client's name"),
        ("oidc: {claim: 'a-b'}", "web.oidc.claim: 'a-b' is not a claim's name"),
        ("realms: [{domain: A.test, realm: A}]", "web.realms.domain: 'A.test' is not a host name"),
        ("realms: [{domain: a.test}]", "web.realms.realm: missing"),
        (
            "realms: [{domain: a.test, realm: A}, {domain: a.test, realm: B}]",
            "web: realms names a domain twice",
        ),
        ("certificate: {name: serial}", "web.certificate.name: 'serial' is not one of: email"),
        ("certificate: {ca: clients.pem}", "web.certificate.ca: 'clients.pem' is not a folder from /"),
    ],
)
def test_how_people_sign_on(tmp_path: Path, web: str, said: str) -> None:
    file = write(tmp_path, GOOD + f"web: {{{web}}}\n")
    with pytest.raises(BadConfig) as caught:
        config.load(file)
    assert f"yaml:8: {said}" in caught.value.message


def test_near_misses_are_guessed(tmp_path: Path) -> None:
    with pytest.raises(BadConfig) as caught:
        config.load(write(tmp_path, GOOD.replace("realm:", "relm:")))
    assert caught.value.hint == "Did you mean realm?"


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "[]", "a: &a [*a]\n", "--- a\n--- b\n", "x: [", "\t", b"\xff\xfe\x00"]
)
def test_what_is_no_configuration(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(BadConfig, match=re.escape(str(tmp_path))):
        config.load(write(tmp_path, text))


def test_bad_yaml_is_named_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"invirt\.yaml:4: can't be read as YAML"):
        config.load(write(tmp_path, "site:\n  domain: a\n  realm: [b\nx: y: z\n"))


def test_a_missing_file_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="doesn't exist") as caught:
        config.load(tmp_path / "none")
    assert "examples/invirt.yaml" in caught.value.hint


def test_values_are_read_at_first_use_and_again_after_reload(invirt_yaml: Path) -> None:
    assert config.site.domain == "invirt.test"
    invirt_yaml.write_text(GOOD.replace("invirt.test", "other.test"))
    assert config.site.domain == "invirt.test"
    config.reload()
    assert config.site.domain == "other.test"
    assert config.remote_principals == ("host/remote.other.test@INVIRT.TEST",)


def test_other_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError):
        _ = config.nonsense  # type: ignore[attr-defined]


def test_the_module_declares_what_the_schema_has() -> None:
    declared = {name for name in vars(config)["__annotations__"] if not name.startswith("_")}
    assert declared == {field.name for field in dataclasses.fields(Config)} | {"remote_principals"}


def uncommented(text: str) -> str:
    """The example with every key switched on."""
    return re.sub(r"(?m)^( *)#(?=[a-z_]+:)", r"\1", text)


def test_the_example_has_every_key_with_its_default(checkout: Path, tmp_path: Path) -> None:
    text = (checkout / "invirt-base/examples/invirt.yaml").read_text()
    short = config.load(write(tmp_path, text))
    long = config.load(write(tmp_path, uncommented(text)))
    assert long == short
    shown: dict[str, Any] = yaml.safe_load(uncommented(text))
    assert {key: set(value) for key, value in shown.items()} == {
        field.name: {inner.name for inner in dataclasses.fields(getattr(long, field.name))}
        for field in dataclasses.fields(Config)
    }


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=8)
        | st.sampled_from(["site", "domain", "a.b"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["site", "domain", "realm", "remote", "x"]) | st.integers(), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_yaml_loads_or_is_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    file = tmp_path_factory.mktemp("any") / "invirt.yaml"
    file.write_text(yaml.safe_dump(value))
    with pytest.raises(BadConfig, match=re.escape(f"{file}:")):
        config.load(file)


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "invirt.yaml"
    file.write_bytes(content)
    with pytest.raises(BadConfig):
        config.load(file)


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs",)), max_size=20))
def test_texts_come_through_only_whole_and_harmless(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.mktemp("any") / "invirt.yaml"
    value = yaml.safe_dump(text, default_style='"')
    file.write_text(GOOD.replace("db.invirt.test", value.strip()))
    try:
        assert re.fullmatch(r"[A-Za-z0-9._+/-]+", config.load(file).database.hostname)
    except BadConfig as error:
        assert "database.hostname" in error.message or "YAML" in error.message


def test_the_manual_has_each_key_and_what_it_means() -> None:
    page = manual.page()
    for section, kind in manual.sections():
        assert f".SS {section}\n" in page
        for key in manual.keys(kind, section):
            assert f".B {roff(key.name)}\n" in page
            assert key.about and key.kind and key.sample, key.name


def nested(section: str, kind: type) -> dict[str, Any]:
    """A section in which each key is what the manual has for an example."""
    said: dict[str, Any] = {}
    for key in manual.keys(kind, section):
        *path, last = key.name.split(".")[1:]
        inner = said
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = yaml.safe_load(key.sample)
    return said


def test_each_example_of_the_manual_is_taken(tmp_path: Path) -> None:
    said = {section: nested(section, kind) for section, kind in manual.sections()}
    loaded = loader.read(write(tmp_path, yaml.safe_dump(said)), Config)
    assert loaded.dns.zones == ("2.0.192.in-addr.arpa",)
    assert loaded.web.realms[0].realm == "EXAMPLE.ORG"
