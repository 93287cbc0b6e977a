"""Pools: where machines' disks lie, and which hosts see that."""

from __future__ import annotations

from invirt import config
from invirt.base.abilities import STORAGES
from invirt.base.cli import Flag, Group, Option, Verb
from invirt.base.errors import BadInput
from invirt.database.admin.verbs import Row, given, listing, named, refuse_if_used
from invirt.database.models import Disk, Host, Machine, Pool, PoolHost, TrashDisk
from invirt.database.session import session


def _add(name: str, driver: str, place: str, host: tuple[str, ...]) -> None:
    pool = Pool(name=name, driver=driver, place=place)
    pool.everywhere = not host
    pool.hosts = [_seen_by(one) for one in dict.fromkeys(host)]
    session.add(pool)


def _seen_by(name: str) -> PoolHost:
    return PoolHost(host_id=Host.get(name=name).host_id)


def _list() -> list[Row]:
    return [
        {
            "name": pool.name,
            "driver": pool.driver or config.storage.driver,
            "place": pool.place or config.storage.place,
            "hosts": "all" if pool.everywhere else " ".join(sorted(one.host.name for one in pool.hosts)),
            "disks": len(disks),
            "size": sum(disk.size for disk in disks),
        }
        for pool in Pool.find()
        for disks in [Disk.find(pool_id=pool.pool_id)]
    ]


def _set(name: str, **values: str | None) -> None:
    pool = Pool.get(name=name)
    for key, value in given(values, "Give --driver or --place.").items():
        setattr(pool, key, value)


def _remove(name: str) -> None:
    pool = Pool.get(name=name)
    machines = [Machine.get(machine_id=disk.machine_id) for disk in Disk.find(pool_id=pool.pool_id)]
    refuse_if_used(f"the pool {name}", machines)
    if TrashDisk.find(pool_id=pool.pool_id):
        raise BadInput(f"the pool {name} has disks in the trash", hint="They end in time.")
    if len(Pool.find()) == 1:
        raise BadInput(f"{name} is the only pool", hint="Add another one first.")
    session.delete(pool)


def _hosts(name: str, add: tuple[str, ...], remove: tuple[str, ...], all: bool) -> None:
    if bool(add or remove) == all:
        raise BadInput("say which hosts, or all", hint="Give --add and --remove, or --all.")
    pool = Pool.get(name=name)
    more, gone = ({Host.get(name=one).host_id for one in names} for names in (add, remove))
    seen = {host.host_id for host in (Host.find() if pool.everywhere else pool.hosts)}
    pool.everywhere |= all
    if not pool.everywhere or gone:
        kept = {one.host_id: one for one in pool.hosts}
        pool.hosts = [kept.get(host) or PoolHost(host_id=host) for host in sorted((seen | more) - gone)]
        session.flush()  # these see it before the others don't any more
        pool.everywhere = False


NAME = named("ssd")
DRIVER = Option("driver", "what it is", choices=STORAGES)
PLACE = Option("place", "lvm: its volume group; thin: GROUP/POOL; file: its folder on hosts", metavar="PLACE")
HOST = Option("host", "one that sees it; by default all do", metavar="HOST", several=True)
GROUP = Group(
    "pool",
    "where machines' disks lie; the oldest is taken where none is named",
    (
        Verb("add", "tell of a pool", _add,
             (NAME, Option("driver", "what it is", choices=STORAGES, required=True),
              Option("place", PLACE.help, metavar="PLACE", required=True, sample="fast"), HOST), changes=True,
             example="ssd --driver lvm --place fast --host host1"),
        listing("show all, who sees them, and the GiB of machines' disks there", _list),
        Verb("set", "say what a pool is now; nothing is moved", _set, (NAME, DRIVER, PLACE), changes=True,
             example="ssd --place fast2"),
        Verb("hosts", "change which hosts see a pool", _hosts,
             (NAME, Option("add", "a host that is to see it", metavar="HOST", several=True, sample="host2"),
              Option("remove", "a host that is to see it no more", metavar="HOST", several=True),
              Flag("all", "all hosts see it, also those to come")), changes=True,
             example="ssd --add host2"),
        Verb("remove", "forget a pool in which no disk lies", _remove, (NAME,), changes=True),
    ),
)  # fmt: skip
