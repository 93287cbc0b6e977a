"""The API: of the rows of remote's table, for whose token it is, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient

from invirt.base.cli import understood, whole
from invirt.base.cli.describe import described
from invirt.base.errors import BadInput, Denied
from invirt.remote import tokens
from invirt.remote.commands import web
from invirt.web import app, forms, reading, saying, session
from invirt.web.api import bearer, openapi, verbs
from invirt.web.api.bearer import Bearer

KEY = b"k" * 32
ALICE = "alice@INVIRT.TEST"
ROWS = described(web.COMMAND)
CHANGES = [row["name"] for row in ROWS if row["changes"]]
MADE = "invirt_" + "x" * 43


class Site:
    """What the database and remote answer, and what they were asked."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.token: Any = None
        self.said: list[tuple[str, ...]] = []
        self.answer: Any = {"operation": 7}

    def ask(self, query: str, values: Any = None) -> list[Any]:
        """What views say."""
        if query == bearer.TOKEN:
            return [self.token] if self.token else []
        return self.rows

    def say(self, *words: str) -> Any:
        """What remote says."""
        if words == ("verbs",):
            return ROWS
        self.said.append(words)
        return self.answer


@pytest.fixture
def site(invirt_yaml: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site()
    monkeypatch.setattr(forms, "say", made.say)
    monkeypatch.setattr(saying, "say", made.say)
    monkeypatch.setattr(reading, "rows", made.ask)
    monkeypatch.setattr("invirt.web.api.resources.rows", made.ask)
    monkeypatch.setattr(forms._Known, "until", 0.0)
    yield made
    monkeypatch.setattr(forms._Known, "until", 0.0)


@pytest.fixture
def client(site: Site) -> FlaskClient:
    client: FlaskClient = app.make(KEY).test_client()
    return client


def door(who: str = ALICE) -> dict[str, str]:
    """The header of a door's token."""
    return {"Authorization": f"Bearer {bearer.sealed(session.signed(KEY, bearer.SALT), who, 'password')}"}


def made(site: Site, writes: bool = True, machines: list[int] | None = None) -> dict[str, str]:
    """The header of a token of alice's, as the database knows it."""
    site.token = SimpleNamespace(principal=ALICE, name="backup", writes=writes, machines=machines)
    return {"Authorization": f"Bearer {MADE}"}


def problem(answer: Any, status: int) -> dict[str, Any]:
    """What a refusal says."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    told: dict[str, Any] = json.loads(answer.text)
    assert set(told) == {"type", "title", "status", "detail", "hint", "code"} and told["status"] == status
    return told


@pytest.mark.parametrize(
    "path", ["machines", "machines/remus", "operations/1", "openapi.json", "tokens", "site/audit"]
)
def test_nobody_without_a_token(client: FlaskClient, path: str) -> None:
    """The pages' cookie is none, nor is a header that says who one is."""
    signing = session.signed(KEY)
    kept: dict[str, Any] = {}
    session.begin(kept, ALICE, "password")
    cookie = signing.dumps(kept)
    old = session.signed(KEY, bearer.SALT).dumps(
        {"who": ALICE, "since": int(time.time()) - session.LASTS - 1}
    )
    for headers in (
        {},
        {"Cookie": f"{session.COOKIE}={cookie}"},
        {"Remoteuser": ALICE},
        {"Authorization": f"Bearer {cookie}"},
        {"Authorization": f"Bearer {old}"},
        {"Authorization": "Basic YWxpY2U6eA=="},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {MADE}"},  # the database knows none
        {"Authorization": door()["Authorization"] + "x"},
        {"Authorization": f"{door()['Authorization']}, Bearer x"},
    ):
        answer = client.get(f"/api/1/{path}", headers=headers)
        problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    problem(
        client.post(
            "/api/1/verbs/create", json={"name": "x"}, headers={"Cookie": f"{session.COOKIE}={cookie}"}
        ),
        401,
    )


def test_a_token_is_no_cookie(client: FlaskClient) -> None:
    token = door()["Authorization"].removeprefix("Bearer ")
    assert client.get("/", headers={"Cookie": f"{session.COOKIE}={token}"}).status_code == 303


def test_a_change_is_said_and_names_its_operation(client: FlaskClient, site: Site) -> None:
    answer = client.post(
        "/api/1/verbs/control/create", json={"name": "remus"}, headers={**door(), "Idempotency-Key": "k 1"}
    )
    assert answer.status_code == 202 and answer.headers["Location"] == "/api/1/operations/7"
    assert answer.json == {
        "operation": 7,
        "resource": "/api/1/operations/7",
        "events": "/streams/operations/7",
    }
    assert site.said == [("control", ALICE, "remus", "create", "--key=k 1", "--no-wait")]


def test_a_change_that_is_no_operation(client: FlaskClient, site: Site) -> None:
    site.answer = {"done": "bob may control remus"}
    asked = {"name": "remus", "principal": "bob"}
    answer = client.post("/api/1/verbs/allow", json=asked, headers=door())
    assert answer.status_code == 200 and answer.json == site.answer
    refused = client.post("/api/1/verbs/allow", json=asked, headers={**door(), "Idempotency-Key": "k"})
    assert "takes no key" in problem(refused, 400)["detail"] and len(site.said) == 1


SAMPLES = {
    "name": "remus",
    "new": "romulus",
    "other": "romulus",
    "memory": 1024,
    "cpus": "2",
    "size": "2G",
    "autostart": "no",
    "principal": "bob",
    "owner": "alice",
    "group": "robotics",
    "keeper": True,
    "fingerprint": "SHA256:x",
    "key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== x",
    "number": "3",
    "yes": True,
    "do": True,
    "write": True,
    "enable": True,
    "days": 9,
    "machine": ["remus", "romulus"],
    "how": "done",
    "disk": "hdb",
    "resource": "disk",
    "hypervisor": "qemu",
    "autoinstall": "debian-12",
    "cdrom": "debian-netinst",
    "machines": 3,
    "priority": "9",
    "member": ["bob@X"],
    "pool": "ssd",
    "type": "linux",
    "description": "x y",
    "gone": ["host1"],
    "add": ["host1"],
    "remove": ["host2"],
    "first": "192.0.2.10",
    "last": "192.0.2.20",
    "prefix": 24,
    "gateway": "192.0.2.1",
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_verb_is_understood(site: Site, name: str) -> None:
    """With all that the description has, as remote's own table takes it."""
    form = verbs.known(name)
    given = {field: SAMPLES[field] for field in verbs.fields(form) if field in SAMPLES}
    if name == "resize":
        given["disk"] = ["hdb=5G", "hda=2G"]
    if name in ("create", "limit"):
        given["disk"] = 10
    if name == "lvrename":
        given["new"] = "hdc"
    if "disk" in given and ("owner" in name or "quota" in name):
        given["disk"] = "10G"
    words = form.said({**verbs.understood(form, given), "user": ALICE})
    call = understood(whole(web.COMMAND, "web"), words)
    assert call and " ".join(call.words) == name and call.values["user"] == ALICE


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"1",
        b'{"name": NaN}',
        b'{"name": "a", "name": "b"}',
        b"[" * 60000,
        b"\xff",
        b'{"name": 1' + b"0" * 9000 + b"}",
    ],
)
def test_what_is_no_object(client: FlaskClient, site: Site, body: bytes) -> None:
    headers = {**door(), "Content-Type": "application/json"}
    problem(client.post("/api/1/verbs/rename", data=body, headers=headers), 400)
    assert not site.said


