"""Process 1 of the lab's namespaces: network, roots and containers.

Everything of the lab is a child of it, in its PID, mount and network
namespaces: when it ends, however it ends, the kernel takes the rest away.
It ends too when the command that started it goes before saying that the lab
is ready.  Standard input: one line of JSON with the layers of each server, the
addresses of the web and name servers and the socket for this machine's browsers;
later the line "ready".  Standard output: the line "started".

With the name of a server that was killed, or waits until it is wanted, as its
argument, run in the same namespaces, it boots that one.  So it does by itself with a server that
has ended to reboot: systemd-nspawn says so, and leaves that to whoever started it.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from invirt.base.process import run
from invirt_lab import host, packages
from invirt_lab.site import (
    ANEW,
    ARCHIVE,
    BEFORE,
    BOUNDED,
    DEBIAN,
    GATEWAY,
    LATER,
    SERVERS,
    SHARED,
    Server,
    hosts_file,
    resolver_file,
)

_NSPAWN = (
    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"),
    *("--resolv-conf=off", "--timezone=off", "--console=pipe", "--kill-signal=SIGRTMIN+3"),
    *("--capability=all", "--system-call-filter=bpf keyctl add_key pidfd_getfd"),
)
REBOOTS = 133  # systemd-nspawn's own word, with --keep-unit
_AGAIN = f"{sys.executable} -m invirt_lab.supervisor"
_SOURCES = f"deb [signed-by={ARCHIVE}/invirt-archive-keyring.gpg] file:{ARCHIVE} %s main\n"
_DEBIAN = f"deb [trusted=yes] file:{DEBIAN} ./\n"
_WORK = host.RUN / "work"


def network(servers: Iterable[Server]) -> None:
    """A bridge, and for each server a network namespace with its address on it."""
    Path("/run/netns").mkdir(exist_ok=True)
    run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"])
    _ip("link add br0 type bridge", "link set br0 up", f"addr add {GATEWAY}/24 dev br0", "link set lo up")
    for server in servers:
        plug(server)


def plug(server: Server) -> None:
    """A network namespace for a server, on the bridge by a cable of its own."""
    name = server.name
    cable = f"link add {name} type veth peer name eth0 netns {name}"
    _ip(f"netns add {name}", cable, f"link set {name} up master br0")
    card = f"link set eth0 address 02:00:00:00:00:{server.number:02x}"  # the same after a reboot
    address = f"addr add {server.address}/24 dev eth0"
    route = f"route add default via {GATEWAY}"
    _ip("link set lo up", card, address, "link set eth0 up", route, netns=name)


def _ip(*commands: str, netns: str = "") -> None:
    where = ["-netns", netns] if netns else []
    run(["ip", *where, "-batch", "-"], input="\n".join(commands))


def lead_in(door: int, web: str) -> None:
    """Who comes to the socket door, of the network outside, is led to the address web, in this one."""
    passed = 'exec 3<&"$0"; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
    command = ["/lib/systemd/systemd-socket-proxyd", f"{web}:443"]
    subprocess.Popen(["bash", "-c", passed, str(door), *command], stdin=subprocess.DEVNULL, pass_fds=[door])
    os.close(door)


def prepare(server: Server, layers: list[str], hosts: str, dns: str) -> Path:
    """The server's root: its layers below a tmpfs, and what an installer asks for."""
    root = _WORK / server.name / "root"
    for folder in ("upper", "work", "root"):
        (_WORK / server.name / folder).mkdir(parents=True)
    lower = ":".join(layers)
    options = f"lowerdir={lower},upperdir={root.parent}/upper,workdir={root.parent}/work"
    run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)])
    files = {
        "etc/hostname": f"{server.name}\n",
        "etc/hosts": hosts,
        "etc/resolv.conf": resolver_file(server, dns),
        "etc/machine-id": hashlib.md5(server.fqdn.encode()).hexdigest() + "\n",
        "etc/dpkg/dpkg.cfg.d/99mmdebstrap": "force-unsafe-io\n",
        "etc/apt/sources.list": _SOURCES % _suite(root) + (_DEBIAN if server.fresh else ""),
    }
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def _suite(root: Path) -> str:
    """The name of the Debian release below root."""
    lines = (root / "usr/lib/os-release").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)["VERSION_CODENAME"]


