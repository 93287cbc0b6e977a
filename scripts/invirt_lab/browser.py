"""A browser without a screen: it keeps cookies, and sends what it is told to send, forms among it."""

from __future__ import annotations

import base64
import html
import http.client
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from invirt.base.errors import InvirtError

PATIENCE = 60.0  # seconds for an answer


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def to(self) -> str:
        """Where it leads."""
        return self.headers.get("Location", "")


@dataclass
class Browser:
    """One person's.

    certificate: the file of the server's, or of its authority's.  own: that of the
    person's own and its key.  source: the address that it comes from, if that matters.
    """

    address: str
    name: str
    certificate: str
    port: int = 443
    cookies: dict[str, str] = field(default_factory=dict)
    own: str = ""
    source: str = ""

    def _connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self.certificate)
        if self.own:
            context.load_cert_chain(self.own)
        source = (self.source, 0) if self.source else None
        plain = socket.create_connection((self.address, self.port), PATIENCE, source)
        return context.wrap_socket(plain, server_hostname=self.name)

    def say(self, raw: bytes) -> Answer:
        """Send bytes as they are; the answer's end is the connection's."""
        with self._connect() as connected:
            connected.sendall(raw)
            response = http.client.HTTPResponse(connected)
            response.begin()
            text = response.read().decode("utf-8", "replace")
        for line in response.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Answer(response.status, response.headers, text)

    def open(self, path: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        """An answer that is read as it comes, its headers there; close() it."""
        connected = self._connect()
        connected.sendall(f"GET {path} HTTP/1.1\r\n{self._head(headers or {})}\r\n".encode())
        response = http.client.HTTPResponse(connected)
        connected.close()  # the answer holds it
        response.begin()
        return response

    def _head(self, more: Mapping[str, str]) -> str:
        lines = {"Host": f"{self.name}:{self.port}", "Connection": "close", **more}
        if self.cookies:
            lines["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return "".join(f"{name}: {value}\r\n" for name, value in lines.items())

    def ask(
        self, path: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """GET, or POST of a form."""
        body = urlencode(form).encode() if form is not None else b""
        lines = dict(headers or {})
        if form is not None:
            lines |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
        method = "GET" if form is None else "POST"
        return self.say(f"{method} {path} HTTP/1.1\r\n{self._head(lines)}\r\n".encode() + body)

    def sign_on(
        self, user: str, password: str, headers: Mapping[str, str] | None = None, door: str = "password"
    ) -> Answer:
        """By a password's door."""
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.ask(f"/sign-on/{door}", headers={"Authorization": f"Basic {basic}", **(headers or {})})

    def answers(self) -> bool:
        """Whether anybody does."""
        try:
            return self.ask("/sign-on").status == 200
        except OSError:
            return False

    def send(self, page: str, path: str, **values: str) -> Answer:
        """A form of a page, with the page's secret."""
        found = re.search(r'name="secret" value="([^"]+)"', self.ask(page).text)
        if not found:
            raise InvirtError(f"{page} has no form")
        return self.ask(path, {"secret": found[1], **values})

    def make(self, name: str, **more: str) -> Answer:
        """The form of a new machine, sent: a small one, but for what is said."""
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.ask("/new").text))
        return self.ask("/new", {"size": "Small", "name": name, **fields, **more})

    def press(self, name: str, verb: str, **values: str) -> Answer:
        """A form of a machine's page."""
        return self.send(f"/machines/{name}", f"/machines/{name}/{verb}", **values)

    def follow(self, answer: Answer) -> str:
        """The page of the operation that a form has begun, once it has ended; raises InvirtError."""
        if not answer.to.startswith("/operations/"):
            raise InvirtError(f"no operation has begun: status {answer.status}", hint=words(answer.text))
        deadline = time.monotonic() + PATIENCE
        while "http-equiv" in (page := self.ask(answer.to)).text or page.status != 200:
            if time.monotonic() > deadline:
                raise InvirtError(f"{answer.to} doesn't come to an end", hint=words(page.text))
            time.sleep(0.1)
        return page.text


def words(page: str) -> str:
    """What a person reads on a page, without what is around each."""
    content = page.partition("<main")[2].partition(">")[2].partition("</main>")[0] or page
    lines = html.unescape(re.sub(r"<[^>]*>", " ", content)).splitlines()
    return "\n".join(" ".join(line.split()) for line in lines if line.strip())