@pytest.mark.parametrize(
    "given",
    [
        {"name": "remus"},
        {"name": "remus", "new": ""},
        {"name": "remus", "new": None},
        {"name": "remus", "new": ["x"]},
        {"name": "remus", "new": {"x": 1}},
        {"name": "remus", "new": True},
        {"name": "remus", "new": "-x"},
        {"name": "remus", "new": "--json"},
        {"name": "remus", "new": "x", "user": "bob"},
        {"name": "remus", "new": "x", "no_wait": True},
        {"name": "remus", "new": "x", "key": "k"},
        {"name": "remus", "new": "\ud800"},
        {"name": "remus", "new": 3},
        {"name": "{user}", "new": 1.5},
    ],
)
def test_a_value_that_is_none(client: FlaskClient, site: Site, given: dict[str, Any]) -> None:
    """Another user, an option, or another type than its own."""
    told = problem(client.post("/api/1/verbs/rename", json=given, headers=door()), 400)
    assert told["code"] == BadInput.exit_code and not site.said


def test_types_and_lengths(client: FlaskClient, site: Site) -> None:
    text = {**door(), "Content-Type": "text/plain"}
    problem(client.post("/api/1/verbs/rename", data="{}", headers=text), 415)
    form = {**door(), "Content-Type": "application/x-www-form-urlencoded"}
    problem(client.post("/api/1/verbs/rename", data="name=remus&new=x", headers=form), 415)
    large = {"name": "remus", "new": "x" * 70000}
    problem(client.post("/api/1/verbs/rename", json=large, headers=door()), 413)
    assert not site.said


