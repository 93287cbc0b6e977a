#!/usr/bin/python3
"""An xl for tests of moves: $DOMAINS holds a file for each domain, of the letters of its state.

$STREAM is what it sends of a domain.  As the real one it goes on with a domain when nobody answers.
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

READY = b"xl migration receiver ready, send binary domain data.\n"
DOMAINS, STREAM = Path(os.environ["DOMAINS"]), Path(os.environ["STREAM"])


def turn(name: str, add: str = "", remove: str = "") -> None:
    state = set((DOMAINS / name).read_text()) - {remove} | set(add)
    (DOMAINS / name).write_text("".join(sorted(state)))


def migrate(name: str, command: str) -> None:
    child = subprocess.Popen(
        ["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False
    )
    assert child.stdin and child.stdout and child.stdout.read(len(READY)) == READY
    turn(name, add="s")
    try:
        child.stdin.write(STREAM.read_bytes())
        child.stdin.flush()
        assert not child.stdout.read(1), "nobody answers"
    except BrokenPipeError:
        pass
    if (DOMAINS / name).exists():
        turn(name, remove="s")
    sys.exit("migration failed, resuming")


if sys.argv[1] in ("migrate", "save") and not STREAM.exists():
    sys.exit("xl fails at once")
match sys.argv[1:]:
    case ["list"]:
        print("Name ID Mem VCPUs State Time(s)")
        for file in sorted(DOMAINS.iterdir()):
            print(file.name, 1, 96, 1, file.read_text() or "-", 0.1)
    case ["migrate", "-s", "", name, command]:
        migrate(name, command)
    case ["save", "-p", name, file]:
        turn(name, add="s")
        with suppress(BrokenPipeError):
            Path(file).write_bytes(STREAM.read_bytes())
            turn(name, add="p")
        turn(name, remove="s")
    case ["pause", name]:
        turn(name, add="p")
    case ["unpause", name]:
        turn(name, remove="p")
    case ["rename", name, other]:
        (DOMAINS / name).rename(DOMAINS / other)
    case ["destroy", name]:
        (DOMAINS / name).unlink()
    case ["restore", "-p", config, file]:
        said = Path(config).read_text().split('name = "')[1].split('"')[0]
        came = Path(file).read_bytes()
        if came != STREAM.read_bytes():
            sys.exit("the stream has ended")
        (DOMAINS / said).write_text("p")
    case ["create", "-n", _]:
        one, built = {"name": "d_remus", "type": os.environ["TYPE"]}, {"max_vcpus": 1}
        print(json.dumps({"c_info": one, "b_info": built}))
    case words:
        sys.exit(f"unknown: {words}")
