"""What people do on pages, with the real remote server behind them."""

from __future__ import annotations

import itertools
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from invirt_lab.browser import Answer, Browser
from tests.parts.owned import BOB, let_in, let_out
from tests.parts.realm import DEADLINE
from tests.web.server.conftest import WebServer


def carried_out(browser: Browser, answer: Answer) -> Answer:
    """The page of the operation that a form has begun, once it has ended."""
    assert answer.status == 303 and answer.to.startswith("/operations/"), answer
    limit = time.monotonic() + DEADLINE
    while True:
        page = browser.ask(answer.to)
        assert page.status == 200, page
        if "http-equiv" not in page.text:
            return page
        assert time.monotonic() < limit, page.text
        time.sleep(0.1)


def made(browser: Browser, name: str, **more: str) -> Answer:
    """A machine of that name, made by the form."""
    form = browser.ask("/new").text
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    return browser.ask("/new", {"size": "Small", "name": name, **fields, **more})


@pytest.fixture(scope="module")
def alice(web: WebServer) -> Browser:
    return web.browser("alice")


@pytest.fixture(scope="module")
def remus(web: WebServer, alice: Browser) -> str:
    """alice's machine."""
    page = carried_out(alice, made(alice, "remus"))
    assert "It is done." in page.text, page.text
    return "remus"


def test_a_machine_s_life(web: WebServer, alice: Browser) -> None:
    """Made, started, shut down, resized, shared, renamed, deleted, given back; the audit names both."""
    assert "It is done." in carried_out(alice, made(alice, "life", description="<b>&amp;")).text
    page = alice.ask("/machines/life").text
    assert "&lt;b&gt;&amp;amp;" in page and "<b>&amp;" not in page
    assert 'class="state off"' in page and "Start" in page and "Power off" not in page
    web.database.execute("INSERT INTO host_signs (host_id) SELECT host_id FROM hosts")
    assert "It is done." in carried_out(alice, alice.send("/machines/life", "/machines/life/create")).text
    assert 'class="state running"' in alice.ask("/machines/life").text
    refused = alice.send("/machines/life", "/machines/life/resize", memory="256M")
    assert refused.status == 409 and "running" in refused.text and 'value="256M"' in refused.text
    assert "It is done." in carried_out(alice, alice.send("/machines/life", "/machines/life/shutdown")).text
    carried_out(alice, alice.send("/machines/life", "/machines/life/resize", memory="256M"))
    assert "<dd>256 MiB</dd>" in alice.ask("/machines/life").text
    told = alice.send("/machines/life", "/machines/life/allow", principal="bob")
    assert told.to == "/machines/life" and "may control life" in alice.ask(told.to).text
    assert "bob@INVIRT.TEST" in alice.ask("/machines/life").text
    carried_out(alice, alice.send("/machines/life", "/machines/life/rename", new="afterlife"))
    assert alice.ask("/machines/life").status == 404
    unsure = alice.send("/machines/afterlife", "/machines/afterlife/delete", typed_name="afterlif")
    assert unsure.status == 400 and "is not deleted" in unsure.text
    gone = alice.send("/machines/afterlife", "/machines/afterlife/delete", typed_name="afterlife")
    assert "It is done." in carried_out(alice, gone).text
    assert "Give back" in alice.ask("/").text
    carried_out(alice, alice.send("/", "/trash/afterlife/undelete"))
    assert alice.ask("/machines/afterlife").status == 200
    carried_out(alice, alice.send("/", "/machines/afterlife/delete", typed_name="afterlife"))
    assert alice.send("/", "/trash/afterlife/purge", typed_name="after").status == 400
    assert (
        "It is done."
        in carried_out(alice, alice.send("/", "/trash/afterlife/purge", typed_name="afterlife")).text
    )
    assert "Give back" not in alice.ask("/").text
    who = web.database.execute(
        "SELECT DISTINCT principal, via FROM audit WHERE machine_name IN ('life', 'afterlife')"
    )
    assert who == [("alice@INVIRT.TEST", "host/web.invirt.test@INVIRT.TEST")]


