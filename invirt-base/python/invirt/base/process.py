"""The one place that runs child processes."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence

from invirt.base.errors import CommandFailed


def run(
    argv: Sequence[str],
    *,
    input: str | None = None,
    timeout: float = 60,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run argv without a shell and return its status and output.

    timeout is in seconds; every child has one.  With check, a status other
    than 0 raises CommandFailed with a command line that can be pasted and the
    last lines the child said.
    """
    shown = shlex.join(argv)
    try:
        done = subprocess.run(
            argv,
            check=False,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=env,
        )
    except FileNotFoundError as error:
        raise CommandFailed(f"{argv[0]} is not installed", hint=f"It was wanted for: {shown}") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"no end within {timeout:g} seconds: {shown}") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-5:]
        raise CommandFailed(f"status {done.returncode} from: {shown}", hint="\n".join(said))
    return done


def foreground(
    argv: Sequence[str], *, env: Mapping[str, str], every: float, may_go_on: Callable[[], bool]
) -> int:
    """Run argv on this process' own terminal for as long as the user likes; returns its status.

    may_go_on is asked every so many seconds; at False the child is killed, as
    it is when this process is interrupted.
    """
    with subprocess.Popen(argv, env=env) as child:
        try:
            while True:
                try:
                    return child.wait(every)
                except subprocess.TimeoutExpired:
                    if not may_go_on():
                        return -1
        finally:
            child.kill()


def background(argv: Sequence[str], descriptors: Sequence[int] = ()) -> int:
    """Start argv and leave it alone: it has these of our open files and no others; returns its process id."""
    nothing = subprocess.DEVNULL
    child = subprocess.Popen(
        argv, stdin=nothing, stdout=nothing, stderr=nothing, pass_fds=descriptors, cwd="/"
    )
    return child.pid
