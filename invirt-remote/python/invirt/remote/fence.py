"""The site's fence: a program that switches a host off, and says whether it is off for certain.

Its contract is in the administrator's guide.  It is not believed blindly: see lost.
"""

from __future__ import annotations

from invirt import config
from invirt.base import log
from invirt.base.errors import BadConfig, CommandFailed
from invirt.base.process import run

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
OFF = 0
MEANING = {1: "it could not switch {hostname} off", 2: "it doesn't know {hostname}, or how it was called"}
SHOWN = 500  # letters of what it says
HINT = "Nothing was changed. See to it by hand that it has no power, then say so: --confirm power-off"


def off(hostname: str) -> None:
    """Have the fence switch a host off.  Raises BadConfig without one, CommandFailed unless it says yes.

    A signal, another status, or none in time, is no answer, and so it is a no.
    """
    program = config.remote.fence
    if not program:
        raise BadConfig(
            f"whether {hostname} is off isn't known: invirt.yaml has no remote.fence",
            hint="That it doesn't answer is not enough: its guests may run, and write. See to it that it has"
            " no power or is unplugged, then say so: --confirm power-off, or --confirm unplugged",
        )
    try:
        limit = config.remote.fence_timeout
        done = run([program, "off", hostname], timeout=limit, env={"PATH": PATH}, check=False)
    except (CommandFailed, OSError) as error:
        why = error.message if isinstance(error, CommandFailed) else str(error)
        raise CommandFailed(f"the fence gave no answer: {why}", hint=HINT) from error
    if done.returncode != OFF:
        meant = MEANING.get(done.returncode, f"status {done.returncode}, which says nothing")
        said = "; ".join(log.one_line(line) for line in done.stderr[:SHOWN].splitlines() if line.strip())
        words = f"the fence says no: {meant.format(hostname=hostname)}"
        raise CommandFailed(f"{words}: {said}" if said else words, hint=HINT)