def test_the_audit_says_from_where_the_browser_asked(web: WebServer, remus: str) -> None:
    """Whatever browsers say of that themselves."""
    browser = web.browser("alice")
    browser.source = "127.0.0.99"
    audited = "SELECT DISTINCT address FROM audit WHERE arguments LIKE %s"
    form = {"secret": re.findall(r'name="secret" value="([^"]*)"', browser.ask("/keys").text)[0]}
    forged = {"X-Forwarded-For": "198.51.100.1", "Remoteaddr": "198.51.100.2"}
    form |= {"principal": "bob", "whence": "198.51.100.3"}
    assert browser.ask(f"/machines/{remus}/allow", form, forged).to == f"/machines/{remus}"
    assert web.database.execute(audited, (f"allow %{remus} %",)) == [("127.0.0.99",)]
    hop = {**forged, "Connection": "close, X-Forwarded-For"}
    assert browser.ask(f"/machines/{remus}/disallow", form, hop).to == f"/machines/{remus}"
    assert web.database.execute(audited, (f"disallow %{remus} %",)) == [("127.0.0.99",)]
    addresses = web.database.execute("SELECT DISTINCT address FROM audit WHERE address LIKE '198.%'")
    assert addresses == []


def test_a_form_sent_twice_makes_one(web: WebServer, alice: Browser) -> None:
    form = alice.ask("/new").text
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    first, second = (alice.ask("/new", {"size": "Small", "name": "twin", **fields}) for _ in range(2))
    assert first.to == second.to
    carried_out(alice, first)


@pytest.mark.parametrize(
    "name", ["Remus", "a b", "-x", "--yes", "", "../x", "a" * 64, "<script>", "x\0y", "ä", "--json"]
)
def test_a_name_that_is_none(alice: Browser, name: str) -> None:
    """What was typed is there again, and what is accepted."""
    answer = made(alice, name)
    assert answer.status == 400, answer
    assert 'class="refusal"' in answer.text and "<script>" not in answer.text


def test_names_that_an_administrator_gave_are_shown(web: WebServer, alice: Browser, remus: str) -> None:
    nic = "(SELECT nic_id FROM nics JOIN machines USING (machine_id) WHERE name = %s)"
    web.database.execute(f"INSERT INTO hostnames VALUES ('www.invirt.test', {nic})", (remus,))
    page = alice.ask(f"/machines/{remus}").text
    assert f"<dt>Names in DNS</dt><dd>{remus}.invirt.test, www.invirt.test</dd>" in page
    web.database.execute("DELETE FROM hostnames")
    assert f"<dt>Name in DNS</dt><dd>{remus}.invirt.test</dd>" in alice.ask(f"/machines/{remus}").text


def test_what_a_machine_is_held_to_is_shown_and_changed(web: WebServer, alice: Browser, remus: str) -> None:
    assert "Held to" not in alice.ask(f"/machines/{remus}").text
    changed = alice.send(f"/machines/{remus}", f"/machines/{remus}/limit", cap="50", upload="7")
    assert changed.to == f"/machines/{remus}"
    assert "<dd>50 % of a CPU, 7 Mbit/s sent</dd>" in alice.ask(f"/machines/{remus}").text
    wrong = alice.send(f"/machines/{remus}", f"/machines/{remus}/limit", cap="much")
    assert wrong.status == 400 and 'value="much"' in wrong.text
    alice.send(f"/machines/{remus}", f"/machines/{remus}/limit", cap="0", upload="0")
    assert "Held to" not in alice.ask(f"/machines/{remus}").text


def test_what_befell_a_machine_is_told(web: WebServer, alice: Browser, remus: str) -> None:
    lost = "UPDATE machines SET (lost_at, lost_host) = ({}) WHERE name = %s"
    web.database.execute(lost.format("now(), 'host7'"), (remus,))
    for page in ("/", f"/machines/{remus}"):
        assert re.search("host7 was lost at [-0-9]+ [0-9:]+, and the machine ", alice.ask(page).text)
    web.database.execute(lost.format("NULL, NULL"), (remus,))
    assert "was lost" not in alice.ask("/").text


def test_another_s_machine_is_not_there(web: WebServer, remus: str) -> None:
    """Seen or touched: the same as one that isn't."""
    bob = web.browser("bob")
    assert remus not in bob.ask("/").text
    for name in (remus, "never-was"):
        assert bob.ask(f"/machines/{name}").status == 404
        for verb in ("create", "destroy", "rename", "delete", "allow"):
            answer = bob.send("/help", f"/machines/{name}/{verb}", typed_name=name, new="x", principal="bob")
            assert answer.status == 404, (verb, answer)
    (number,) = web.database.execute(
        "SELECT max(operation_id) FROM operations WHERE machine_name = %s", (remus,)
    )
    assert bob.ask(f"/operations/{number[0]}").status == 404
    assert web.browser("alice").ask(f"/operations/{number[0]}").status == 200


