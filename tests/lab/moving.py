"""A machine that moves in bad weather: slowly enough that there is an amid, and never two of it at work."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from invirt_lab import console
from invirt_lab.site import HOSTS, SHARED
from tests.lab.faults import BOOT, finished, places
from tests.lab.users import Done, Lab, eventually
from tests.writers import Watcher

RATE = 4  # MiB a second that a move may send: a small guest takes about a quarter of a minute
STEP = """
SELECT s.state FROM operation_steps s JOIN operations USING (operation_id)
WHERE machine_name = '{name}' AND kind = 'migrate' AND s.name = 'hand over' ORDER BY operation_id DESC LIMIT 1
"""


@contextlib.contextmanager
def slow(lab: Lab) -> Iterator[None]:
    """Moves take their time."""
    edit = f"sed -i '/^hypervisor:/a\\  move_rate: {RATE}' /etc/invirt/invirt.yaml"
    lab.on_hosts(
        "sh", "-c", f"cp /etc/invirt/invirt.yaml /var/tmp/before.yaml && {edit} && invirt-config apply"
    )
    try:
        yield
    finally:
        lab.on_hosts("sh", "-c", "mv /var/tmp/before.yaml /etc/invirt/invirt.yaml && invirt-config apply")


def disk(lab: Lab, name: str) -> tuple[int, int]:
    """What the kernel knows its first disk by."""
    found = lab.on("host1", "stat", "--format=%d %i", f"{SHARED}/volumes/d_{name}_hda").stdout.split()
    return int(found[0]), int(found[1])


class Move:
    """A machine that runs, and is told to move to the other host."""

    def __init__(self, lab: Lab, name: str, administrator: str) -> None:
        self.lab, self.name, self.administrator = lab, name, administrator
        [self.here] = places(lab, name)
        self.there = next(host for host in HOSTS if host != self.here)

    def call(self, *more: str) -> Done:
        words = ("admin", "machine", "migrate", self.name, self.there, *more)
        return self.lab.try_remctl(self.administrator, *words)

    @contextlib.contextmanager
    def amid(self) -> Iterator[Future[Done]]:
        """The guest is being sent; at the end all is over, nobody waits, and nothing is left."""
        with ThreadPoolExecutor() as pool, Watcher(disk(self.lab, self.name)):
            call = pool.submit(self.call)
            sent = self.handing_over
            eventually(lambda: sent() == "doing" or call.done(), "the guest to be sent")
            time.sleep(2)
            assert not call.done(), call.result()
            yield call
            finished(self.lab, BOOT + 60)
        self.well()

    def handing_over(self) -> str:
        """How that step stands."""
        return self.lab.sql(STEP.format(name=self.name)).strip()

    def reconciled(self) -> bool:
        """Whether hosts and rows say the same."""
        found = self.lab.on("remote", "invirt-reconcile", check=False).stdout
        print(found)
        return found == "no difference\n"

    def well(self) -> None:
        """It runs on one host at most, all agree on that, and it can be used."""
        eventually(self.reconciled, "nothing to be reconciled")
        if not places(self.lab, self.name):
            self.lab.remctl("alice", "control", self.name, "create")
        assert len(places(self.lab, self.name)) == 1
        assert console.ask(self.name, "echo all is we''ll").strip().endswith("all is well")
