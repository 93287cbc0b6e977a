"""Callers who make and delete machines, by remctl and by the API, and remember what they were told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from invirt_lab import cluster, pages
from tests.lab.users import Lab

SIZE = ("--memory", "64", "--disk", "1")
CALL = ("curl", "-sS", "--max-time", "60", "-w", "%{http_code}", "-o", "/dev/null")


class Load:
    """kept: what each word that was acknowledged says of a machine: it is there, or it isn't any more."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.ended = lab, threading.Event()
        self.kept: dict[str, bool] = {}
        self.token = _token("alice")
        ways = {"remctl-a": self._remctl, "remctl-b": self._remctl, "api": self._api}
        self.threads = [threading.Thread(target=self._call, args=way) for way in ways.items()]

    def _call(self, who: str, way: Callable[[str, str], bool]) -> None:
        number = 0
        while not self.ended.is_set():
            name, number = f"{who}-{number}", number + 1
            if not way("create", name):
                continue
            self.kept[name] = True
            self.lab.try_remctl("alice", "control", name, "status")
            if number % 3:
                del self.kept[name]  # nobody knows, unless it is acknowledged
                if way("delete", name):
                    self.kept[name] = False

    def _remctl(self, verb: str, name: str) -> bool:
        more = SIZE if verb == "create" else ("--yes",)
        return self.lab.try_remctl("alice", "machine", verb, name, *more).returncode == 0

    def _api(self, verb: str, name: str) -> bool:
        values = {"name": name, **({"memory": "64M", "disk": "1G"} if verb == "create" else {})}
        headers = (f"Authorization: Bearer {self.token}", "Content-Type: application/json")
        lines = [word for header in headers for word in ("-H", header)]
        where = f"{pages.HOME}/api/1/verbs/{verb}"
        done = cluster.on("client", *CALL, *lines, "-d", json.dumps(values), where, check=False)
        return done.stdout.strip() in ("200", "202")


def _token(user: str) -> str:
    asked = ("curl", "-sS", "--negotiate", "-u", ":", f"{pages.HOME}/sign-on/ticket/api")
    return str(json.loads(cluster.as_user(user, *asked).stdout)["token"])


@contextmanager
def load(lab: Lab) -> Iterator[Load]:
    """It goes on for the length of the block."""
    made = Load(lab)
    for thread in made.threads:
        thread.start()
    try:
        yield made
    finally:
        made.ended.set()
        for thread in made.threads:
            thread.join()
