"""What operations cost: a create against its bare steps by hand, on the same servers, in the same run.

By hand, as remote, an administrator would ask both hosts at once whether a
guest of that name runs, then have the disk made: the same commands, by remctl.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from invirt_lab import cluster, roles
from tests.lab.users import REMOTE, Lab
from tests.results import Result, beside, keep

PRICE, BOOT = 2.5, 3.0  # times as long
TIMES = 2

# Seconds of each round, a line each.
BY_HAND = f"""
export KRB5_CLIENT_KTNAME=/etc/krb5.keytab KRB5CCNAME=FILE:/var/tmp/by-hand
host() {{ name=$1; shift; remctl -p 4374 -s host/$name.invirt.test $name.invirt.test "$@" >/dev/null; }}
for i in $(seq {TIMES}); do
    began=$(date +%s%N)
    host host1 domain status byhand & host host2 domain status byhand & wait
    host host1 volume create byhand hda 1 $began
    echo $(($(date +%s%N) - began))
    host host1 volume remove byhand hda 1 $((began + 1))
    host host1 volume purge byhand hda 1 $((began + 2))
done
"""
BY_OPERATIONS = f"""
export REMOTE_USER=alice@INVIRT.TEST REMCTL_COMMAND=machine
for i in $(seq {TIMES}); do
    began=$(date +%s%N)
    /usr/sbin/invirt-remote-machine create price --memory 128 --disk 1 >/dev/null 2>&1 || exit
    echo $(($(date +%s%N) - began))
    /usr/sbin/invirt-remote-machine delete price --yes >/dev/null
done
"""


def seconds(lab: Lab, script: str) -> float:
    """Of the quickest round."""
    rounds = lab.on("remote", "sh", "-c", script).stdout.split()
    assert len(rounds) == TIMES, rounds
    return min(map(int, rounds)) / 1e9


@pytest.mark.usefixtures("tidy")
def test_a_create_costs_little_more_than_its_steps(lab: Lab) -> None:
    beside(
        "lab: a create through operations",
        lambda: seconds(lab, BY_OPERATIONS),
        lambda: seconds(lab, BY_HAND),
        PRICE,
    )


# QEMU until it runs, and xm, which puts it into a unit with a link and rules.
ON_A_HOST = f"""
printf 'name = "price"\\nmemory = 128\\nkernel = "%s"\\nramdisk = "%s"\\nextra = "%s"\\n' \\
    {roles.GUEST_KERNEL} {roles.GUEST_INITRD} '{roles.GUEST_APPEND}' >/run/price.cfg
began=$(date +%s%N)
qemu-system-x86_64 -nodefaults -display none -m 128 -accel tcg -kernel {roles.GUEST_KERNEL} \\
    -initrd {roles.GUEST_INITRD} -daemonize -pidfile /run/price.pid || exit
echo qemu $(($(date +%s%N) - began))
kill $(cat /run/price.pid)
began=$(date +%s%N)
xm create /run/price.cfg >/dev/null || exit
echo xm $(($(date +%s%N) - began))
xm destroy price
rm /run/price.cfg
"""
BY_A_USER = f"""
for verb in create status destroy; do
    began=$(date +%s%N)
    remctl {REMOTE} control "$1" $verb >/dev/null || exit
    echo $verb $(($(date +%s%N) - began))
done
"""
STEPS = """
SELECT s.name, extract(epoch FROM s.changed_at - lag(s.changed_at, 1, o.created_at) OVER (ORDER BY position))
FROM operation_steps s JOIN operations o USING (operation_id)
WHERE operation_id = (SELECT max(operation_id) FROM operations WHERE kind = 'boot') ORDER BY position
"""


@pytest.mark.nightly
def test_the_chain_of_a_boot(lab: Lab, machine: Callable[..., str]) -> None:
    """A user's create, down to QEMU; what each part of the way takes is shown."""
    name = machine()
    took: dict[str, float] = {}

    def quickest(word: str, said: str) -> float:
        """Keeps the least of each word."""
        for line in said.splitlines():
            one, nanoseconds = line.split()
            took[one] = min(took.get(one, 1e9), int(nanoseconds) / 1e9)
        return took[word]

    beside(
        "lab: control NAME create, to xm create",
        lambda: quickest("create", cluster.as_user("alice", "sh", "-c", BY_A_USER, "sh", name).stdout),
        lambda: quickest("xm", lab.on("host1", "sh", "-c", ON_A_HOST).stdout),
        BOOT,
    )
    for word in ("qemu", "status", "destroy"):
        keep(Result(f"lab: {word} alone" if word == "qemu" else f"lab: control NAME {word}", took[word], "s"))
    for line in lab.sql(STEPS).splitlines():
        step, seconds = line.split("|")
        keep(Result(f"lab: of the create, {step}", float(seconds), "s"))
