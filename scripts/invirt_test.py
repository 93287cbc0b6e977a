"""scripts/test: runs the tests on this machine, after installing what they need.

Unit and golden tests also run on the libraries of Debian 13, the greater part
of the lab's also on a lab of Debian 13.  The last line alone says how it went: N
passed, N failed (and N skipped, if any were).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from invirt.base import cli
from invirt.base.errors import InvirtError
from invirt_kinds import KINDS, LAB, LIBRARIES, Kind
from invirt_lab import host, images
from invirt_tools import TOOLS, install, say

NIGHTLY = "nightly"  # all those that are
CLEAN = ("unshare", "--mount", "--", "/usr/bin/python3", str(Path(__file__).with_name("invirt_leftovers.py")))


def child(argv: list[str], kind: Kind, counts: Path) -> bool:
    """Run one pytest, its output shown as it comes; False if it failed, or isn't done in time."""
    env = {
        **kind.environment,
        **os.environ,
        "INVIRT_TEST_COUNTS": str(counts),
        "INVIRT_TEST_TOOLS": str(TOOLS / "bin"),
        "PYTHONPATH": "",
    }
    with subprocess.Popen(argv, cwd=host.TREE, env=env, process_group=0) as process:
        try:
            return process.wait(kind.timeout) == 0
        except subprocess.TimeoutExpired:
            say(f"not done after {kind.timeout:.0f} s: it is ended")
            return False
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt pytest, which then takes down its lab and servers; what doesn't obey is killed."""
    for word, patience in ((signal.SIGINT, 120), (signal.SIGTERM, 30), (signal.SIGKILL, None)):
        if process.poll() is None:
            os.killpg(process.pid, word)
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)


def ended(word: int, _: object) -> NoReturn:
    """This run was told to end: what it started ends first."""
    signal.signal(word, signal.SIG_IGN)
    sys.exit(128 + word)


def here(kind: Kind, counts: Path) -> bool:
    """Run one kind on this machine; it fails, too, if it leaves something behind.

    What a lab leaves is looked for by tests of its own.
    """
    clean = CLEAN if kind.needs is not LAB else ()
    how = ["--durations=20", "-m", kind.marks]
    how += ["-v"] if kind.slow else []
    how += kind.workers_options
    return child([*clean, "/usr/bin/python3", "-m", "pytest", *how, *kind.paths], kind, counts)


def on_debian_13(kind: Kind, counts: Path) -> bool:
    """Run one kind on Debian 13's libraries; the linters have run here already."""
    host.require_root()
    base = images.base(13)
    upper = images.layer("libraries", base, list(LIBRARIES)) / "upper"
    # In a namespace that goes with the run; all that is written outlives it in `shared` alone.
    script = (
        'mount -t overlay -o "lowerdir=$1:$2" overlay /mnt; mount -t tmpfs tmpfs /mnt/tmp;'
        ' mkdir /mnt/tmp/tree; mount --bind "$3" /mnt/tmp/tree; mount -t proc proc /mnt/proc;'
        ' mount --bind "$4" /mnt/mnt; shift 4; exec chroot /mnt "$@"'
    )
    inside = (
        "cd /tmp/tree && INVIRT_TEST_COUNTS=/mnt/counts exec /usr/bin/python3 -m pytest"
        f" --ignore=tests/unit/test_lint.py {' '.join((*kind.workers_options, *kind.paths))}"
    )
    with tempfile.TemporaryDirectory() as shared:
        folders = [str(upper), str(base), str(host.TREE), shared]
        argv = [*host.ALONE, "sh", "-ec", script, "sh", *folders, "sh", "-c", inside]
        passed = child(argv, kind, counts)
        with counts.open("a") as all_counts:
            all_counts.write(Path(shared, "counts").read_text() if Path(shared, "counts").exists() else "")
    return passed


def run_kinds(names: list[str], counts: Path) -> list[str]:
    """Run them one after the other, unit and golden once more on Debian 13; returns those that failed."""
    runs = [(name, KINDS[name], here) for name in names]
    runs += [
        (f"{name} on Debian 13", KINDS[name], on_debian_13) for name in names if name in ("unit", "golden")
    ]
    failed, took = [], {}
    for name, kind, work in runs:
        started = time.monotonic()
        say(f"{name}: {kind.what}")
        if not work(kind, counts):
            failed.append(name)
        took[name] = (time.monotonic() - started) / 60
    for name, minutes in took.items():
        say(f"{minutes:5.1f} min  {name}")
    return failed


def closing_line(counts: Path, failed: list[str]) -> str:
    """The sums; a run that broke off without counting its failure counts as one."""
    lines = [map(int, line.split()) for line in counts.read_text().splitlines()]
    passed, bad, skipped = map(sum, zip(*lines, strict=True)) if lines else (0, 0, 0)
    bad = max(bad, len(failed))
    return f"{passed} passed, {bad} failed" + (f", {skipped} skipped" if skipped else "")


def main(kinds: tuple[str, ...]) -> int:
    """Run the kinds that are named, or all but those that want to be."""
    for word in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(word, ended)
    nightly = [name for name, kind in KINDS.items() if kind.nightly]
    wanted = {name for word in kinds for name in (nightly if word == NIGHTLY else [word])}
    names = [name for name in KINDS if name in wanted or not (kinds or name in nightly)]
    with tempfile.NamedTemporaryFile() as counts:
        try:
            install(names)
            failed = run_kinds(names, Path(counts.name))
        except InvirtError as error:
            print(f"scripts/test: {error}", file=sys.stderr)
            failed = ["set-up"]
        if failed:
            say(f"failed: {', '.join(failed)}")
        print(closing_line(Path(counts.name), failed))
    return 1 if failed else 0


SHOWN = "; ".join(f"{name}{f' ({NIGHTLY})' * kind.nightly}: {kind.what}" for name, kind in KINDS.items())
COMMAND = cli.Command(
    name="scripts/test",
    section=8,
    summary="run the tests",
    description="Installs what they need. The last line says how many passed and failed.",
    example="scripts/test unit golden",
    arguments=(
        cli.Argument(
            "kinds",
            f"default: all but those of {NIGHTLY}. {SHOWN}",
            choices=(*KINDS, NIGHTLY),
            metavar="KIND",
            required=False,
            several=True,
        ),
    ),
    run=main,
    shown=None,
)


if __name__ == "__main__":
    cli.start(COMMAND)
