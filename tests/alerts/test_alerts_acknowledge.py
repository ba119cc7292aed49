"""Signed links: whoever got the message can say "I have it", and nobody else can."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.acknowledge import LINK_LIFE_S, TokenError, acknowledge_by_token, issue, verify
from alerts.models import Delivery, Notification
from edge.wire.clock import US_PER_S
from registry.sealed import Keyring
from tests.alerts.city import NIGHT_US, ScriptedChannel, Town

KEYS = Keyring({"k001": b"\1" * 32})


def test_a_token_says_what_it_was_issued_for_and_nothing_of_a_person() -> None:
    token = issue(KEYS, "incident", "notification", NIGHT_US)
    claim = verify(KEYS, token, NIGHT_US)
    assert (claim.incident_id, claim.notification_id) == ("incident", "notification")
    assert re.fullmatch(r"[A-Za-z0-9._-]+", token)


@given(position=st.integers(0, 60), letter=st.sampled_from("Aa0-_.~"))
def test_a_token_changed_anywhere_does_not_hold(position: int, letter: str) -> None:
    token = issue(KEYS, "incident", "notification", NIGHT_US)
    place = position % len(token)
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        with pytest.raises(TokenError):
            verify(KEYS, changed, NIGHT_US)


@given(text=st.text(max_size=300))
def test_no_text_a_stranger_sends_is_a_token(text: str) -> None:
    with pytest.raises(TokenError):
        verify(KEYS, text, NIGHT_US)


def test_a_token_ends_and_belongs_to_its_city() -> None:
    token = issue(KEYS, "incident", "notification", NIGHT_US)
    with pytest.raises(TokenError) as caught:
        verify(KEYS, token, NIGHT_US + (LINK_LIFE_S + 1) * US_PER_S)
    assert caught.value.reason == "expired"
    with pytest.raises(TokenError) as caught:
        verify(Keyring({"k001": b"\2" * 32}), token, NIGHT_US)
    assert caught.value.reason == "forged"


async def test_the_link_in_the_message_acknowledges_for_the_one_who_got_it(town: Town) -> None:
    applied = await town.alarm()
    channel = ScriptedChannel()
    await town.worker(channel, public_url="https://utaa.example/").run_until_idle()
    message = channel.sent[0]
    assert message.link.startswith("https://utaa.example/a/")
    assert message.link in message.body
    token = message.link.rpartition("/")[2]
    async with town.database.write() as session:
        result = await acknowledge_by_token(session, town.keyring, token, NIGHT_US + 5)
    assert result == (applied.incident_id, True)
    incident = await town.incident()
    assert incident.state == "acknowledged"
    assert (incident.acknowledged_by or "").startswith("contact ")
    seen = [d for d in await town.all(Delivery) if d.state == "seen"]
    assert [d.id for d in seen] == [message.delivery_id]
    async with town.database.write() as session:
        assert (await acknowledge_by_token(session, town.keyring, token, NIGHT_US + 9))[1] is False
    assert (await town.incident()).acknowledged_us == NIGHT_US + 5


async def test_without_a_public_address_there_is_no_link_and_a_trouble_never_has_one(
    town: Town,
) -> None:
    await town.alarm()
    channel = ScriptedChannel()
    await town.worker(channel).run_until_idle()
    assert {message.link for message in channel.sent} == {""}
    assert len(await town.all(Notification)) == 2