@pytest.mark.parametrize(
    "name", ["list", "verbs", "listvms", "control/status", "nothing", "control", "x" * 500, "../x"]
)
def test_what_is_no_change(client: FlaskClient, site: Site, name: str) -> None:
    problem(client.post(f"/api/1/verbs/{name}", json={}, headers=door()), 404)
    problem(client.get("/api/1/verbs/rename", headers=door()), 405)
    assert not site.said


@pytest.mark.parametrize("path", ["", "/nothing", "/machines/remus/nothing", "/operations/x", "/verbs/"])
def test_nothing_there(client: FlaskClient, path: str) -> None:
    problem(client.get(f"/api/1{path}", headers=door()), 404)


BY_DOOR = {"key add", "key remove", "token add", "token remove", "look share", "look end"}
BY_DOOR |= {"apart", "together"}  # they are about two machines
BY_DOOR |= {"quota ask"}
BY_DOOR |= {"accept", "decline"}  # they are about what is another's still
BY_DOOR |= {f"group {verb}" for verb in ("create", "add", "remove", "delete", "refresh")}


def test_what_tokens_may_is_said_of_each_verb() -> None:
    """A new verb is for doors until somebody says more."""
    site = {row["name"] for row in ROWS if row["who"] == "site"}
    assert set(CHANGES) - site == bearer.OF_MACHINES | bearer.OF_ALL | BY_DOOR
    assert {row["name"] for row in ROWS if "{name}" in row["words"]} >= bearer.OF_MACHINES | bearer.OF_ALL


@pytest.mark.parametrize("name", CHANGES)
def test_scopes(name: str) -> None:
    """Reading changes nothing; what is for some machines makes none; none administers, or outlasts itself."""
    with pytest.raises(Denied):
        bearer.may_change(Bearer(ALICE, "t", writes=False), name)
    assert bearer.may_change(Bearer(ALICE), name) is False  # a door's: remote decides
    for machines in (None, (), (1, 2)):
        token = Bearer(ALICE, "t", True, machines)
        if name in bearer.OF_MACHINES:
            assert bearer.may_change(token, name) is True
        elif name in bearer.OF_ALL and machines is None:
            assert bearer.may_change(token, name) is False
        else:
            with pytest.raises(Denied):
                bearer.may_change(token, name)


def test_a_made_token_s_machine_is_looked_for(client: FlaskClient, site: Site) -> None:
    """It is not said to remote that knows nothing of scopes, unless the database has it in the scope."""
    headers = made(site, machines=[5])
    asked = {"name": "remus", "new": "romulus"}
    problem(client.post("/api/1/verbs/rename", json=asked, headers=headers), 404)
    assert not site.said
    site.rows = [SimpleNamespace(owned=False)]
    problem(client.post("/api/1/verbs/rename", json=asked, headers=headers), 403)
    started = client.post("/api/1/verbs/control/create", json={"name": "remus"}, headers=headers)
    assert started.status_code == 202 and site.said.pop()
    site.rows = [SimpleNamespace(owned=True)]
    assert client.post("/api/1/verbs/rename", json=asked, headers=headers).status_code == 202
    problem(client.post("/api/1/verbs/create", json={"name": "x"}, headers=headers), 403)
    problem(client.post("/api/1/verbs/token/add", json={"name": "x"}, headers=headers), 403)
    problem(client.get("/api/1/tokens", headers=headers), 403)
    problem(client.get("/api/1/site/audit", headers=headers), 403)
    assert len(site.said) == 1


