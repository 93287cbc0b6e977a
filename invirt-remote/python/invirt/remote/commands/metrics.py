"""invirt-metrics: what Prometheus is told of the site, at /metrics."""

from __future__ import annotations

import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from invirt import config
from invirt.base.cli import SITE, Command
from invirt.base.notify import notify
from invirt.database import connection
from invirt.remote import metrics

PORT = 9373
FRESH = 5.0  # seconds in which an answer serves all who ask
PATIENCE = 10  # seconds for one who asks to say what


class Pages:
    """What is told, made anew when it is older than FRESH."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry, self.lock = registry, threading.Lock()
        self.made: dict[str, tuple[float, bytes]] = {}

    def page(self, accept: str) -> tuple[str, bytes]:
        """The form that is asked for, and what is told in it."""
        encode, form = choose_encoder(accept)
        with self.lock:
            at, page = self.made.get(form, (0.0, b""))
            if time.monotonic() - at > FRESH or not page:
                page = encode(self.registry)
                self.made[form] = (time.monotonic(), page)
        return form, page


class Answer(BaseHTTPRequestHandler):
    """One request."""

    timeout = PATIENCE

    def __init__(self, pages: Pages, *more: object) -> None:
        self.pages = pages
        super().__init__(*more)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Only /metrics is there."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        form, page = self.pages.page(self.headers.get("Accept", ""))
        self.send_response(200)
        self.send_header("Content-Type", form)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, form: str, *words: object) -> None:
        """Nothing: Prometheus asks all day."""


class Server(ThreadingHTTPServer):
    """IPv4 and IPv6; of this server alone where no readers are named."""

    address_family = AF_INET6
    daemon_threads = True

    def server_bind(self) -> None:
        """Both families by one socket."""
        self.socket.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0)
        super().server_bind()


def server(port: int) -> ThreadingHTTPServer:
    """Ready to serve."""
    handler = partial(Answer, Pages(metrics.registry()))
    if config.metrics.readers:
        return Server(("::", port), handler)
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def _run() -> None:
    connection.role = "remote"
    serving = server(PORT)
    notify("READY=1")
    serving.serve_forever()


COMMAND = Command(
    name="invirt-metrics",
    section=8,
    summary="tell Prometheus of the site, at port 9373",
    description=(
        "Answers GET /metrics: machines by state and host, memory, whether the death of any one host could\n"
        "be absorbed, operations, hosts' signs of life, how long the database and users' doors take.  Who\n"
        "may ask says metrics.readers in invirt.yaml; nobody else than this server where it names none.\n"
        "There are no names of users in it unless metrics.owners is true."
    ),
    files={
        **SITE,
        "/usr/share/doc/invirt-remote-server/examples": "alert rules for Prometheus, a dashboard for Grafana",
    },
    example="curl http://localhost:9373/metrics",
    run=_run,
    shown=None,
)
