"""hail of Debian's ganeti-htools, which chooses a host, as placement does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

PROGRAM = "/usr/lib/ganeti/iallocators/hail"
DISK = 1 << 30  # MiB of each host: memory decides
NODE = "{name}|{memory}|0|{free}|{disk}|{disk}|64|N|group|1||N|0|1|1.0"
GUEST = "{name}|{memory}|1|1|running|Y|{host}||plain||1|1|N"
SPECS = "64,1,1,1,1,1|1,1,1,0,0,1;1048576,64,1048576,16,8,64|plain|10000|10000"
REQUEST = {
    "type": "allocate",
    "name": "new",
    "spindle_use": 1,
    "disks": [{"size": 1, "mode": "rw"}],
    "disk_space_total": 1,
    "vcpus": 1,
    "os": "linux",
    "tags": [],
    "nics": [],
    "disk_template": "plain",
    "required_nodes": 1,
    "hypervisor": "kvm",
}
NOTHING: dict[str, object] = {"nodegroups": {}, "nodes": {}, "instances": {}}
Guests = Mapping[str, tuple[str, int]]  # host and memory in MiB, by name


def choose(
    folder: Path, hosts: Mapping[str, int], guests: Guests, memory: int, *options: str, timeout: float = 60
) -> str | None:
    """The host for a guest of memory MiB; None if it finds none.

    hosts: MiB by name.  Raises subprocess.TimeoutExpired.
    """
    cluster, request = folder / "cluster", folder / "request"
    cluster.write_text(_cluster(hosts, guests))
    request.write_text(
        json.dumps(
            {
                "version": 2,
                "cluster_name": "invirt",
                "cluster_tags": [],
                "enabled_hypervisors": ["kvm"],
                "request": REQUEST | {"memory": memory},
                **NOTHING,
            }
        )
    )
    argv = [PROGRAM, "-t", str(cluster), *options, str(request)]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=True).stdout
    answer = json.loads(said)
    assert answer["success"] or "FailMem" in answer["info"], answer
    return str(answer["result"][0]) if answer["success"] else None


def _cluster(hosts: Mapping[str, int], guests: Guests) -> str:
    free = dict(hosts)
    for host, memory in guests.values():
        free[host] -= memory
    nodes = [
        NODE.format(name=name, memory=memory, free=free[name], disk=DISK) for name, memory in hosts.items()
    ]
    instances = [GUEST.format(name=name, memory=memory, host=host) for name, (host, memory) in guests.items()]
    parts = (["group|group|preferred||"], nodes, instances, [], [f"|{SPECS}", f"group|{SPECS}"])
    return "\n".join("".join(f"{line}\n" for line in part) for part in parts)
