"""What operations cost: a create against its bare steps by hand, on the same servers, in the same run.

By hand, as remote, an administrator would ask both hosts at once whether a
guest of that name runs, then have the disk made: the same commands, by remctl.
"""

from __future__ import annotations

import pytest

from tests.lab.users import Lab
from tests.results import beside

PRICE = 2.5  # times as long
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