def test_whom_the_owner_let_in_sees_it_and_changes_nothing(
    web: WebServer, alice: Browser, remus: str
) -> None:
    alice.send(f"/machines/{remus}", f"/machines/{remus}/allow", principal="bob")
    bob = web.browser("bob")
    page = bob.ask(f"/machines/{remus}")
    assert page.status == 200 and "Delete" not in page.text and "Start" in page.text
    answer = bob.send("/help", f"/machines/{remus}/rename", new="mine")
    assert answer.status == 403 and "only its owner" in answer.text
    alice.send(f"/machines/{remus}", f"/machines/{remus}/disallow", principal="bob")
    assert bob.ask(f"/machines/{remus}").status == 404


def test_who_is_told_of_no_more_is_out_at_the_next_page(web: WebServer, alice: Browser, remus: str) -> None:
    """As one whom a group's word had made an owner."""
    let_in(web.database, remus, BOB, "told")
    bob = web.browser("bob")
    assert "Delete" in bob.ask(f"/machines/{remus}").text
    let_out(web.database, remus, "told")
    assert bob.ask(f"/machines/{remus}").status == 404 and remus not in bob.ask("/").text
    assert bob.send("/help", f"/machines/{remus}/create").status == 404


def test_a_machine_is_handed_over(web: WebServer, alice: Browser, remus: str) -> None:
    """Offered on its page, accepted on the new owner's first one, and given back."""
    bob = web.browser("bob")
    for giver, taker, name in ((alice, bob, "bob"), (bob, alice, "alice")):
        giver.send(f"/machines/{remus}", f"/machines/{remus}/set", owner=name)
        assert giver.send("/", f"/offers/{remus}/accept").status == 404
        assert taker.ask(f"/machines/{remus}").status == 404 and "Offered to you" in taker.ask("/").text
        assert taker.send("/", f"/offers/{remus}/accept").to == f"/machines/{remus}"
        assert giver.ask(f"/machines/{remus}").status == 404
        assert "Delete" in taker.ask(f"/machines/{remus}").text


def test_keys_are_one_s_own(web: WebServer, alice: Browser, tmp_path: Path) -> None:
    """Added, shown by its fingerprint, taken back; what is none is refused with what was typed."""
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice at home", "-f", str(tmp_path / "key")]
    subprocess.run(argv, check=True, timeout=20)
    line = (tmp_path / "key.pub").read_text()
    told = alice.send("/keys", "/keys/add", key=line)
    assert told.to == "/keys", told
    page = alice.ask("/keys").text
    (fingerprint,) = re.findall(r"<code>(SHA256:[^<]+)</code>", page)
    asked = ["ssh-keygen", "-lf", str(tmp_path / "key.pub")]
    assert fingerprint in subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    bob = web.browser("bob")
    assert fingerprint not in bob.ask("/keys").text
    assert bob.send("/keys", "/keys/remove", fingerprint=fingerprint).status == 400
    refused = alice.send("/keys", "/keys/add", key="ssh-dss AAAA")
    assert refused.status == 400 and 'value="ssh-dss AAAA"' in refused.text
    assert alice.send("/keys", "/keys/list").status == 404
    assert alice.send("/keys", "/keys/remove", fingerprint=fingerprint).to == "/keys"
    assert "You have no keys here." in alice.ask("/keys").text


def test_a_verb_that_is_none(alice: Browser, remus: str) -> None:
    for verb in ("show", "verbs", "listvms", "purge", "key", "x"):
        assert alice.send("/help", f"/machines/{remus}/{verb}").status == 404, verb


@pytest.mark.parametrize(
    "name", ["machines", "hosts", "operations", "owners", "ranges", "types", "pools", "audit"]
)
def test_the_site_is_for_its_administrators(web: WebServer, alice: Browser, remus: str, name: str) -> None:
    assert alice.ask(f"/site/{name}").status == 404
    carol = web.browser("carol")
    page = carol.ask(f"/site/{name}")
    assert page.status == 200 and "<td" in page.text, page


