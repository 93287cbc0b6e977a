"""Which cards come to running guests: those that the database says, as machines' configuration has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from invirt import config
from invirt.base import log
from invirt.base.names import DomainName
from invirt.database import connection
from invirt.host.domain import DomainConfig
from invirt.host.fake import FakeHypervisor
from invirt.host.network.cards import Cards
from tests.parts.database.rows import machine, site
from tests.parts.postgres import Database

REMUS = DomainConfig({"name": "d_remus", "memory": 64, "vcpus": 1, "machine": 1})
FAKE = "hypervisor: {driver: fake}\nstorage: {driver: fake, directory: /nonexistent}\n"
RESERVED = "INSERT INTO reservations SELECT machine_id, min(h.host_id), 64 FROM machines, hosts h GROUP BY 1"


@pytest.fixture
def fake(
    database: Database, tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeHypervisor]:
    """Of a host on which remus runs, whose NIC came then."""
    site(database)
    machine(database, "remus", ip="10.5.0.10", mac="02:00:00:00:00:01")
    database.config.write_text(database.config.read_text() + FAKE)
    config.reload()
    for name, folder in (("STATE", "state"), ("RUN", "run")):
        monkeypatch.setenv(f"INVIRT_{name}", str(tmp_path / folder))
    monkeypatch.setenv("INVIRT_XEN", str(checkout / "invirt-host/files/etc/xen"))
    driver = FakeHypervisor()
    driver.create(REMUS)
    yield driver
    connection.role = None


def update(database: Database, cards: Cards) -> None:
    with closing(database.connect()) as connected:
        connected.autocommit = True
        cards.update(connected)


def vifs(state: Path) -> list[str]:
    """The cards of remus' domain."""
    text = (state / "fake/domains/d_remus").read_text()
    return [nic["mac"] for nic in DomainConfig.from_json(text).devices("vif")]


def test_a_card_comes_where_the_machine_is_reserved(
    fake: FakeHypervisor, database: Database, tmp_path: Path
) -> None:
    update(database, Cards())
    assert vifs(tmp_path / "state") == []
    database.execute(RESERVED)
    update(database, Cards())
    assert vifs(tmp_path / "state") == ["02:00:00:00:00:01"]
    fake.destroy(DomainName("d_remus"))
    update(database, Cards())
    assert not fake.running(DomainName("d_remus"))


def test_what_cant_be_done_is_said_once(
    fake: FakeHypervisor, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(log, "write", lambda text, *_: said.append(text))
    fault = tmp_path / "state/fake/faults/list"
    fault.parent.mkdir()
    fault.write_text("before fail")
    cards = Cards()
    for _ in range(2):
        update(database, cards)
    assert len(said) == 1 and "what runs here isn't known: list failed" in said[0]
    fault.unlink()
    database.execute(RESERVED)
    monkeypatch.setenv("INVIRT_XEN", str(tmp_path))
    for _ in range(2):
        update(database, cards)
    assert len(said) == 2 and "d_remus, to plug inv1: there is no configuration" in said[1]
