"""Keeps workers ready for the programs that remctld, and its jobs, start on a host."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from sqlalchemy.orm import configure_mappers, make_transient_to_detached

from invirt.base import remctl, warm
from invirt.base.errors import BadInput
from invirt.base.worker import Role
from invirt.database import session
from invirt.database.ahead import Ahead
from invirt.database.models import Machine
from invirt.host import loading, reservation, xmconfig
from invirt.host import vif as vif  # for /etc/xen/invirt-database
from invirt.host.commands import domain, job, status, volume
from invirt.host.storage import pools
from invirt.host.xen import vif as xen_vif

PROGRAMS = (domain.COMMAND, volume.COMMAND, job.COMMAND, status.COMMAND)
SPARE = 3  # a boot asks twice in a row; each holds a session of the database
USUAL = {
    "name": "d_inode",
    "type": "pvh",
    "memory": 128,
    "disk": ["format=raw, vdev=hda, access=rw, target=/dev/null"],
    "vif": ["mac=00:16:3e:00:00:01, ip=192.0.2.1, vifname=inv1, script=vif-invirtroute"],
    "on_crash": "destroy",
}


def usual(cursor: Any) -> None:
    """What a boot asks first."""
    cursor.execute(reservation.RESERVED, ("",))
    cursor.execute(pools.LIE, ("", ""))


def practise() -> None:
    """What a boot does, of a machine that there isn't; the ORM, too, gets ready for its configuration."""
    warm.understand(*PROGRAMS)
    xmconfig.checked(USUAL)
    with session.reading() as asked:
        Machine.find(name="")
        machine = Machine(machine_id=0, type_id=0)
        make_transient_to_detached(machine)
        asked.add(machine)
        for relation in ("type", "disks", "nics", "install", "reservations"):
            getattr(machine, relation)
        asked.remove()


def serve() -> NoReturn:
    """Until it is ended."""
    loading.hypervisor()  # for what it imports, as what follows
    with suppress(BadInput):
        loading.mover()
    loading.storages()
    configure_mappers()  # of the models, by which a domain's configuration is read
    programs = {one.name: partial(remctl.main, one) for one in PROGRAMS} | {"vif": xen_vif.main}
    warm.serve(Role("host", programs, partial(Ahead, "host", usual), SPARE, practise))


COMMAND = warm.command("host", "the remote server asks", serve)