def test_tables_of_the_site_are_searched_and_sorted(web: WebServer, remus: str) -> None:
    carol = web.browser("carol")
    assert f"/machines/{remus}" in carol.ask("/site/machines?words=emu").text
    for nothing in ("%25", "_", "%27", "x%5C"):
        assert "There is nothing here." in carol.ask(f"/site/machines?words=zz{nothing}").text, nothing
    for query in (
        "order=-memory",
        "order=name;drop",
        "page=0",
        "page=99999999999999999999",
        "page=x",
        "state=off&order=-name",
    ):
        assert carol.ask(f"/site/machines?{query}").status == 200, query
    assert carol.ask(f"/machines/{remus}").status == 200


def test_administrators_change_the_site(web: WebServer, alice: Browser) -> None:
    """By forms made of `admin …`, audited in their name; nobody else does, and a refusal says why."""
    carol = web.browser("carol")
    wanted = {"verb": "admin host set", "name": "host1"}
    assert "Change a host" in carol.ask("/site/hosts").text
    assert carol.send("/site/hosts", "/site/hosts", **wanted, disable="yes").to == "/site/hosts"
    assert web.database.execute("SELECT enabled FROM hosts WHERE name = 'host1'") == [(False,)]
    assert alice.send("/help", "/site/hosts", **wanted, enable="yes").status == 404
    assert carol.send("/site/hosts", "/site/hosts", **wanted, enable="yes").to == "/site/hosts"
    assert web.database.execute("SELECT enabled FROM hosts WHERE name = 'host1'") == [(True,)]
    quota = {"verb": "admin quota set", "name": "alice"}
    assert carol.send("/site/owners", "/site/owners", **quota, disk="70G").to == "/site/owners"
    assert "of 70 GiB" in carol.ask("/site/owners").text
    refused = carol.send("/site/owners", "/site/owners", verb="admin quota set", name="none", disk="7G")
    assert refused.status == 404 and 'value="7G"' in refused.text and "<details" in refused.text
    for verb in ("admin host remove", "control create", "verbs", ""):
        assert carol.send("/site/hosts", "/site/hosts", verb=verb, name="host1").status == 404, verb
    audited = web.database.execute(
        "SELECT DISTINCT principal, administrator FROM audit WHERE arguments LIKE 'admin %%'"
    )
    assert audited == [("carol@INVIRT.TEST", True)]


def test_a_larger_quota_is_asked_for_and_answered_on_pages(
    web: WebServer, alice: Browser, remus: str
) -> None:
    """What is used, allowed and asked for is seen; who is no administrator grants nothing."""
    carol = web.browser("carol")
    page = alice.ask("/quotas").text
    assert '<h2 id="owner-0">alice</h2>' in page and "Ask for more" in page and "no bound" in page
    wrong = alice.send("/quotas", "/quotas", memory="much")
    assert wrong.status == 400 and 'value="much"' in wrong.text
    assert alice.send("/quotas", "/quotas", cpus="7", owner="nobody").status == 403
    assert alice.send("/quotas", "/quotas", memory="16G", cpus="7", why="<a course>").to == "/quotas"
    assert "Memory: 16 GiB" in alice.ask("/quotas").text
    numbers = dict(web.database.execute("SELECT resource, request_id FROM quota_requests"))
    asked = carol.ask("/site/requests?state=open").text
    assert "&lt;a course&gt;" in asked and "16 GiB" in asked
    grant = {"verb": "admin quota grant", "number": str(numbers["memory"])}
    assert alice.send("/help", "/site/requests", **grant).status == 404
    assert carol.send("/site/requests", "/site/requests", **grant).to == "/site/requests"
    refuse = {"verb": "admin quota refuse", "number": str(numbers["cpus"]), "why": "too many"}
    assert carol.send("/site/requests", "/site/requests", **refuse).to == "/site/requests"
    assert carol.send("/site/requests", "/site/requests", **grant).status == 404
    page = alice.ask("/quotas").text
    assert "granted by carol" in page and "refused by carol: too many" in page
    assert 'data-label="Allowed">16 GiB' in page and 'data-label="Allowed">7<' not in page


