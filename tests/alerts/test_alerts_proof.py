"""Proof after the acceptance: delivery reports of a real Kannel, signed reports, bounces."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import update

from alerts import bounces, reports
from alerts.channels.base import Outcome
from alerts.channels.sms import SmsChannel
from alerts.channels.webhook import SignatureError, key_of, sign
from alerts.doors import Doors
from alerts.models import Delivery
from alerts.settings import SmsSettings
from edge.wire.clock import US_PER_S
from registry.models import ContactChannel
from tests.alerts.city import MAILS, ScriptedChannel, Town
from tests.alerts.doors import house_of, served
from tests.alerts.kannel import PASSWORD, USER, Kannel, kannel
from tests.alerts.simulators import SECRET
from tests.servers import until

__all__ = ["kannel"]


async def _alone(town: Town, channel: str, address: str) -> None:
    async with town.database.write() as session:
        await session.execute(update(ContactChannel).values(dead_us=1))
    await town.add_contact(address, channel=channel, position=1)


async def _delivery(town: Town, channel: str = "") -> Delivery:
    found = [d for d in await town.all(Delivery) if channel in ("", d.channel)]
    return found[0]


@pytest.mark.servers
@pytest.mark.timeout(90)
async def test_a_real_kannel_takes_a_fire_in_cyrillic_and_reports_its_delivery(
    town: Town, kannel: Kannel
) -> None:
    async with house_of(town, Doors()) as house, served(house.app) as city:
        report_url = f"{city}/report/sms"  # as an operator writes it
        settings = SmsSettings(url=kannel.url, user=USER, sender="101", report_url=report_url)
        channel = SmsChannel(settings, password=PASSWORD)
        await _alone(town, "sms", "99112233")
        await town.alarm()
        await town.worker(channel).run_until_idle()

        async def reported() -> bool:
            return (await _delivery(town, "sms")).state == "delivered"

        await until(reported, "Kannel's delivery report", 30)
        await channel.close()
    delivery = await _delivery(town, "sms")
    assert delivery.accepted_us is not None
    assert delivery.delivered_us is not None
    assert "reported_delivered" in await town.story()
    assert "97699112233" in kannel.received


@pytest.mark.servers
async def test_a_real_kannel_refuses_a_wrong_password_and_that_is_said(kannel: Kannel) -> None:
    from tests.alerts.test_alerts_email import message

    channel = SmsChannel(SmsSettings(url=kannel.url, user=USER), password="wr0ng")
    outcome = await channel.send(message("99112233", channel="sms", short="x"))
    await channel.close()
    assert (outcome.kind, outcome.reason) == ("retry", "auth_refused")
    assert "wr0ng" not in repr(outcome)


async def _accepted(town: Town, channel: str = "voice", address: str = "99112233") -> Delivery:
    await _alone(town, channel, address)
    await town.alarm()
    await town.worker(ScriptedChannel(name=channel)).run_until_idle()
    return await _delivery(town, channel)


async def test_a_forged_or_foreign_report_changes_nothing(town: Town) -> None:
    delivery = await _accepted(town, "sms")
    good = reports.token(town.keyring, delivery.id)
    for forged in (good[:-2] + "xx", "x", "", delivery.id, "ж" * 10, good * 3):
        async with town.database.write() as session:
            with pytest.raises(reports.ReportError):
                await reports.take_sms(session, town.keyring, forged, 1, town.clock.now_us())
    assert (await _delivery(town, "sms")).state == "accepted"


async def test_a_report_of_failure_climbs_at_once_and_only_once(town: Town) -> None:
    delivery = await _accepted(town, "sms")
    await town.add_contact("n", channel="email", role="neighbour")
    given = reports.token(town.keyring, delivery.id)
    for expected in (True, False):
        async with town.database.write() as session:
            now_us = town.clock.now_us()
            assert await reports.take_sms(session, town.keyring, given, 2, now_us) is expected
    channel = ScriptedChannel()
    await town.worker(channel, ScriptedChannel(name="sms")).run_until_idle()
    assert [message.rung for message in channel.sent] == [1]
    assert (await _delivery(town, "sms")).reason in ("undelivered", "accepted")


def _signed(town: Town, delivery_id: str, event: str) -> tuple[dict[str, str], bytes]:
    body = json.dumps({"id": delivery_id, "event": event}).encode()
    time_s = town.clock.now_us() // US_PER_S
    headers = {
        "webhook-id": "r1", "webhook-timestamp": str(time_s),
        "webhook-signature": sign(key_of(SECRET), "r1", time_s, body),
    }  # fmt: skip
    return headers, body


async def test_a_key_pressed_in_a_call_acknowledges(town: Town) -> None:
    delivery = await _accepted(town)
    headers, body = _signed(town, delivery.id, "acknowledged")
    async with town.database.write() as session:
        await reports.take_signed(session, key_of(SECRET), "voice", headers, body, town.clock.now_us())
    incident = await town.incident()
    assert (incident.state, incident.acknowledged_by) == ("acknowledged", "contact 1")
    assert (await _delivery(town, "voice")).state == "seen"


async def test_an_old_or_altered_report_is_not_believed(town: Town) -> None:
    delivery = await _accepted(town)
    headers, body = _signed(town, delivery.id, "delivered")
    now_us = town.clock.now_us()
    wrong = [
        (headers, body + b" ", now_us, "forged"),
        (headers, body, now_us + 600 * US_PER_S, "too_old"),
        ({}, body, now_us, "missing"),
    ]
    for given, content, at_us, reason in wrong:
        async with town.database.write() as session:
            with pytest.raises(SignatureError, match=reason):
                await reports.take_signed(session, key_of(SECRET), "voice", given, content, at_us)
    async with town.database.write() as session:  # another adapter's delivery
        with pytest.raises(reports.ReportError, match="unknown_delivery"):
            await reports.take_signed(session, key_of(SECRET), "emongolia", headers, body, now_us)


def bounce(delivery_id: str, action: str = "failed", status: str = "5.1.1") -> bytes:
    return f"""From: MAILER-DAEMON@mail.example.mn
