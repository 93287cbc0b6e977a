"""The API behind the real Apache: tickets and tokens, scopes, and what hostile ones get."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from invirt_lab.browser import Answer, Browser
from tests.parts.owned import BOB, let_in, let_out
from tests.parts.realm import DEADLINE
from tests.web.server.conftest import WEB, WebServer
from tests.web.server.test_progress import BEGUN, ENDED, STEP, told
from tests.web.server.test_sign_on import SPELLINGS, dropping


class Api:
    """What a program does with one token; "": with none."""

    def __init__(self, web: WebServer, token: str = "") -> None:
        self.browser: Browser = web.browser()
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def read(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        more = {**self.headers, **(headers or {})}
        return self._patient(lambda: self.browser.ask(f"/api/1/{path}", headers=more))

    def _patient(self, ask: Callable[[], Answer]) -> Answer:
        """As a program that is told to wait."""
        limit = time.monotonic() + DEADLINE
        while (answer := ask()).status == 429 and time.monotonic() < limit:
            time.sleep(0.5)
        return answer

    def found(self, path: str) -> Any:
        """What is there."""
        answer = self.read(path)
        assert answer.status == 200, answer
        return json.loads(answer.text)

    def send(self, verb: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        return self._patient(lambda: self.sent(verb, body, headers))

    def sent(self, verb: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        """As send(), by a program that is in a hurry."""
        lines = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
        lines |= {"Host": WEB, **self.headers, **(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        raw = f"POST /api/1/verbs/{verb} HTTP/1.1\r\n{head}\r\n".encode() + body
        return self.browser.say(raw)

    def do(self, verb: str, headers: dict[str, str] | None = None, **values: Any) -> Answer:
        return self.send(verb, json.dumps(values).encode(), headers)

    def done(self, verb: str, headers: dict[str, str] | None = None, **values: Any) -> Any:
        """The operation that it began, once it has ended well; or what was said."""
        answer = self.do(verb, headers, **values)
        assert answer.status in (200, 202), answer
        found = json.loads(answer.text)
        if answer.status == 200:
            return found
        assert answer.to == found["resource"] == f"/api/1/operations/{found['operation']}"
        limit = time.monotonic() + DEADLINE
        while (now := self.found(f"operations/{found['operation']}"))["state"] in ("running", "undoing"):
            assert time.monotonic() < limit, now
            time.sleep(0.25)  # slower than what one may ask for
        assert now["state"] == "done", now
        return now


def refused(answer: Answer, status: int) -> dict[str, Any]:
    """What a refusal says."""
    assert answer.status == status, answer
    assert answer.headers.get_content_type() == "application/problem+json", answer
    told: dict[str, Any] = json.loads(answer.text)
    assert told["status"] == status and told["detail"]
    return told


def by_password(web: WebServer, user: str) -> Api:
    """With a token of a door, by the user's password."""
    argv = ["curl", "-sS", "-u", f"{user}:open-sesame", "--cacert", str(web.folder / "server.crt")]
    argv += ["--resolve", f"{WEB}:443:{web.address}", f"https://{WEB}/sign-on/password/api"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
    return Api(web, json.loads(done.stdout)["token"])


@pytest.fixture(scope="module")
def alice(web: WebServer) -> Api:
    return by_password(web, "alice")


@pytest.fixture(scope="module")
def bob(web: WebServer) -> Api:
    return by_password(web, "bob")


@pytest.fixture(scope="module")
def machines(alice: Api, bob: Api) -> tuple[str, str, str]:
    """Two of alice's, one of bob's."""
    for one, name in ((alice, "remus"), (alice, "romulus"), (bob, "faustulus")):
        assert one.done("create", name=name, memory=64, disk="1G")["machine_name"] == name
    return "remus", "romulus", "faustulus"


def token(api: Api, name: str, **values: Any) -> str:
    """A new one."""
    found = api.done("token/add", name=name, **values)
    assert found["token"].startswith("invirt_")
    return str(found["token"])


def test_a_ticket_gives_a_token(web: WebServer) -> None:
    """By curl's own Negotiate, with the ticket of dora; without one there is none."""
    argv = ["curl", "-sS", "--negotiate", "-u", ":", "--cacert", str(web.folder / "server.crt")]
    argv += ["--resolve", f"{WEB}:443:{web.address}", f"https://{WEB}/sign-on/ticket/api"]
    done = subprocess.run(
        argv, env=web.realm.as_user("dora"), capture_output=True, text=True, check=False, timeout=60
    )
    api = Api(web, json.loads(done.stdout)["token"])
    assert api.found("machines") == {"items": [], "next": None}
    assert web.browser().ask("/sign-on/ticket/api").status == 401


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_forged_header_is_nobody(web: WebServer, name: str) -> None:
    """At the API, and at the doors that give tokens; whatever Apache is made to drop."""
    api = Api(web)
    for more in dropping(name):
        forged = {name: "alice@INVIRT.TEST", **more}
        for path in ("/api/1/machines", "/sign-on/ticket/api", "/sign-on/password/api"):
            answer = api.browser.ask(path, headers=forged)
            assert answer.status in (400, 401, 403) and "token" not in answer.headers, (path, answer)
            assert '"token"' not in answer.text


def test_a_machine_s_life(web: WebServer, alice: Api) -> None:
    """Made once for one key, however often it is asked for; all of it audited as by a form."""
    key = {"Idempotency-Key": "life 1"}
    first, second = (alice.do("create", key, name="life", memory=64, disk=1) for _ in range(2))
    assert first.status == second.status == 202 and first.to == second.to
    alice.done("create", key, name="life", memory=64, disk=1)
    refused(alice.do("create", key, name="other", memory=64, disk=1), 400)
    web.database.execute("INSERT INTO host_signs (host_id) SELECT host_id FROM hosts ON CONFLICT DO NOTHING")
    started = alice.done("control/create", {"Idempotency-Key": "life 2"}, name="life")
    assert started["steps"] and started["events"] == f"/streams/operations/{started['operation_id']}"
    assert alice.done("control/create", {"Idempotency-Key": "life 2"}, name="life") == started
    assert alice.found("machines/life")["state"] == "running"
    assert refused(alice.do("resize", name="life", memory="128M"), 409)["hint"]
    alice.done("control/shutdown", name="life")
    alice.done("resize", name="life", memory="128M", disk=["hda=2G"])
    found = alice.found("machines/life")
    assert found["memory"] == 128 and [disk["size"] for disk in found["disks"]] == [2]
    assert "may control" in alice.done("allow", name="life", principal="bob")["done"]
    refused(alice.do("delete", name="life"), 400)
    alice.done("delete", name="life", yes=True)
    assert [thing["name"] for thing in alice.found("trash")["items"]] == ["life"]
    alice.done("purge", name="life", yes=True)
    who = web.database.execute("SELECT DISTINCT principal, via FROM audit WHERE machine_name = 'life'")
    assert who == [("alice@INVIRT.TEST", "host/web.invirt.test@INVIRT.TEST")]


def test_pages_of_a_list(alice: Api, machines: tuple[str, ...]) -> None:
    """All of it, none twice, by the links."""
    whole = [one["name"] for one in alice.found("machines")["items"]]
    assert whole == sorted(whole) and {"remus", "romulus"} <= set(whole)
    seen, path = [], "machines?limit=1"
    while path:
        answer = alice.read(path)
        page = json.loads(answer.text)
        seen += [one["name"] for one in page["items"]]
        link = answer.headers.get("Link", "")
        assert link == (f'<{page["next"]}>; rel="next"' if page["next"] else "")
        path = (page["next"] or "").removeprefix("/api/1/")
    assert seen == whole
    done = [one["operation_id"] for one in alice.found("operations?limit=200")["items"]]
    assert done == sorted(done, reverse=True)
    assert alice.found("machines/remus/operations")["items"]
    assert alice.found("machines/remus/usage?of=hour")["seconds"] == 60
    assert alice.found("quotas")["items"][0]["used_machines"] >= 2
    assert alice.found("openapi.json")["openapi"] == "3.0.3"


def test_another_s_is_not_there(web: WebServer, alice: Api, bob: Api, machines: tuple[str, ...]) -> None:
    """Read or changed; the same as what isn't, and with any token."""
    number = alice.found("machines/remus/operations")["items"][0]["operation_id"]
    for api in (bob, Api(web, token(bob, "all", write=True))):
        assert [one["name"] for one in api.found("machines")["items"]] == ["faustulus"]
        told = [refused(api.read(f"machines/{name}"), 404)["detail"] for name in ("remus", "never")]
        assert told[0].replace("remus", "never") == told[1]
        for path in ("machines/remus/operations", "machines/remus/usage", f"operations/{number}"):
            refused(api.read(path), 404)
        assert api.browser.ask(f"/streams/operations/{number}", headers=api.headers).status == 404
        for verb, more in (("rename", {"new": "x"}), ("control/create", {}), ("allow", {"principal": "bob"})):
            refused(api.do(verb, name="remus", **more), 404)
        refused(api.read("site/machines"), 404 if api is bob else 403)


def test_a_token_that_reads(web: WebServer, alice: Api, machines: tuple[str, ...]) -> None:
    api = Api(web, token(alice, "reads"))
    assert api.found("machines/remus")["name"] == "remus"
    for verb, values in (("rename", {"name": "remus", "new": "x"}), ("create", {"name": "x"}),
                         ("token/add", {"name": "x"}), ("key/add", {"key": "ssh-ed25519 A"})):  # fmt: skip
        assert "is for reading" in refused(api.do(verb, **values), 403)["detail"]


def test_a_token_that_is_for_one_machine(web: WebServer, alice: Api, machines: tuple[str, ...]) -> None:
    """It sees and changes that one, under any name; and makes, shares and ends nothing else."""
    api = Api(web, token(alice, "one", machine=["remus"], write=True))
    assert [one["name"] for one in api.found("machines")["items"]] == ["remus"]
    seen = {one["machine_name"] for one in api.found("operations?limit=200")["items"]}
    assert seen == {"remus"}
    romulus = alice.found("machines/romulus/operations")["items"][0]["operation_id"]
    for path in ("machines/romulus", "machines/faustulus", f"operations/{romulus}"):
        refused(api.read(path), 404)
    assert api.browser.ask(f"/streams/operations/{romulus}", headers=api.headers).status == 404
    for path in ("trash", "quotas", "keys", "tokens", "site/audit", "site/machines"):
        refused(api.read(path), 403)
    for name in ("romulus", "faustulus", "REMUS", "remus ", "never", "remus/../romulus"):
        refused(api.do("set", name=name, autostart="no"), 404)
    for verb, values in (("create", {"name": "new"}), ("undelete", {"name": "remus"}),
                         ("purge", {"name": "remus", "yes": True}), ("token/add", {"name": "more"}),
                         ("token/remove", {"name": "one"}), ("key/add", {"key": "ssh-ed25519 AAAA"}),
                         ("admin/quota/set", {"name": "alice", "machines": 9})):  # fmt: skip
        refused(api.do(verb, **values), 403)
    api.done("rename", name="remus", new="remus2")
    assert api.found("machines/remus2")["name"] == "remus2"
    api.done("rename", name="remus2", new="remus")


def test_a_name_that_comes_again_is_in_no_scope(web: WebServer, alice: Api) -> None:
    alice.done("create", name="again", memory=64, disk=1)
    api = Api(web, token(alice, "again", machine=["again"], write=True))
    assert api.found("machines/again")
    alice.done("delete", name="again", yes=True)
    alice.done("purge", name="again", yes=True)
    alice.done("create", name="again", memory=64, disk=1)
    refused(api.read("machines/again"), 404)
    refused(api.do("control/create", name="again"), 404)
    assert api.found("machines")["items"] == []


def test_a_token_ends(web: WebServer, alice: Api, machines: tuple[str, ...]) -> None:
    """By its user, by its date, and with what its user may."""
    text = token(alice, "short", machine=["remus"])
    api = Api(web, text)
    api.found("machines/remus")
    web.database.execute("UPDATE api_tokens SET created_at = now() - interval '2 days',"
                         " ends_at = now() - interval '1 second' WHERE name = 'short'")  # fmt: skip
    refused(api.read("machines"), 401)
    assert "short" not in [one["name"] for one in alice.found("tokens")["items"]]
    api = Api(web, token(alice, "short"))  # the name is free again
    alice.done("token/remove", name="short")
    refused(api.read("machines"), 401)
    refused(Api(web, text).read("machines"), 401)
    refused(alice.do("token/remove", name="short"), 400)


def test_a_token_has_what_its_user_has_now(
    web: WebServer, alice: Api, bob: Api, machines: tuple[str, ...]
) -> None:
    alice.done("allow", name="romulus", principal="bob")
    api = Api(web, token(bob, "let-in", machine=["romulus"], write=True))
    assert api.found("machines/romulus")["roles"] == ["user"]
    refused(api.do("set", name="romulus", autostart="no"), 403)  # an owner's, says remote
    alice.done("disallow", name="romulus", principal="bob")
    refused(api.read("machines/romulus"), 404)
    refused(api.do("control/create", name="romulus"), 404)


def test_a_token_has_nothing_of_a_group_that_its_user_left(
    web: WebServer, bob: Api, machines: tuple[str, ...]
) -> None:
    let_in(web.database, "romulus", BOB, "told")
    api = Api(web, token(bob, "staff", machine=["romulus"], write=True))
    assert api.found("machines/romulus")["roles"] == ["owner"]
    let_out(web.database, "romulus", "told")
    refused(api.read("machines/romulus"), 404)
    refused(api.do("control/create", name="romulus"), 404)


def test_an_administrator_s_token_administers_nothing(
    web: WebServer, alice: Api, machines: tuple[str, ...]
) -> None:
    """By the door's, what carol may; by one that she made, what is her own."""
    carol = by_password(web, "carol")
    assert carol.found("machines/remus")["roles"] == ["administrator"]
    assert "remus" in [one["name"] for one in carol.found("site/machines?words=remus")["items"]]
    api = Api(web, token(carol, "all", write=True))
    alice.done("allow", name="romulus", principal="carol")
    assert api.found("machines/romulus")["roles"] == ["user"]
    refused(api.do("set", name="romulus", autostart="no"), 403)
    for verb in ("create", "undelete", "purge"):
        refused(api.do(verb, name="never"), 403)
    refused(api.read("machines/remus"), 404)
    refused(api.do("set", name="remus", autostart="no"), 404)
    refused(api.read("site/machines"), 403)
    refused(api.do("admin/quota/set", name="alice", machines=50), 403)


def test_another_s_token_can_be_ended_by_nobody_else(web: WebServer, alice: Api, bob: Api) -> None:
    api = Api(web, token(alice, "mine"))
    refused(bob.do("token/remove", name="mine"), 400)
    assert "mine" not in [one["name"] for one in bob.found("tokens")["items"]]
    refused(alice.do("token/add", name="mine"), 400)
    refused(alice.do("token/add", name="theirs", machine=["faustulus"]), 404)
    api.found("machines")


def test_the_page_makes_and_ends_them(web: WebServer, machines: tuple[str, ...]) -> None:
    """Shown once, and known to no other page; no hash is told, nor does the audit have either."""
    page = web.browser("alice")
    made = page.send("/tokens", "/tokens/add", name="paged", machine="remus romulus", days="9")
    assert made.status == 200 and made.headers["Cache-Control"] == "no-store"
    text = made.text.partition("<code>invirt_")[2].partition("<")[0]
    api = Api(web, f"invirt_{text}")
    assert [one["name"] for one in api.found("machines")["items"]] == ["remus", "romulus"]
    again = page.ask("/tokens").text
    assert "paged" in again and text not in again
    assert page.send("/tokens", "/tokens/add", name="paged", days="9").status == 400
    assert "at most 366" in page.send("/tokens", "/tokens/add", name="x", days="999").text
    ((kept,),) = web.database.execute("SELECT bool_or(arguments ~ %s) FROM audit", (text[:20],))
    assert kept is False and text not in web.log()
    assert page.send("/tokens", "/tokens/remove", name="paged").to == "/tokens"
    refused(api.read("machines"), 401)


def test_hostile_bodies(web: WebServer, alice: Api, machines: tuple[str, ...]) -> None:
    """Of another type, too long, of no length, deep; whatever it is, the next is answered."""
    good = b'{"name": "remus", "autostart": "no"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        refused(alice.send("set", good, {"Content-Type": kind}), 415)
    for body in (b"[" * 60000, b"{", b"\xff", b'{"name": "remus", "autostart": "no", "autostart": "yes"}'):
        refused(alice.send("set", body), 400)
    for length in (70_000, 1_000_000):
        answer = alice.send("set", b'{"name": "' + b"x" * length + b'"}')
        refused(answer, 413)
    chunked = "".join(f"{name}: {value}\r\n" for name, value in alice.headers.items())
    answer = alice.browser.say(
        f"POST /api/1/verbs/set HTTP/1.1\r\nHost: {WEB}\r\nConnection: close\r\n{chunked}"
        f"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + f"{len(good):x}\r\n".encode() + good + b"\r\n0\r\n\r\n"
    )  # fmt: skip
    refused(answer, 411)
    refused(alice.browser.ask("/api/1/machines/a%2fb", headers=alice.headers), 404)
    trace = f"TRACE /api/1/machines HTTP/1.1\r\nHost: {WEB}\r\nConnection: close\r\n\r\n"
    refused(alice.browser.say(trace.encode()), 405)
    for name in ("--json", "-x", "remus\0", "remus\nx", "$(id)", "\ud800", "ä", "x" * 5000):
        refused(alice.do("set", name=name, autostart="no"), 400)
    assert alice.done("set", name="remus", autostart="no")["done"]


def test_a_form_s_cookie_changes_nothing(web: WebServer, machines: tuple[str, ...]) -> None:
    """Another site's script has a browser send that, and no token."""
    api = Api(web)
    api.browser = web.browser("alice")
    cookie = {"Cookie": f"__Host-invirt={api.browser.cookies['__Host-invirt']}"}
    refused(api.do("set", cookie, name="remus", autostart="no"), 401)
    refused(api.read("machines"), 401)


def test_a_password_and_a_token_go_where_they_belong(web: WebServer, alice: Api) -> None:
    """No page is shown for a token, and no console."""
    assert alice.browser.ask("/", headers=alice.headers).status == 303
    assert alice.browser.ask("/streams/consoles/remus", headers=alice.headers).status == 401
    assert refused(Api(web).read("machines", {"Authorization": "Basic YWxpY2U6b3Blbi1zZXNhbWU="}), 401)
    for path in ("//api/1/machines", "/api/1/../../", "/api/1/..%2f..%2f", "/x/../api/1/machines"):
        answer = alice.browser.ask(path, headers=alice.headers)
        assert answer.status != 200 or path.endswith("api/1/machines"), answer


def test_steps_are_told_to_a_token_until_it_ends(
    web: WebServer, alice: Api, machines: tuple[str, ...]
) -> None:
    """To one of that machine alone; it ends at the next word."""
    number = int(web.database.execute(BEGUN)[0][0])
    path, text = f"/streams/operations/{number}", token(alice, "follows", machine=["remus"])
    headers = {"Authorization": f"Bearer {text}"}
    other = Api(web, token(alice, "other", machine=["romulus"]))
    with closing(web.browser().open(path, headers)) as stream:
        assert told(stream) == {"state": "running", "error": None, "steps": []}
        alice.done("token/remove", name="follows")
        web.database.execute(STEP, ("doing", number, 1))
        assert told(stream) is None
    web.database.execute(ENDED, (number,))
    assert web.browser().ask(path, headers=headers).status == 401
    assert other.browser.ask(path, headers=other.headers).status == 404
    door = alice.browser.ask(path, headers=alice.headers)
    assert door.status == 200 and "event: end" in door.text, door


def test_who_asks_too_often_waits(web: WebServer, bob: Api) -> None:
    """Programs of bob's; his pages, and others' programs, are answered."""
    page = web.browser("bob")
    # Changes count five times: a slow machine asks for enough of them, too.
    for _ in range(250):
        answer = bob.sent("create", b"nonsense")
        if answer.status != 400:
            break
    assert "Go on in" in refused(answer, 429)["hint"]
    assert page.ask("/").status == 200