def test_what_if_a_host_dies(web: WebServer, remus: str) -> None:
    """Its machines would have no room elsewhere; nobody says so where remote doesn't."""
    carol = web.browser("carol")
    sign = "INSERT INTO host_signs (host_id, load, accelerator) SELECT host_id, 0.42, 'tcg' FROM hosts"
    known = "ON CONFLICT (host_id) DO UPDATE SET load = excluded.load, accelerator = excluded.accelerator"
    web.database.execute(f"{sign} {known}")
    machine = "(SELECT machine_id FROM machines WHERE name = %s)"
    web.database.execute(
        f"INSERT INTO reservations (machine_id, host_id, memory) SELECT {machine}, host_id, 128 FROM hosts",
        (remus,),
    )
    page = carol.ask("/site/hosts").text
    assert "host1: machines of 128 MiB would have no room on the others." in page and "42 %" in page
    assert "emulated: slow" in page
    web.database.execute("DELETE FROM reservations")
    assert "Of any one host's machines, all would have room on the others." in carol.ask("/site/hosts").text


def test_administrators_change_types_and_pools(web: WebServer, alice: Browser, remus: str) -> None:
    """As far as no file of a host's is named: not which kernel is booted, nor where a pool is."""
    carol = web.browser("carol")
    page = carol.ask("/site/types").text
    assert "Add a type that boots from its disk" in page
    assert not re.search('name="(kernel|initrd)"', page)
    wanted = {"verb": "admin type add", "name": "pc"}
    assert (
        carol.send("/site/types", "/site/types", **wanted, description="any system", needs="cdrom").status
        == 303
    )
    made = "SELECT virt, description, kernel, needs FROM types WHERE name = 'pc'"
    assert web.database.execute(made) == [("hvm", "any system", None, ["cdrom"])]
    again = carol.send("/site/types", "/site/types", **wanted)
    assert again.status == 400 and 'value="pc"' in again.text
    for more in ({"kernel": "/etc/shadow"}, {"initrd": "/etc/krb5.keytab"}):
        carol.send("/site/types", "/site/types", verb="admin type set", name="linux", append="quiet", **more)
    assert web.database.execute("SELECT kernel, initrd, append FROM types WHERE name = 'linux'") == [
        ("/boot/vmlinuz", None, "quiet")
    ]
    assert alice.send("/help", "/site/types", verb="admin type remove", name="pc").status == 404
    assert carol.send("/site/types", "/site/types", verb="admin type remove", name="pc").status == 303
    used = carol.send("/site/types", "/site/types", verb="admin type remove", name="linux")  # remus is one
    assert used.status == 409 or used.status == 400, used
    assert "host1" not in carol.ask("/site/pools").text
    pool = {"verb": "admin pool hosts", "name": "default"}
    assert carol.send("/site/pools", "/site/pools", **pool, add="host1").status == 303
    assert carol.send("/site/pools", "/site/pools", **pool, remove="none").status == 404
    assert carol.send("/site/pools", "/site/pools", verb="admin pool add", name="x").status == 404
    assert alice.send("/help", "/site/pools", **pool, all="yes").status == 404


def test_administrators_add_addresses_of_a_network_that_is_there(web: WebServer) -> None:
    carol = web.browser("carol")
    more = {"verb": "admin range add", "first": "192.0.2.2", "last": "192.0.2.5", "gateway": "192.0.2.1"}
    refused = carol.send("/site/ranges", "/site/ranges", **more, prefix="24")
    assert refused.status == 400 and "names no server" in refused.text and 'value="192.0.2.5"' in refused.text
    web.database.execute("INSERT INTO rules.servers VALUES ('192.0.2.4')")
    assert "addresses of servers" in carol.send("/site/ranges", "/site/ranges", **more, prefix="24").text
    assert (
        carol.send("/site/ranges", "/site/ranges", **{**more, "last": "192.0.2.3"}, prefix="24").status == 303
    )
    assert "192.0.2.3" in carol.ask("/site/ranges").text
    gone = {"verb": "admin range remove", "first": "192.0.2.2", "last": "192.0.2.3"}
    assert carol.send("/site/ranges", "/site/ranges", **gone).status == 303
    assert "192.0.2.3" not in carol.ask("/site/ranges").text


