"""Wishes: consent and its withdrawal, verification, quiet hours, holidays, answers by messenger."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from alerts import reports, wishes
from alerts.channels.base import Outcome
from alerts.channels.email import build_mime
from alerts.models import Delivery
from alerts.policy import ULAANBAATAR, next_within, outside_quiet_hours
from alerts.settings import SmtpSettings
from alerts.texts import load_catalogues
from edge.wire.clock import US_PER_S, datetime_from_us
from registry.models import ContactChannel
from tests.alerts.city import DAY_US, MAILS, ScriptedChannel, Town

APP_SECRET = "app-s3cret"


async def _channel_of(town: Town, contact: int) -> str:
    async with town.database.read() as session:
        return (
            await session.scalars(
                select(ContactChannel.id).where(ContactChannel.contact_id == town.contacts[contact])
            )
        ).one()


async def test_consent_is_recorded_and_as_easily_withdrawn(town: Town) -> None:
    channel_id = await _channel_of(town, 0)
    async with town.database.write() as session:
        await wishes.give_consent(session, channel_id, "page", town.clock.now_us())
        await wishes.withdraw_consent(session, channel_id, "link", town.clock.now_us() + 1)
    async with town.database.read() as session:
        rows = await wishes.consents_of(session, channel_id)
    assert [(row.given, row.how, row.text_version) for row in rows] == [
        (True, "page", wishes.CONSENT_TEXT_VERSION), (False, "link", wishes.CONSENT_TEXT_VERSION),
    ]  # fmt: skip
    await town.alarm()
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    assert [message.address for message in channel.sent] == [MAILS[1]]
    async with town.database.write() as session:
        await wishes.give_consent(session, channel_id, "office", town.clock.now_us() + 2)
    await town.alarm("a2", "co")
    await town.worker(channel).run_until_idle()
    assert sorted(m.address for m in channel.sent if m.kind == "co") == sorted(MAILS)


async def test_only_mails_that_can_wait_carry_an_unsubscribe_link(town: Town) -> None:
    town.clock.set_wall(DAY_US)
    await town.alarm("t1", "low_battery")
    await town.alarm("f1", "smoke")
    town.clock.advance(timedelta(hours=1))
    channel = ScriptedChannel()
    await town.worker(channel, public_url="https://utaa.example").run_until_idle()
    sender = SmtpSettings(from_address="utaa@example.mn").sender
    mails = {message.kind: build_mime(message, sender) for message in channel.sent}
    assert b"List-Unsubscribe" not in mails["fire"]
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in mails["trouble"]


async def test_a_code_verifies_a_channel_once_and_cannot_be_guessed(town: Town) -> None:
    channel_id = await _channel_of(town, 0)
    now_us = town.clock.now_us()
    async with town.database.write() as session:
        sent = await wishes.new_code(session, town.keyring, load_catalogues(), channel_id, now_us)
    code = "".join(c for c in sent.short if c.isdigit())
    assert (len(code), sent.address) == (6, MAILS[0])
    assert code not in repr(sent)
    assert len(sent.short) <= 70
    wrong = "000000" if code != "000000" else "111111"
    async with town.database.write() as session:
        assert not await wishes.verify_code(session, town.keyring, channel_id, wrong, now_us)
        assert await wishes.verify_code(session, town.keyring, channel_id, f" {code} ", now_us)
        with pytest.raises(wishes.WishError, match="no_code"):
            await wishes.verify_code(session, town.keyring, channel_id, code, now_us)
    async with town.database.write() as session:
        await wishes.new_code(session, town.keyring, load_catalogues(), channel_id, now_us)
        late_us = now_us + 3601 * US_PER_S
        with pytest.raises(wishes.WishError, match="code_expired"):
            await wishes.verify_code(session, town.keyring, channel_id, code, late_us)
        for _ in range(5):
            assert not await wishes.verify_code(session, town.keyring, channel_id, "x", now_us)
        with pytest.raises(wishes.WishError, match="no_code"):
            await wishes.verify_code(session, town.keyring, channel_id, "x", now_us)


async def test_quiet_hours_hold_for_troubles_and_never_for_a_fire(town: Town) -> None:
    async with town.database.write() as session:
        await wishes.set_quiet_hours(session, town.contacts[0], (20, 12))
        with pytest.raises(wishes.WishError, match="wrong_hours"):
            await wishes.set_quiet_hours(session, town.contacts[0], (5, 5))
    await town.alarm("t1", "low_battery")
    await town.alarm("f1", "smoke")
    due = {d.priority: d.due_us for d in await town.all(Delivery)}
    assert due[0] == town.clock.now_us()
    assert datetime_from_us(due[2]).astimezone(ULAANBAATAR).hour == 12


async def test_while_the_first_contact_is_away_troubles_go_to_the_next_and_fires_to_all(
    town: Town,
) -> None:
    town.clock.set_wall(DAY_US)
    async with town.database.write() as session:
        await wishes.set_away(session, town.contacts[0], DAY_US + 7 * 86_400 * US_PER_S)
    await town.alarm("t1", "low_battery")
    await town.alarm("f1", "smoke")
    town.clock.advance(timedelta(hours=1))
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    told = {kind: {m.address for m in channel.sent if m.kind == kind} for kind in ("trouble", "fire")}
    assert told == {"trouble": {MAILS[1]}, "fire": set(MAILS)}


@given(
    quiet=st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda q: q[0] != q[1]),
    moment_s=st.integers(1_600_000_000, 1_900_000_000),
)
def test_a_wished_moment_is_never_earlier_and_inside_the_day_where_the_day_has_room(
    quiet: tuple[int, int], moment_s: int
) -> None:
    hours = (8, 20)
    moment_us = next_within(hours, moment_s * US_PER_S)
    found_us = outside_quiet_hours(quiet, hours, moment_us)
    assert moment_us <= found_us < moment_us + 25 * 3600 * US_PER_S
    hour = datetime_from_us(found_us).astimezone(ULAANBAATAR).hour
    assert hours[0] <= hour < hours[1]


async def _messenger(town: Town) -> str:
    await town.add_contact("4711", channel="messenger", position=3)
    await town.alarm()
    sent = Outcome("accepted", "accepted", provider_id="m_1")
    await town.worker(ScriptedChannel(), ScriptedChannel(sent, name="messenger")).run_until_idle()
    return next(d.id for d in await town.all(Delivery) if d.channel == "messenger")


async def _heard(town: Town, *events: dict[str, Any], secret: str = APP_SECRET) -> int:
    body = json.dumps({"object": "page", "entry": [{"messaging": list(events)}]}).encode()
    signature = "sha256=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex()
    async with town.database.write() as session:
        return await wishes.take_messenger(
            session, town.keyring, APP_SECRET, signature, body, town.clock.now_us()
        )


async def test_messenger_says_delivered_then_seen_and_an_answer_acknowledges(town: Town) -> None:
    delivery_id = await _messenger(town)

    async def state() -> str:
        return next(d.state for d in await town.all(Delivery) if d.id == delivery_id)

    person = {"sender": {"id": "4711"}}
    assert await _heard(town, person | {"delivery": {"mids": ["m_1", "m_9"]}}) == 1
    assert await state() == "delivered"
    assert await _heard(town, person | {"read": {"watermark": 1}}) == 1
    assert await state() == "seen"
    assert (await town.incident()).state == "opened"
    assert await _heard(town, person | {"message": {"text": "За."}}) == 1
    incident = await town.incident()
    assert (incident.state, incident.acknowledged_by) == ("acknowledged", "contact 3")


async def test_an_unsigned_or_strange_messenger_webhook_changes_nothing(town: Town) -> None:
    await _messenger(town)
    person = {"sender": {"id": "4711"}}
    with pytest.raises(wishes.MessengerSignatureError):
        await _heard(town, person | {"message": {"text": "за"}}, secret="another")
    stranger = {"sender": {"id": "1"}, "message": {"text": "за"}}
    echo = person | {"message": {"text": "за", "is_echo": True}}
    assert await _heard(town, stranger, echo, {"sender": {}}) == 0
    assert (await town.incident()).state == "opened"


async def test_who_comes_by_the_pages_link_is_opted_in_with_consent(town: Town) -> None:
    ref = reports.token(town.keyring, town.contacts[0])
    for given_ref, used in (("forged.x", 0), (ref, 1), (ref, 0)):
        event = {"sender": {"id": "815"}, "referral": {"ref": given_ref}}
        assert await _heard(town, event) == used
    found = [c for c in await town.all(ContactChannel) if c.channel == "messenger"]
    assert [(c.contact_id, c.verified_us is not None) for c in found] == [(town.contacts[0], True)]
    async with town.database.read() as session:
        assert [row.how for row in await wishes.consents_of(session, found[0].id)] == ["messenger"]
