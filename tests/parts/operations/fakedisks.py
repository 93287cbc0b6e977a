"""The volumes of hosts in memory, which lie in pools: what is done to them, as invirt-host does it."""

from __future__ import annotations

from dataclasses import dataclass, field

from invirt.base.errors import BadInput, Busy, CommandFailed, NotFound
from tests.parts.operations.fakeguests import FakeHost


@dataclass
class FakePool:
    """The volumes of a pool, and its trash; seen_by: host names, all if it is empty.

    held: what volumes hold.  expected: those which a host may fill, and which.
    """

    volumes: dict[tuple[str, str], int] = field(default_factory=dict)
    trash: dict[tuple[str, str, int], int] = field(default_factory=dict)
    seen_by: tuple[str, ...] = ()
    held: dict[tuple[str, str], str] = field(default_factory=dict)
    expected: dict[tuple[str, str], str] = field(default_factory=dict)


class Disks:
    """What hosts do to volumes."""

    hosts: dict[str, FakeHost]
    pools: dict[str, FakePool]

    def _volume_list(self, pool: FakePool) -> object:
        kept = [{"name": name, "disk": disk, "size": size} for (name, disk), size in pool.volumes.items()]
        gone = [
            {"name": name, "disk": disk, "size": size, "trash": operation}
            for (name, disk, operation), size in pool.trash.items()
        ]
        return kept + gone

    def _volume_create(self, pool: FakePool, name: str, disk: str, size: str) -> None:
        if pool.volumes.setdefault((name, disk), int(size)) != int(size):
            raise BadInput(f"disk {disk} of {name} is there already")

    def _volume_resize(self, pool: FakePool, name: str, disk: str, size: str) -> None:
        if (name, disk) not in pool.volumes:
            raise NotFound(f"{name} has no disk {disk}")
        if pool.volumes[name, disk] > int(size):
            raise BadInput(f"disk {disk} of {name} can't shrink")
        pool.volumes[name, disk] = int(size)

    def _volume_rename(self, pool: FakePool, name: str, disk: str, new_name: str, new_disk: str) -> None:
        if (name, disk) in pool.volumes and (new_name, new_disk) in pool.volumes:
            raise BadInput(f"disk {new_disk} of {new_name} is there already")
        if (name, disk) in pool.volumes:
            pool.volumes[new_name, new_disk] = pool.volumes.pop((name, disk))
        elif (new_name, new_disk) not in pool.volumes:
            raise NotFound(f"{name} has no disk {disk}")

    def _volume_remove(self, pool: FakePool, name: str, disk: str, operation: str) -> None:
        pool.expected.pop((name, disk), None)
        if (name, disk) in pool.volumes:
            pool.trash[name, disk, int(operation)] = pool.volumes.pop((name, disk))

    def _volume_restore(self, pool: FakePool, name: str, disk: str, operation: str) -> None:
        if (name, disk, int(operation)) in pool.trash:
            if (name, disk) in pool.volumes:
                raise BadInput(f"disk {disk} of {name}: another took its place")
            pool.volumes[name, disk] = pool.trash.pop((name, disk, int(operation)))
        elif (name, disk) not in pool.volumes:
            raise NotFound(f"{name} has no disk {disk}")

    def _volume_undelete(
        self, pool: FakePool, name: str, disk: str, operation: str, new_name: str, new_disk: str
    ) -> None:
        if (name, disk, int(operation)) in pool.trash:
            if (new_name, new_disk) in pool.volumes:
                raise BadInput(f"disk {new_disk} of {new_name}: another took its place")
            pool.volumes[new_name, new_disk] = pool.trash.pop((name, disk, int(operation)))
        elif (new_name, new_disk) not in pool.volumes:
            raise NotFound(f"{new_name} has no disk {new_disk}")

    def _volume_return(
        self, pool: FakePool, name: str, disk: str, operation: str, new_name: str, new_disk: str
    ) -> None:
        if (new_name, new_disk) in pool.volumes and (name, disk, int(operation)) not in pool.trash:
            pool.trash[name, disk, int(operation)] = pool.volumes.pop((new_name, new_disk))

    def _volume_receive(self, pool: FakePool, name: str, disk: str, size: str, source: str) -> None:
        self._volume_create(pool, name, disk, size)
        pool.expected[name, disk] = source

    def _volume_send(self, pool: FakePool, name: str, disk: str, target: str) -> None:
        """The last pool that expects it is the one; what is running may not be copied."""
        if any(name in host.running for host in self.hosts.values()):
            raise Busy(f"{name} is running")
        there = [one for one in self.pools.values() if one is not pool and (name, disk) in one.expected]
        if (name, disk) not in pool.volumes or not there or not self.hosts[target].up:
            raise CommandFailed(f"{target} doesn't expect disk {disk} of {name}")
        self.copied(pool, there[-1], name, disk)

    def copied(self, pool: FakePool, other: FakePool, name: str, disk: str) -> None:
        """The volume in the other pool holds what the one in the first does."""
        other.held[name, disk] = pool.held.get((name, disk), "")

    def _volume_purge(self, pool: FakePool, name: str, disk: str, operation: str) -> None:
        pool.trash.pop((name, disk, int(operation)), None)
