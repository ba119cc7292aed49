"""The doors that providers, mail programs and dispatch knock at, over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import xmlschema
from sqlalchemy import update

from alerts import reports
from alerts.cap import read_cap
from alerts.channels.webhook import key_of, sign
from alerts.doors import Doors, open_doors
from alerts.models import Delivery, Incident
from alerts.settings import AlertSettings, SettingsError
from alerts.tokens import unsubscribe_token
from registry.models import AuditEntry, ContactChannel
from tests.alerts.city import ADDRESS, DAY_US, MAILS, ScriptedChannel, Town
from tests.alerts.doors import ORIGIN, House, house_of
from tests.alerts.simulators import SECRET

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
APP_SECRET, WORD = "app-s3cret", "w0rd"


@pytest.fixture
async def house(town: Town) -> AsyncIterator[House]:
    doors = Doors(
        report_keys={"voice": key_of(SECRET)}, messenger_app_secret=APP_SECRET,
        messenger_verify_token=WORD, public_url=ORIGIN,
    )  # fmt: skip
    async with house_of(town, doors) as found:
        yield found


async def _one(town: Town, channel: str, address: str) -> ScriptedChannel:
    """The home can be reached on this channel alone; it has accepted a fire message."""
    async with town.database.write() as session:
        await session.execute(update(ContactChannel).values(dead_us=1))
    await town.add_contact(address, channel=channel, position=1)
    return ScriptedChannel(name=channel)


async def _channel(town: Town) -> ContactChannel:
    return next(row for row in await town.all(ContactChannel) if row.contact_id == town.contacts[0])


# ---- unsubscribing ---------------------------------------------------------------------------


async def test_one_click_ends_what_can_wait_and_never_a_fire(house: House) -> None:
    town = house.town
    town.clock.set_wall(DAY_US)
    await town.alarm("t1", "low_battery")
    town.clock.advance(timedelta(hours=1))
    mails = ScriptedChannel()
    worker = town.worker(mails, public_url=ORIGIN)
    await worker.run_until_idle()
    [trouble] = mails.sent
    assert trouble.address == MAILS[0]
    answer = await house.client.post(trouble.unsubscribe, data=ONE_CLICK)
    assert answer.status_code == 204
    again = await house.client.post(trouble.unsubscribe, data=ONE_CLICK)
    assert again.status_code == 204

    town.clock.advance(timedelta(days=2))
    await town.alarm("t2", "tamper")
    await town.alarm("f1", "smoke")
    await town.alarm("c1", "co")
    town.clock.advance(timedelta(hours=1))
    await worker.run_until_idle()
    told = {(message.kind, message.address) for message in mails.sent[1:]}
    assert {address for kind, address in told if kind == "trouble"} == {MAILS[1]}
    assert {address for kind, address in told if kind == "fire"} == set(MAILS)
    assert {address for kind, address in told if kind == "co"} == set(MAILS)
    assert all(bool(m.unsubscribe) == (m.kind == "trouble") for m in mails.sent)
    noted = [entry.action for entry in await town.all(AuditEntry)]
    assert noted == ["channel.mute"]


async def test_a_scanner_that_opens_the_link_changes_nothing_and_people_can_take_it_back(
    house: House,
) -> None:
    channel = await _channel(house.town)
    link = f"/u/{unsubscribe_token(house.town.keyring, channel.id)}"
    page = await house.client.get(link)
    assert page.status_code == 200
    assert '<html lang="mn">' in page.text and "Гал, угаарын хийн дохио" in page.text
    assert (await house.client.head(link)).status_code in (200, 405)
    assert (await house.client.post(link, data={})).status_code == 400
    assert (await _channel(house.town)).muted_us is None

    assert (await house.client.post(link, data={"wanted": "less"})).status_code == 303
    assert (await _channel(house.town)).muted_us == house.town.clock.now_us()
    english = await house.client.get(link + "?lang=en")
    assert "You get only fire and carbon monoxide here." in english.text
    assert (await house.client.post(link, data={"wanted": "all"})).status_code == 303
    assert (await _channel(house.town)).muted_us is None


async def test_the_page_speaks_the_persons_language(house: House) -> None:
    contact = await house.town.add_contact("john@example.org", language="en")
    channel = next(c for c in await house.town.all(ContactChannel) if c.contact_id == contact)
    page = await house.client.get(f"/u/{unsubscribe_token(house.town.keyring, channel.id)}")
    assert '<html lang="en">' in page.text


async def test_a_forged_link_or_one_for_another_purpose_opens_nothing(house: House) -> None:
    channel = await _channel(house.town)
    for given in (f"{channel.id}.x", reports.token(house.town.keyring, channel.id), "%00", "я"):
        assert (await house.client.get(f"/u/{given}")).status_code == 410
        assert (await house.client.post(f"/u/{given}", data=ONE_CLICK)).status_code == 410
    assert (await _channel(house.town)).muted_us is None


# ---- reports ---------------------------------------------------------------------------------


async def test_the_sms_gateways_report_is_proof_and_its_failure_climbs(house: House) -> None:
    town = house.town
    sms = await _one(town, "sms", "+97699112233")
    await town.add_contact("next-door", channel="door", role="neighbour", position=5)
    door = ScriptedChannel(name="door")
    worker = town.worker(sms, door)
    await town.alarm()
    await worker.run_until_idle()
    token = sms.sent[0].report_token
    report = f"/report/sms/{token}"
    assert (await house.client.get(report, params={"status": 8})).status_code == 204
    assert house.woken == []
    assert (await house.client.get(report, params={"status": 1})).status_code == 204
    assert [d.state for d in await town.all(Delivery)] == ["delivered"]
    await town.alarm("c1", "co")
    await worker.run_until_idle()
    failing = sms.sent[-1].report_token
    assert (await house.client.get(f"/report/sms/{failing}", params={"status": 2})).status_code == 204
    await worker.run_until_idle()
    assert [message.kind for message in door.sent] == ["co"]
    for wrong in (token[:-1] + "_", "x", "%00.x"):
        answer = await house.client.get(f"/report/sms/{wrong}", params={"status": 1})
        assert answer.status_code == 401
    assert (await house.client.get(report, params={"status": "x"})).status_code == 422


def _signed(body: dict[str, Any], now_us: int, secret: str = SECRET) -> dict[str, Any]:
    content, time_s = json.dumps(body).encode(), now_us // 1_000_000
    headers = {
        "webhook-id": "r1", "webhook-timestamp": str(time_s),
        "webhook-signature": sign(key_of(secret), "r1", time_s, content),
    }  # fmt: skip
    return {"content": content, "headers": headers}


async def test_the_pressed_key_of_a_voice_call_acknowledges(house: House) -> None:
    town = house.town
    voice = await _one(town, "voice", "+97699112233")
    await town.alarm()
    await town.worker(voice).run_until_idle()
    report = {"id": voice.sent[0].delivery_id, "event": "acknowledged"}
    now_us = town.clock.now_us()
    other = "whsec_" + "A" * 32
    forged = _signed(report, now_us, other)
    assert (await house.client.post("/report/voice", **forged)).status_code == 401
    old = _signed(report, now_us - 3_600_000_000)
    assert (await house.client.post("/report/voice", **old)).status_code == 401
    assert (await house.client.post("/report/emongolia", **_signed(report, now_us))).status_code == 401
    assert (await house.client.post("/report/fax", **_signed(report, now_us))).status_code == 422
    assert (await town.incident()).state == "opened"
    assert (await house.client.post("/report/voice", **_signed(report, now_us))).status_code == 204
    assert (await town.incident()).state == "acknowledged"
    assert house.woken


async def test_a_receiver_of_webhooks_answers_with_its_own_secret(house: House) -> None:
    town = house.town
    address = json.dumps({"url": "https://hook.example.org/in", "secret": SECRET})
    hook = await _one(town, "webhook", address)
    await town.alarm()
    await town.worker(hook).run_until_idle()
    report = {"id": hook.sent[0].delivery_id, "event": "acknowledged"}
    now_us = town.clock.now_us()
    wrong = _signed(report, now_us, "whsec_" + "A" * 32)
    assert (await house.client.post("/report/webhook", **wrong)).status_code == 401
    unknown = _signed(report | {"id": "nobody"}, now_us)
    assert (await house.client.post("/report/webhook", **unknown)).status_code == 404
    assert (await house.client.post("/report/webhook", **_signed(report, now_us))).status_code == 204
    assert (await town.incident()).state == "acknowledged"


async def test_messengers_webhook_is_known_by_its_word_and_its_signature(house: House) -> None:
    town = house.town
    messenger = await _one(town, "messenger", "4711")
    await town.alarm()
    await town.worker(messenger).run_until_idle()
    ask = {"hub.mode": "subscribe", "hub.verify_token": WORD, "hub.challenge": "1158201444"}
    challenge = await house.client.get("/messenger", params=ask)
    assert (challenge.status_code, challenge.text) == (200, "1158201444")
    for wrong in (ask | {"hub.verify_token": ""}, ask | {"hub.mode": "x"}):
        assert (await house.client.get("/messenger", params=wrong)).status_code == 403
    event = {"sender": {"id": "4711"}, "message": {"mid": "m", "text": "За"}}
    body = json.dumps({"entry": [{"messaging": [event]}]}).encode()
    good = "sha256=" + hmac.digest(APP_SECRET.encode(), body, hashlib.sha256).hex()
    for signature in ("", "sha256=00", "sha1=" + good[7:]):
        headers = {"X-Hub-Signature-256": signature}
        assert (await house.client.post("/messenger", content=body, headers=headers)).status_code == 401
    assert (await town.incident()).state == "opened"
    headers = {"X-Hub-Signature-256": good}
    assert (await house.client.post("/messenger", content=body, headers=headers)).status_code == 200
    assert (await town.incident()).state == "acknowledged"


async def test_without_secrets_nobody_can_report_and_a_wrong_secret_stops_the_start(
    town: Town, tmp_path: Path
) -> None:
    async with house_of(town, Doors()) as closed:
        ask = {"hub.mode": "subscribe", "hub.verify_token": "", "hub.challenge": "1"}
        assert (await closed.client.get("/messenger", params=ask)).status_code == 403
        signature = "sha256=" + hmac.digest(b"x", b"{}", hashlib.sha256).hex()
        headers = {"X-Hub-Signature-256": signature}
        refused = await closed.client.post("/messenger", content=b"{}", headers=headers)
        assert refused.status_code == 401
    secret = tmp_path / "secret"
    secret.write_text("nonsense")
    settings = AlertSettings(voice={"url": "http://x", "report_secret_file": str(secret)})  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"voice\.report_secret_file"):
        open_doors(settings, {})


# ---- dispatch --------------------------------------------------------------------------------


async def test_dispatch_follows_the_feed_from_the_alert_to_its_end(
    house: House, shared_data: Path
) -> None:
    town = house.town
    schema = xmlschema.XMLSchema(str(shared_data / "cap-fixtures" / "cap12.xsd"))
    await town.alarm()
    worker = town.worker(ScriptedChannel())
    for _ in range(4):
        town.clock.advance(timedelta(seconds=61))
        await worker.run_until_idle()
    now_us = town.clock.now_us()
    await town.alarm(revision=2, transition="clear", cleared_us=now_us)
    assert (await house.client.get("/cap")).status_code == 401
    async with await house.machine("registrar") as clerk:
        assert (await clerk.get("/cap")).status_code == 403
    async with await house.machine("dispatch") as dispatch:
        assert (await dispatch.get("/api/v1/households")).status_code == 403
        feed = await dispatch.get("/cap")
        assert feed.headers["content-type"] == "application/atom+xml"
        assert ADDRESS not in feed.text
        entries = _entries(feed.text)
        assert [title.split(":")[0] for title, _ in entries] == ["Update", "Alert"]
        alerts = []
        for _, link in entries:
            answer = await dispatch.get(link)
            assert answer.headers["content-type"] == "application/cap+xml"
            schema.validate(answer.text)
            alerts.append(read_cap(answer.content))
        assert (await dispatch.get("/cap/none")).status_code == 404
    update_, alert = alerts
    assert (alert.msg_type, update_.msg_type) == ("Alert", "Update")
    assert update_.references == (alert.reference,)
    assert alert.infos[0].areas[0].description == ADDRESS
    opened = [e for e in await town.all(AuditEntry) if e.action == "cap.open"]
    assert len(opened) == 2 and opened[0].object_id == (await town.incident()).id
    assert (await town.all(Incident))[0].state == "all_clear"


@pytest.mark.parametrize(("cause", "last"), [("fault", "Cancel"), ("cooking", "Update")])
async def test_dispatch_is_told_that_what_it_heard_was_a_mistake(
    house: House, shared_data: Path, cause: str, last: str
) -> None:
    town = house.town
    schema = xmlschema.XMLSchema(str(shared_data / "cap-fixtures" / "cap12.xsd"))
    await town.alarm()
    worker = town.worker(ScriptedChannel())
    for _ in range(4):
        town.clock.advance(timedelta(seconds=61))
        await worker.run_until_idle()
    await town.alarm(revision=2, transition="clear", cleared_us=town.clock.now_us())
    town.clock.advance(timedelta(minutes=5))
    incident = await town.incident()
    async with await house.machine("duty") as desk:
        path = f"/api/v1/incidents/{incident.id}"
        answer = await desk.post(f"{path}/resolve", json={"cause": cause})
        assert answer.status_code == 200, answer.text
    async with await house.machine("dispatch") as dispatch:
        entries = _entries((await dispatch.get("/cap")).text)
        assert [title.split(":")[0] for title, _ in entries] == [last, "Update", "Alert"]
        answers = [await dispatch.get(link) for _, link in reversed(entries)]
    for answer in answers:
        schema.validate(answer.text)
    first, second, third = (read_cap(answer.content) for answer in answers)
    assert [one.msg_type for one in (first, second, third)] == ["Alert", "Update", last]
    assert (first.references, second.references) == ((), (first.reference,))
    assert third.references == (first.reference, second.reference)
    assert len({one.identifier for one in (first, second, third)}) == 3
    assert first.sent_us < second.sent_us < third.sent_us
    assert {one.urgency for one in third.infos} == {"Past"}


def _tree(content: bytes) -> Any:
    from xml.etree.ElementTree import fromstring

    return fromstring(content)


def _entries(feed: str) -> list[tuple[str, str]]:
    atom = "{http://www.w3.org/2005/Atom}"
    found = _tree(feed.encode()).findall(f"{atom}entry")
    return [
        (entry.findtext(f"{atom}title") or "", entry.find(f"{atom}link").get("href")) for entry in found
    ]
