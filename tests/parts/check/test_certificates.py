"""Mistakes with certificates, which openssl makes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from invirt import config
from invirt.check import certificates
from invirt.check.server import Server
from tests.parts.check.conftest import found, put, run

OWN, CA = "/etc/invirt/console/server.pem", "/etc/invirt/console/ca.pem"
NAME = "host1.invirt.test"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


@pytest.fixture
def server(tmp_path: Path, invirt_yaml: Path) -> Server:
    """A host, with an authority's certificate."""
    text = "console: {hostname: console.invirt.test}\nweb: {hostname: web.invirt.test}\n"
    invirt_yaml.write_text(invirt_yaml.read_text() + text)
    config.reload()
    made = Server(root=tmp_path / "root", roles=("host",), name=NAME)
    authority = ("-subj", "/CN=Consoles", "-keyout", tmp_path / "ca.key", "-out", tmp_path / "ca.pem")
    run("openssl", "req", "-x509", *KEY, "-days", "3650", *authority)
    put(made, CA, (tmp_path / "ca.pem").read_text(), 0o644)
    return made


def sign(
    server: Server,
    name: str = NAME,
    usage: str = "serverAuth",
    days: int = 800,
    path: str = OWN,
    folder: Path | None = None,
) -> Path:
    """A certificate of the authority's, put where it belongs."""
    folder = folder or server.root.parent
    key, wish, said = (server.root / name for name in ("key", "wish", "said"))
    run("openssl", "req", "-new", *KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", wish)
    uses = ("basicConstraints=critical,CA:FALSE", f"extendedKeyUsage={usage}", f"subjectAltName=DNS:{name}")
    said.write_text("\n".join(uses))
    by = ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-days", str(days), "-extfile", said)
    return put(server, path, run("openssl", "x509", "-req", "-in", wish, *by) + key.read_text())


def test_a_good_one_is_well(server: Server) -> None:
    sign(server)
    assert found(certificates.look, server) == ""
    server.roles, server.name = ("console",), "console.invirt.test"
    sign(server, server.name, "clientAuth")
    assert found(certificates.look, server) == ""


def test_none(server: Server) -> None:
    assert found(certificates.look, server) == f"ERROR {OWN}: there is no certificate"


def test_one_that_ends_soon_or_has_ended(server: Server) -> None:
    sign(server, days=20)
    assert f"WARNING {OWN}: it ends at " in found(certificates.look, server)
    sign(server, days=-1)
    assert f"ERROR {OWN}: it ended at " in found(certificates.look, server)


def test_another_server_s(server: Server) -> None:
    sign(server, "host2.invirt.test")
    said = found(certificates.look, server)
    assert f"it is not of {NAME}, but of: subject=" in said and "DNS:host2.invirt.test" in said


def test_for_the_other_use(server: Server) -> None:
    sign(server, usage="clientAuth")
    assert f"{CA} doesn't vouch for it as sslserver" in found(certificates.look, server)


def test_another_authority_s(server: Server, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    files = ("-subj", "/CN=Consoles", "-keyout", other / "ca.key", "-out", other / "ca.pem")
    run("openssl", "req", "-x509", *KEY, *files)
    sign(server, folder=other)
    assert f"{CA} doesn't vouch for it as sslserver" in found(certificates.look, server)


def test_whose_key_others_can_read(server: Server) -> None:
    sign(server).chmod(0o644)
    assert f"ERROR {OWN}: others than root can read the key" in found(certificates.look, server)


def test_with_another_s_key(server: Server) -> None:
    file = sign(server)
    certificate = file.read_text().partition("-----BEGIN PRIVATE")[0]
    key = run("openssl", "genpkey", "-algorithm", "ed25519")
    put(server, OWN, certificate + key)
    assert "the key in it is missing, or another certificate's" in found(certificates.look, server)


def test_what_is_none(server: Server) -> None:
    put(server, OWN, "nothing")
    assert "it holds no certificate that openssl can read" in found(certificates.look, server)


@pytest.fixture
def page(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A web server, which shows what its file had when it began."""
    server.roles, server.name = ("web",), "localhost"
    sign(server, server.name, "clientAuth")
    file = sign(server, "web.invirt.test", days=20, path=certificates.PAGE)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(certificates, "HTTPS", listening.getsockname()[1])

        def show() -> None:
            with suppress(OSError):  # until it is closed
                while True:
                    tls.wrap_socket(listening.accept()[0], server_side=True).close()

        threading.Thread(target=show, daemon=True).start()
        yield file
        listening.shutdown(socket.SHUT_RDWR)


def test_the_page_s_is_of_its_name_whoever_signed_it(server: Server, page: Path) -> None:
    assert found(certificates.look, server).startswith(f"WARNING {certificates.PAGE}: it ends at ")
    sign(server, "www.invirt.test", path=certificates.PAGE)
    assert f"ERROR {certificates.PAGE}: it is not of web.invirt.test" in found(certificates.look, server)


def test_the_page_shows_the_one_from_before(server: Server, page: Path) -> None:
    sign(server, "web.invirt.test", path=certificates.PAGE)
    said = found(certificates.look, server)
    assert "WARNING https://web.invirt.test/: another certificate is shown there" in said
    assert "WARNING https://web.invirt.test/: it ends at " in said


def test_the_page_shows_none(server: Server, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setattr(certificates, "HTTPS", listening.getsockname()[1])
    assert "ERROR https://web.invirt.test/: nobody shows a certificate" in found(certificates.look, server)