def test_administrators_mend_what_is_stuck(web: WebServer, alice: Browser) -> None:
    """On the operation's page, which offers its owner nothing."""
    answer = alice.make("mended")
    alice.follow(answer)
    number = answer.to.rpartition("/")[2]
    web.database.execute("UPDATE operations SET state = 'stuck' WHERE operation_id = %s", (number,))
    carol = web.browser("carol")
    assert "by hand" in carol.ask(answer.to).text and "by hand" not in alice.ask(answer.to).text
    resolve = {"verb": "admin operations resolve", "number": number}
    assert carol.send(answer.to, "/site/operations", **resolve).status == 400
    told = carol.send(answer.to, "/site/operations", **resolve, how="done")
    assert told.to == "/site/operations" and "is done" in carol.ask(told.to).text


HOSTILE = (
    *("<script>alert(1)</script>", "x' OR '1'='1", "x\0y", "--as=done", "../../etc/passwd", "a" * 900),
    *("9" * 30, "\u202e\U0001f4a9", "%(user)s {user} ${7*7}", "x\r\nSet-Cookie: a=b", "*", "\\"),
)


@pytest.mark.nightly
@pytest.mark.parametrize("user", ["alice", "carol"])
def test_hostile_values_in_every_field(web: WebServer, remus: str, user: str) -> None:
    """Refused, or taken as what they are: no page fails, and none shows them as anything but text."""
    browser = web.browser(user)
    page = "/site/owners" if user == "carol" else "/keys"
    (secret,) = set(re.findall(r'name="secret" value="([^"]+)"', browser.ask(page).text))
    fields = SITE_FIELDS if user == "carol" else MACHINE_FIELDS
    for turn, (path, names, more) in enumerate(fields):
        for place, name in enumerate(names):
            value = HOSTILE[(7 * turn + place) % len(HOSTILE)]
            values = {**dict.fromkeys(names, "1"), **more, name: value, "secret": secret}
            answer = browser.ask(path.format(remus), values)
            assert answer.status in (303, 400, 403, 404, 409), (path, name, value, answer)
            assert "<script" not in answer.text and "Set-Cookie: a" not in str(answer.headers)


MACHINE_FIELDS: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    ("/new", ("name", "size", "memory", "disk", "cpus", "type", "owner", "pool", "description"), {}),
    ("/machines/{}/resize", ("memory", "cpus"), {}),
    ("/machines/{}/rename", ("new",), {}),
    ("/machines/{}/set", ("autostart", "owner"), {}),
    ("/machines/{}/lvcreate", ("disk", "size", "pool"), {}),
    ("/machines/{}/lvrename", ("disk", "new"), {}),
    ("/machines/{}/allow", ("principal",), {}),
    ("/machines/{}/delete", ("typed_name",), {}),
    ("/keys/add", ("key",), {}),
)
SITE_FIELDS: tuple[tuple[str, tuple[str, ...], dict[str, str]], ...] = (
    ("/site/hosts", ("name", "memory", "hypervisor"), {"verb": "admin host set"}),
    ("/site/owners", ("name", "memory", "disk", "machines", "member"), {"verb": "admin owner add"}),
    ("/site/owners", ("name", "memory"), {"verb": "admin quota set"}),
    ("/site/owners", ("owner", "principal"), {"verb": "admin member add"}),
    ("/site/owners", ("verb",), {}),
    ("/site/types", ("name", "virt", "description", "append", "needs"), {"verb": "admin type add"}),
    ("/site/types", ("name", "virt", "description", "append", "needs"), {"verb": "admin type set"}),
    ("/site/types", ("name",), {"verb": "admin type remove"}),
    ("/site/pools", ("name", "add", "remove"), {"verb": "admin pool hosts"}),
    ("/site/ranges", ("first", "last", "prefix", "gateway"), {"verb": "admin range add"}),
    ("/site/ranges", ("first", "last"), {"verb": "admin range remove"}),
    ("/site/operations", ("number",), {"verb": "admin operations retry"}),
    ("/site/operations", ("number", "how", "gone"), {"verb": "admin operations resolve"}),
)


@contextmanager
def runs(web: WebServer, name: str) -> Iterator[None]:
    """As its host would have written it."""
    for query in (
        "INSERT INTO reservations"
        " SELECT machine_id, h.host_id, 64 FROM machines m, hosts h WHERE m.name = %s",
        "INSERT INTO guest_states (machine_id, host_id, state, since)"
        " SELECT machine_id, h.host_id, 'running', now() FROM machines m, hosts h WHERE m.name = %s",
    ):
        web.database.execute(query, (name,))
    web.database.execute("INSERT INTO host_signs (host_id) SELECT host_id FROM hosts ON CONFLICT DO NOTHING")
    web.database.execute("UPDATE host_signs SET seen_at = now()")
    yield
    for table in ("guest_states", "reservations"):
        web.database.execute(f"DELETE FROM {table}")