@pytest.mark.parametrize("name", sorted(bearer.OF_ALL))
def test_an_administrator_s_token_says_nothing_for_others(client: FlaskClient, site: Site, name: str) -> None:
    """Remote would take it for an administrator's word: of another's trash, for another owner."""
    headers = made(site)
    site.rows = [SimpleNamespace()]  # of administrators
    problem(client.post(f"/api/1/verbs/{name}", json={"name": "x"}, headers=headers), 403)
    assert not site.said
    site.rows = []
    assert client.post(f"/api/1/verbs/{name}", json={"name": "x"}, headers=headers).status_code == 202


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=",
        "cursor=a%00",
        "words=x",
        "limit=1&limit=2",
        "cursor=" + "x" * 1100,
    ],
)
def test_a_query_that_is_none(client: FlaskClient, query: str) -> None:
    problem(client.get(f"/api/1/machines?{query}", headers=door()), 400)


def test_there_is_a_way_to_the_next_page(
    client: FlaskClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Row(SimpleNamespace):
        def _asdict(self) -> dict[str, Any]:
            return vars(self)

    site.rows = [Row(name=f"m{number}&") for number in range(3)]
    answer = client.get("/api/1/machines?limit=2", headers=door())
    assert answer.json == {
        "items": [{"name": "m0&"}, {"name": "m1&"}],
        "next": "/api/1/machines?limit=2&cursor=m1%26",
    }
    assert answer.headers["Link"] == '</api/1/machines?limit=2&cursor=m1%26>; rel="next"'
    site.rows = site.rows[:2]
    last = client.get(str(answer.json["next"]), headers=door())
    assert last.json["next"] is None and "Link" not in last.headers


def test_the_description_is_of_all_that_there_is(client: FlaskClient, site: Site) -> None:
    """Each path of it is answered, each path that is answered is in it, each reference leads somewhere."""
    found = client.get("/api/1/openapi.json", headers=door()).json
    assert found["openapi"] == "3.0.3"
    described = {f"/verbs/{name.replace(' ', '/')}" for name in CHANGES}
    assert {path for path in found["paths"] if path.startswith("/verbs/")} == described
    rules = {str(rule) for rule in client.application.url_map.iter_rules() if str(rule).startswith("/api/")}
    plain = {
        rule.removeprefix("/api/1").replace("int:", "").replace("<", "{").replace(">", "}") for rule in rules
    }
    assert plain - {"/verbs/{path:verb}"} == {
        path for path in found["paths"] if not path.startswith("/verbs/")
    }
    for word in json.dumps(found).split('"$ref": "')[1:]:
        assert word.partition('"')[0].removeprefix("#/components/schemas/") in found["components"]["schemas"]
    resize = found["paths"]["/verbs/resize"]["post"]
    properties = resize["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(properties) == {"name", "memory", "cpus", "disk"} and properties["disk"]["type"] == "array"
    assert [one["name"] for one in resize["parameters"]] == ["Idempotency-Key"]


def test_who_asks_too_often_waits_and_still_has_pages(client: FlaskClient) -> None:
    asked = [client.get("/api/1/machines?limit=x", headers=door()).status_code for _ in range(200)]
    assert 429 in asked
    kept = client.get("/sign-on/password/api", headers={"Remoteuser": ALICE})
    assert kept.status_code == 200


def test_a_door_gives_a_token(client: FlaskClient) -> None:
    answer = client.get("/sign-on/ticket/api", headers={"Remoteuser": ALICE})
    assert answer.json["seconds"] == session.LASTS and "Set-Cookie" not in answer.headers
    headers = {"Authorization": f"Bearer {answer.json['token']}"}
    assert client.get("/api/1/machines", headers=headers).json == {"items": [], "next": None}
    for said in ("", "alice", "host/web.invirt.test@INVIRT.TEST", f"{ALICE},bob@INVIRT.TEST"):
        assert client.get("/sign-on/ticket/api", headers={"Remoteuser": said}).status_code == 403


def test_a_token_is_known_by_how_it_begins() -> None:
    assert bearer.MADE == tokens.PREFIX


def test_openapi_names_its_base() -> None:
    assert openapi.BASE == "/api/1"