To: utaa@example.mn
Subject: Undelivered Mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It came back.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.mn

Final-Recipient: rfc822; {MAILS[0]}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 no such user {MAILS[0]}

--b
Content-Type: text/rfc822-headers

From: utaa@example.mn
Message-ID: <{delivery_id}@example.mn>

--b--
""".replace("\n", "\r\n").encode()


async def test_a_bounce_marks_the_address_and_climbs_the_ladder(town: Town) -> None:
    await town.alarm()
    channel = ScriptedChannel()
    worker = town.worker(channel)
    await worker.run_until_idle()
    first = channel.sent[0].delivery_id
    async with town.database.write() as session:
        assert await bounces.take_in(session, bounce(first), town.clock.now_us())
        assert not await bounces.take_in(session, bounce(first), town.clock.now_us())
    dead = [c.dead_reason for c in await town.all(ContactChannel) if c.dead_us is not None]
    assert dead == ["bounced"]
    assert await town.states() == ["accepted", "refused"]
    story = "\n".join(repr(e.detail) for e in await town.all(_entries()))
    assert MAILS[0] not in story
    assert "failed 5.1.1" in story


def _entries() -> type:
    from alerts.models import IncidentEntry

    return IncidentEntry


@pytest.mark.parametrize(
    "mail",
    [
        b"", b"\xff\x00", b"Subject: hello\r\n\r\nhello", bounce("nobody"), bounce("a b"),
        bounce("x").replace(b"multipart/report", b"multipart/mixed"), b"x" * 2_000_000,
        bounce("x", status="banana"), bounce("x")[:400],
    ],
)  # fmt: skip
async def test_what_is_no_bounce_of_ours_changes_nothing(town: Town, mail: bytes) -> None:
    await town.alarm()
    await town.worker(ScriptedChannel()).run_until_idle()
    async with town.database.write() as session:
        assert not await bounces.take_in(session, mail, town.clock.now_us())
    assert await town.states() == ["accepted", "accepted"]


async def test_a_delay_is_no_failure_and_a_delivery_is_a_proof(town: Town) -> None:
    await town.alarm()
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    first = channel.sent[0].delivery_id
    async with town.database.write() as session:
        late = bounce(first, "delayed", "4.4.1")
        assert not await bounces.take_in(session, late, town.clock.now_us())
        good = bounce(first, "delivered", "2.0.0")
        assert await bounces.take_in(session, good, town.clock.now_us())
    assert await town.states() == ["accepted", "delivered"]


async def test_accepted_but_never_delivered_climbs_by_time(town: Town) -> None:
    await town.add_contact("n", channel="email", role="neighbour")
    await town.alarm()
    channel = ScriptedChannel(Outcome("accepted", "accepted"))
    worker = town.worker(channel)
    await worker.run_until_idle()
    town.clock.advance(timedelta(seconds=60))
    await worker.run_until_idle()
    assert sorted(message.rung for message in channel.sent) == [0, 0, 1, 1, 1]