def test_what_it_used_is_drawn(web: WebServer, alice: Browser, remus: str) -> None:
    """As curves, without a script; and why packets were dropped, in words."""
    web.database.execute(
        "INSERT INTO usage_minutes (machine_id, host_id, begins, slots, used, drops)"
        " SELECT machine_id, hosts.host_id, date_trunc('hour', now(), 'UTC'), '{0}',"
        " ARRAY[30000,64,600,0,9,0,0,0,0,2],"
        " ARRAY[7] || array_fill(0, ARRAY[14]) FROM machines, hosts WHERE machines.name = %s",
        (remus,),
    )
    page = alice.ask(f"/machines/{remus}").text
    assert page.count("<svg") == 4 and 'aria-label="CPU: used 50 % of one at the end, 50 at the most"' in page
    assert "7: frames from another MAC than its own" in page
    picture = alice.ask(f"/machines/{remus}/day.svg")
    assert picture.headers.get_content_type() == "image/svg+xml" and picture.text.count("<path") == 2
    assert "<text" not in picture.text, "it is off now"
    with runs(web, remus):
        assert ">50 %</text>" in alice.ask(f"/machines/{remus}/day.svg").text
    assert f'src="/machines/{remus}/day.svg"' in alice.ask("/").text
    assert web.browser("bob").ask(f"/machines/{remus}/day.svg").status == 404
    for of in ("hour", "week", "month", "year", "never"):
        assert alice.ask(f"/machines/{remus}?of={of}").status == 200


def test_who_asks_too_often_waits(web: WebServer) -> None:
    """One user; another doesn't."""
    web.realm.password("hasty")
    hasty = web.browser("hasty")
    assert hasty.ask("/help").status == 200
    # Changes count five times: a slow machine asks for enough of them, too.
    # And a moment later one is let in again.
    codes = (hasty.ask("/machines/none/shutdown", {"secret": "none"}).status for _ in range(250))
    before = list(itertools.takewhile(lambda code: code != 429, codes))
    assert set(before) == {403} and len(before) < 250
    assert web.browser("bob").ask("/help").status == 200


def test_a_system_is_installed(web: WebServer, alice: Browser) -> None:
    """Its password is shown once; by a fake installer, which says that it is done."""
    web.database.execute(
        "INSERT INTO autoinstalls (name, description, url, keyring, memory, disk)"
        " VALUES ('debian-12', 'Debian <12>', 'http://install.invirt.test:8180/debian-12', 'key', 128, 1)"
    )
    carried_out(alice, made(alice, "nova"))
    page = alice.ask("/machines/nova").text
    assert "debian-12: Debian &lt;12&gt; (from 128 MiB, 1 GiB of disk)" in page and "<dt>System" not in page
    unsure = alice.send("/machines/nova", "/machines/nova/install", autoinstall="debian-12", typed_name="nov")
    assert unsure.status == 400 and "nova is left as it is" in unsure.text
    begun = alice.send("/machines/nova", "/machines/nova/install", autoinstall="debian-12", typed_name="nova")
    assert begun.status == 200 and re.search(r"<code>[\w-]{16}</code>", begun.text), begun.text
    limit = time.monotonic() + DEADLINE
    while "<dd>debian-12</dd>" not in (page := alice.ask("/machines/nova").text):
        assert time.monotonic() < limit, page
        time.sleep(0.1)
    assert not re.search(r"<code>[\w-]{16}</code>", page)
    # As soon as the installation's operation has ended.
    while "nova is running on" not in (refused := alice.send("/machines/nova", "/machines/nova/rescue")).text:
        assert time.monotonic() < limit, refused.text
        time.sleep(0.1)
    assert refused.status == 409
    carried_out(alice, alice.send("/machines/nova", "/machines/nova/destroy"))
    carried_out(alice, alice.send("/machines/nova", "/machines/nova/rescue"))
    assert "It runs the rescue system" in alice.ask("/machines/nova").text
    carried_out(alice, alice.send("/machines/nova", "/machines/nova/reboot"))
    assert "It runs the rescue system" not in alice.ask("/machines/nova").text
