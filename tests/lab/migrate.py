"""Moves a running guest to the lab's other host by hand: QEMU's live migration, then word to the database.

Its disk lies in the hosts' shared folder.  Each side's QEMU is given the
connection between them, since its unit may open none itself.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.lab.users import Lab

PORT = 4444
STATE = "/var/lib/invirt/guests"

# The guest's unit on the host that it comes to: QEMU waits for what it is sent.
INCOMING = """\
[Service]
ExecStart=
ExecStart=/usr/bin/python3 -c "from invirt.host.qemu import accelerator, launch; \
own = launch.arguments; launch.arguments = lambda *given: [*own(*given), '-incoming', 'defer']; \
launch.launch('%i', accelerator.chosen()[0])"
"""

# On either side: DOMAIN, and the host to send it to, or none to receive it.
# The unit is up before its QEMU is, and the one side before the other.
HALF = f"""
import json, socket, sys, time
from invirt.base.errors import NotFound, Unreachable
from invirt.host.qemu.guest import Guest
from invirt.host.qemu.qmp import Qmp

end = time.monotonic() + 50

def patiently(what, *failures):
    while True:
        try:
            return what()
        except failures:
            if time.monotonic() > end:
                raise
        time.sleep(0.05)

def connection(peer):
    if peer:
        return patiently(lambda: socket.create_connection((peer, {PORT}), 30), ConnectionRefusedError)
    with socket.create_server(("", {PORT})) as server:
        server.settimeout(30)
        return server.accept()[0]

domain, peer = sys.argv[1:]
qmp = patiently(Qmp(Guest(domain).qmp).__enter__, NotFound, Unreachable)
wire = connection(peer)
ask = json.dumps({{"execute": "getfd", "arguments": {{"fdname": "wire"}}}}).encode()
socket.send_fds(qmp.socket, [ask], [wire.fileno()])
while "return" not in qmp._read():
    pass
qmp("migrate" if peer else "migrate-incoming", uri="fd:wire")
while (now := qmp.status()) != ("postmigrate" if peer else "running"):
    if time.monotonic() > end:
        sys.exit(f"still {{now}}: {{qmp('query-migrate')}}")
    time.sleep(0.02)
"""


def live(lab: Lab, machine: str, source: str, target: str) -> None:
    """From one host to the other; then the database is told, and the source's QEMU ended."""
    domain = f"d_{machine}"
    drop_in = f"/run/systemd/system/invirt-guest@{domain}.service.d"
    config = lab.on(source, "cat", f"{STATE}/{domain}/config").stdout
    _put(lab, target, f"{STATE}/{domain}/config", config)
    _put(lab, target, f"{drop_in}/incoming.conf", INCOMING)
    lab.on(target, "systemctl", "daemon-reload")
    lab.on(target, "systemctl", "start", f"invirt-guest@{domain}.service")
    with ThreadPoolExecutor() as pool:
        sides = ((target, ""), (source, f"{target}.invirt.test"))
        halves = [pool.submit(lab.on, host, "python3", "-c", HALF, domain, peer) for host, peer in sides]
    for half in halves:
        half.result()
    lab.on(target, "rm", "-r", drop_in)
    lab.on(target, "systemctl", "daemon-reload")
    lab.sql(
        f"UPDATE machines SET host_id = (SELECT host_id FROM hosts WHERE name = '{target}')"
        f" WHERE name = '{machine}';"
    )
    lab.on(source, "xm", "destroy", domain)


def _put(lab: Lab, server: str, path: str, text: str) -> None:
    lab.on(server, "sh", "-c", 'mkdir -p "${0%/*}"; cat >"$0"', path, input=text)