def _binds(server: Server) -> list[str]:
    binds = [f"--bind-ro={packages.ARCHIVE}:{ARCHIVE}", f"--bind-ro={packages.BEFORE}:{BEFORE}"]
    binds += [f"--bind={device}" for device in server.devices if Path(device).exists()]
    if server.shared:
        binds += [f"--bind={_WORK}/shared:{SHARED}", f"--bind-ro={host.CACHE}/guest:{SHARED}/guest"]
    return binds


def boot(server: Server, root: Path, bounded: bool = False) -> None:
    """Start the server's own systemd, in its own cgroups; its console goes to the log.

    bounded: in one of CPUs, too.  All in it together then count as one process of this machine.
    """
    within = [*host.cgroups(), *(host.cpu_cgroups() if bounded else ())]
    groups = [group / server.name / "cgroup.procs" for group in within]
    for group in groups:
        group.parent.mkdir(parents=True, exist_ok=True)  # it is there where the server reboots
    enter = 'for group; do [ "$group" != -- ] || break; shift; echo 0 >"$group"; done; shift'
    again = f'cd /; name=$1; shift; "$@"; [ $? -ne {REBOOTS} ] || exec {_AGAIN} "$name"'
    command = [*_NSPAWN, f"--directory={root}", f"--machine={server.name}", *_binds(server)]
    command.append(f"--network-namespace-path=/run/netns/{server.name}")
    command = ["sh", "-c", f"{enter}; {again}", "sh", *map(str, groups), "--", server.name, *command]
    with (host.RUN / "log" / server.name).open("wb") as log:
        # Hosts route: /proc/sys/net is theirs to write, as its network is.
        environment = {**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )


def boot_again(server: Server, bounded: bool = False) -> None:
    """Boot a server that was killed: its disk is what it was; memory and interfaces are gone."""
    _ip(f"link del {server.name}", f"netns del {server.name}")
    plug(server)
    boot(server, _WORK / server.name / "root", bounded)


def boot_anew(server: Server) -> None:
    """Boot another server in place of one that was killed, as fresh as that one was at first."""
    root = _WORK / server.name / "root"
    hosts = (root / "etc/hosts").read_text()
    mounts = (line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines())
    options = next(options for _, where, _, options, *_ in mounts if where == str(root))
    lower = next(option for option in options.split(",") if option.startswith("lowerdir="))
    run(["umount", str(root)])
    shutil.rmtree(root.parent)
    prepare(server, lower.removeprefix("lowerdir=").split(":"), hosts, "")
    boot_again(server)


def wait() -> None:
    """Bury the dead; return when asked to end, or when the starter went too early."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    starter = [sys.stdin.fileno()]
    while True:
        readable, _, _ = select.select(starter, [], [], 60)
        if readable and sys.stdin.readline().strip() == "ready":
            starter = []
        elif readable:
            return


def main() -> None:
    """Bring all servers up, and stay; or see the module's text."""
    if len(sys.argv) > 1:
        server = SERVERS[sys.argv[1]]
        if ANEW in sys.argv:
            boot_anew(server)
        else:
            boot_again(server, BOUNDED in sys.argv)
        return
    told = json.loads(sys.stdin.readline())
    layers: dict[str, list[str]] = told["layers"]
    _WORK.mkdir(exist_ok=True)
    run(["mount", "-t", "tmpfs", "-o", "mode=755,size=75%", "tmpfs", str(_WORK)])
    (_WORK / "shared/guest").mkdir(parents=True)
    servers = [SERVERS[name] for name in layers]
    network(servers)
    lead_in(told["door"], told["web"])
    for server in servers:
        root = prepare(server, layers[server.name], hosts_file(servers), told["dns"])
        if server.name not in LATER:
            boot(server, root)
    print("started", flush=True)
    os.close(sys.stdout.fileno())
    wait()


if __name__ == "__main__":
    main()
