"""A home's own file, its erasure everywhere, and what goes after its time; on both databases."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from alerts import consent, wishes
from alerts.models import Attempt, Delivery, Incident, IncidentEntry, Notification
from edge.wire.clock import US_PER_S
from gateway.personal.rules import RULES
from registry import audit
from registry.acts import Act
from registry.db import Base
from registry.models import AuditEntry, Contact, ContactChannel, Detector
from registry.personal.classes import class_of
from registry.personal.periods import Periods
from registry.personal.retention import Forgetting
from registry.residents import service as residents
from registry.rights import CONSOLE
from registry.sealed import KeyringError, Sealed
from tests.web.homes import HOME, SITE, burn, fill

BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)
_DAY_US = 24 * 3600 * US_PER_S
LABEL = "Толгойт 12-45"
PLACE = "Зургаан буудлын арын цагаан хашаа"
NAME, NUMBER, MAIL = "Цэрэндулам Наранцэцэг", "+97688776655", "naraa.own@example.mn"
SAID = "Манай хашааны гэрэл унтарсан, хөрш Дорж мэднэ"
LAT, LON = 47.913371, 106.822793


@dataclass
class Homes:
    """A city with a home whose every personal value is known."""

    city: Any
    door: Any
    client: httpx.AsyncClient
    home: str
    contacts: list[str]

    async def written(self) -> str:
        """Everything the database holds, sealed values opened."""
        rows = []
        async with self.city.database.read() as session:
            for table in Base.metadata.sorted_tables:
                for row in await session.execute(table.select()):
                    values = {
                        name: self._open(table.name, name, value)
                        for name, value in row._mapping.items()
                    }
                    rows.append(f"{table.name} {json.dumps(values, default=str, ensure_ascii=False)}")
        return "\n".join(rows)

    def _open(self, table: str, column: str, value: Any) -> Any:
        if not isinstance(value, Sealed):
            return value
        try:
            return self.city.keyring.open(value, f"{table}.{column}")
        except KeyringError:
            return repr(value)

    def personal(self) -> list[str]:
        mail = self.city.keyring.fingerprint(MAIL, "contact_channel.address").hex()
        return [LABEL, PLACE, NAME, NUMBER, MAIL, SAID, str(LAT), str(LON), mail, "Дорж"]


@pytest.fixture
async def homes(city, door) -> AsyncIterator[Homes]:
    await fill(city.database, city.keyring, city.clock.now_us())
    async with await door.machine(["registrar"]) as client:
        contacts = [
            {"name": NAME, "channels": [{"channel": "email", "address": MAIL},
                                        {"channel": "sms", "address": NUMBER}]}
        ]  # fmt: skip
        body = {"label": LABEL, "site_id": SITE, "address": PLACE, "lat": LAT, "lon": LON,
                "contacts": contacts}  # fmt: skip
        made = await client.post("/households", json=body)
        assert made.status_code == 201, made.text
        home = made.json()["id"]
        people = [each["id"] for each in made.json()["contacts"]]
        said = {"kind": "complaint", "subject": "network", "text": SAID, "name": NAME, "contact": MAIL,
                "channel": "desk"}  # fmt: skip
        asked = await client.post("/requests", json=said)
        assert asked.status_code == 201, asked.text
        yield Homes(city, door, client, home, people)


async def _closed_fire(homes: Homes) -> str:
    """A fire at the home that is over, told to its people, with words that name them."""
    city = homes.city
    async with city.database.write() as session:
        await session.execute(
            update(Detector).where(Detector.id == "d-smoke").values(household_id=homes.home)
        )
    await burn(city.database, city.clock.now_us())
    await burn(city.database, city.clock.now_us(), cleared_us=city.clock.now_us())
    async with city.database.write() as session:
        incident = await session.scalar(select(Incident).where(Incident.household_id == homes.home))
        assert incident is not None
        incident.summary, incident.state, incident.open_key = f"{NAME} утсаа авсан", "resolved", None
        incident.resolved_us = city.clock.now_us()
        session.add(
            IncidentEntry(
                incident_id=incident.id, at_us=1, what="note", detail={"text": f"{NAME} гэртээ байна"}
            )
        )
        told = select(Delivery).join(Notification).where(Notification.incident_id == incident.id)
        delivery = (await session.scalars(told)).first()
        assert delivery is not None
        delivery.state, delivery.provider_id = "accepted", "provider-77"
        session.add(
            Attempt(delivery_id=delivery.id, number=1, started_us=1, evidence="250 queued as 5F")
        )
        await session.execute(
            update(Detector).where(Detector.id == "d-smoke").values(household_id=HOME)
        )
        return incident.id


@BOTH
async def test_a_home_is_erased_everywhere_and_the_audit_still_holds(homes: Homes) -> None:
    incident = await _closed_fire(homes)
    async with homes.city.database.write() as session:
        act = Act(CONSOLE, homes.city.clock.now_us(), "10.9.8.7", f"for {NAME}")
        token = await residents.new_link(session, act, homes.home, residents.PAPER_LIFE_US)
        await residents.come_home(session, act, token)
    before = await homes.written()
    assert all(value in before for value in homes.personal()), "the city knows them"
    url = f"/households/{homes.home}/erase"
    dry = await homes.client.post(url, json={"reason": "asked for it", "dry_run": True})
    assert dry.status_code == 200, dry.text
    assert await homes.written() == before, "a dry run takes nothing"
    unconfirmed = await homes.client.post(url, json={"reason": "asked for it"})
    assert unconfirmed.status_code == 422
    answer = await homes.client.post(url, json={"reason": "asked for it", "confirm": homes.home})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["homes"], told["people"], told["channels"], told["requests"]) == (1, 1, 2, 1)
    assert {name: told[name] for name in ("incidents", "audit_entries")} == {
        name: dry.json()[name] for name in ("incidents", "audit_entries")
    }

    after = await homes.written()
    left = [value for value in (*homes.personal(), "10.9.8.7", "provider-77", "5F") if value in after]
    assert left == []
    assert "Толгойт" not in after, "the words it was found by"
    async with homes.city.database.read() as session:
        verdict = await audit.verify(session)
        assert verdict.ok, verdict
        stone = await session.scalar(select(AuditEntry).where(AuditEntry.action == "household.erase"))
        assert stone is not None
        assert stone.object_id == homes.home
        assert stone.reason == "asked for it"
        kept = await session.get_one(Incident, incident)
        assert (kept.hazard, kept.state, kept.household_id) == ("fire", "resolved", homes.home)
        told_of = select(Delivery.state).join(Notification).where(Notification.incident_id == incident)
        assert "accepted" in list(await session.scalars(told_of)), "that somebody was told stays true"
    again = await homes.client.post(url, json={"reason": "again", "confirm": homes.home})
    assert again.status_code == 200, again.text


async def test_nobody_is_erased_while_something_burns_or_a_detector_hangs_there(homes: Homes) -> None:
    url = f"/households/{HOME}/erase"
    body = {"reason": "asked for it", "confirm": HOME}
    hanging = await homes.client.post(url, json=body)
    assert hanging.status_code == 409
    assert "detectors protect this home" in hanging.text
    await burn(homes.city.database, homes.city.clock.now_us())
    async with homes.city.database.write() as session:
        await session.execute(update(Detector).values(status="retired"))
        person = await session.scalar(select(Contact.id).where(Contact.household_id == HOME))
    before = await homes.written()
    for path, own_id in ((url, HOME), (f"/contacts/{person}/erase", person)):
        burning = await homes.client.post(path, json={"reason": "asked", "confirm": own_id})
        assert burning.status_code == 409
        assert "is open" in burning.text
    assert await homes.written() == before


async def test_one_person_leaves_and_the_others_stay(homes: Homes) -> None:
    await homes.client.put(
        f"/households/{homes.home}/contacts", headers={"If-Match": "*"},
        json=[{"id": homes.contacts[0], "name": NAME,
               "channels": [{"channel": "email", "address": MAIL}]},
              {"name": "Болд", "channels": [{"channel": "sms", "address": "99001122"}]}],
    )  # fmt: skip
    answer = await homes.client.post(
        f"/contacts/{homes.contacts[0]}/erase",
        json={"reason": "moved out", "confirm": homes.contacts[0]},
    )
    assert answer.status_code == 200, answer.text
    after = await homes.written()
    assert not [value for value in (NAME, MAIL, NUMBER, SAID) if value in after]
    assert PLACE in after
    shown = (await homes.client.post(f"/households/{homes.home}/open")).json()
    assert [each["name"] for each in shown["contacts"]] == ["Болд"]


async def test_the_file_holds_everything_and_says_who_read_it(homes: Homes) -> None:
    await _closed_fire(homes)
    async with homes.city.database.write() as session:
        channel = await session.scalar(
            select(ContactChannel.id).where(ContactChannel.contact_id == homes.contacts[0])
        )
        assert channel is not None
        await wishes.give_consent(session, channel, "page", 5, text_version="2026-01")
    await homes.client.post(f"/households/{homes.home}/open")
    answer = await homes.client.post(
        f"/households/{homes.home}/file?form=json", json={"reason": "the family asked"}
    )
    assert answer.status_code == 200, answer.text
    held = answer.json()
    text = json.dumps(held, ensure_ascii=False)
    fingerprint = homes.personal()[8]
    assert [value for value in homes.personal() if value not in text] == [fingerprint]
    assert held["consents"][0]["text"] == consent.text_of("2026-01", "mn")
    assert held["told"][0]["attempts"] or any(one["attempts"] for one in held["told"])
    read = [one["what"] for one in held["audit"] if one["read"]]
    assert read == ["household.open", "household.export"], "also this reading"
    zipped = await homes.client.post(
        f"/contacts/{homes.contacts[0]}/file", json={"reason": "she asked"}
    )
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        page = archive.read("index.html").decode()
        data = json.loads(archive.read("data.json"))
    assert NAME in page
    assert "<script" not in page
    assert data["people"][0]["name"] == NAME


async def test_a_page_of_the_file_escapes_what_people_wrote(homes: Homes) -> None:
    body = {"kind": "complaint", "subject": "network", "channel": "desk",
            "text": "<script>alert(1)</script>", "contact": MAIL}  # fmt: skip
    await homes.client.post("/requests", json=body)
    answer = await homes.client.post(f"/households/{homes.home}/file", json={"reason": "asked"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        page = archive.read("index.html").decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


async def test_whose_area_it_is_not_may_neither_read_nor_erase(homes: Homes) -> None:
    token = await homes.door.people.new_token("elsewhere", ["registrar"], 1, unit_code="1101")
    async with homes.door.client(Authorization=f"Bearer {token}") as client:
        for own, path in ((HOME, "households"), (homes.contacts[0], "contacts")):
            read = await client.post(f"/{path}/{own}/file", json={"reason": "curious"})
            gone = await client.post(f"/{path}/{own}/erase", json={"reason": "x", "confirm": own})
            assert (read.status_code, gone.status_code) == (403, 403)
    assert "household.erase" not in await homes.written()


# ---- retention -----------------------------------------------------------------------------------


def _forgetting(homes: Homes, **more: Any) -> Forgetting:
    city = homes.city
    return Forgetting(
        city.database, city.keyring, city.clock, city.data_dir, Periods(), actor=CONSOLE, **more
    )


async def _run(forgetting: Forgetting, *, dry_run: bool = False) -> dict[str, tuple[int, int]]:
    return {one.rule: (one.gone, one.left) async for one in forgetting.run(RULES, dry_run=dry_run)}


@BOTH
async def test_what_is_past_its_time_goes_and_the_audit_proves_it(homes: Homes) -> None:
    incident = await _closed_fire(homes)
    homes.city.clock.set_wall(homes.city.clock.now_us() + 800 * _DAY_US)
    fresh = await burn(homes.city.database, homes.city.clock.now_us(), alarm_id="a-2")
    async with homes.city.database.write() as session:
        gone = update(Contact).where(Contact.id == homes.contacts[0])
        await session.execute(gone.values(gone_us=homes.city.clock.now_us() - 400 * _DAY_US))
    would = await _run(_forgetting(homes), dry_run=True)
    assert would["delivery_proofs"][0] > 0
    assert {name for name, (count, _) in would.items() if count} == {"delivery_proofs"}
    did = await _run(_forgetting(homes))
    assert did["delivery_proofs"] == (would["delivery_proofs"][0], 0)
    assert did["former_contacts"] == (1, 0), "nothing proves any more that she was told"
    assert all(left == 0 for _, left in did.values())
    async with homes.city.database.read() as session:
        kept = set(await session.scalars(select(Notification.incident_id)))
        assert incident not in kept
        assert fresh in kept
        told = await session.scalars(select(AuditEntry).where(AuditEntry.action == "retention.done"))
        entries = {entry.object_id: entry.after or {} for entry in told}
        assert (await audit.verify(session)).ok
    assert entries["delivery_proofs"]["gone"] == would["delivery_proofs"][0]
    assert entries["delivery_proofs"]["left"] == 0
    assert entries["delivery_proofs"]["days"] == Periods().delivery_proofs_days
    assert MAIL not in await homes.written()
    assert not any(gone for gone, _ in (await _run(_forgetting(homes))).values())


async def test_an_interrupted_run_goes_on_and_loses_no_count(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _closed_fire(homes)
    homes.city.clock.set_wall(homes.city.clock.now_us() + 800 * _DAY_US)
    would = (await _run(_forgetting(homes), dry_run=True))["delivery_proofs"][0]
    assert would > 1
    one_by_one = [rule for rule in RULES if rule.name == "delivery_proofs"]
    monkeypatch.setattr("registry.personal.retention._BREATH_S", 0.0)
    rules = [replace(one_by_one[0], batch=1)]
    left = iter([True])

    async def only_once() -> bool:
        return next(left, False)

    cut = _forgetting(homes, may_go_on=only_once)
    assert [one async for one in cut.run(rules)] == []
    done = [one async for one in _forgetting(homes).run(rules)]
    assert (done[0].gone, done[0].left) == (would, 0)


def test_every_rule_names_tables_of_its_class_and_a_period() -> None:
    for rule in RULES:
        assert rule.days(Periods()) >= 1
        for table in rule.tables:
            columns = Base.metadata.tables[table].columns
            assert any(class_of(table, column.name) == rule.data_class for column in columns), rule.name
