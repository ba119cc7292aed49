"""Every channel against every way a provider behaves: the right next step, at the right time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog
from sqlalchemy import update

from alerts.channels.base import Channel
from alerts.channels.contract import ContractChannel
from alerts.channels.email import EmailChannel
from alerts.channels.messenger import MessengerChannel
from alerts.channels.sms import SmsChannel
from alerts.channels.vapid import ensure_vapid
from alerts.channels.webhook import AppriseChannel, WebhookChannel
from alerts.channels.webpush import WebPushChannel
from alerts.models import Delivery, IncidentEntry
from alerts.settings import (
    AppriseSettings,
    ContractSettings,
    MessengerSettings,
    SmsSettings,
    SmtpSettings,
    WebhookSettings,
    WebPushSettings,
)
from registry.db import Base
from registry.models import ContactChannel
from tests.alerts.city import ScriptedChannel, Town
from tests.alerts.push_service import PushService
from tests.alerts.simulators import (
    KEY,
    SECRET,
    TOKEN,
    Adapter,
    Apprise,
    Messenger,
    Provider,
    Receiver,
    SmsGateway,
    Smtp,
)

TIMEOUT_S = 0.6
NEIGHBOUR = "neighbour"
CHANNELS = (
    "email", "webpush", "sms", "messenger", "national_email", "emongolia", "voice", "webhook",
    "apprise",
)  # fmt: skip
#: behaviour → (outcome, state of the delivery, who is leaned on before any time has passed)
EXPECTED = {
    "accepts": ("accepted", "accepted", False),
    "slow": ("accepted", "accepted", False),
    "refuses": ("refused", "refused", True),
    "throttles": ("retry", "queued", True),
    "times_out": ("unknown", "unknown", True),
    "dies": ("unknown", "unknown", True),
    "never_delivers": ("accepted", "accepted", False),
}


class Case(NamedTuple):
    channel: Channel
    provider: Any
    address: str


class _Push(PushService):
    """The push service with the same words for its behaviour."""

    mode = "accepts"

    @property
    def taken(self) -> list[dict[str, str]]:
        return self.headers

    def behave(self, mode: str) -> None:
        self.mode, self.die = mode, mode == "dies"
        self.delay_s = {"slow": 0.3, "times_out": 30.0}.get(mode, 0.0)
        self.status = {"refuses": 410, "throttles": 429}.get(mode)
        self.retry_after = "7" if mode == "throttles" else None


def _case(name: str, town: Town, tmp_path: Path) -> tuple[Any, Any]:
    """The provider (not started) and, once it runs, its channel with an address."""
    fast: dict[str, Any] = {"timeout_s": TIMEOUT_S}
    provider: Any
    if name == "webpush":
        provider = _Push()
    elif name == "email":
        provider = Smtp()
    elif name == "sms":
        provider = SmsGateway()
    elif name == "messenger":
        provider = Messenger()
        provider.window_open["4711000815"] = False
    elif name == "webhook":
        provider = Receiver(town.clock.now_us)
    elif name == "apprise":
        provider = Apprise()
    else:
        provider = Adapter(name)

    def open_() -> Case:
        url = provider.origin
        if name == "webpush":
            vapid = ensure_vapid(tmp_path / "vapid.pem", "mailto:utaa@example.mn")
            push = WebPushChannel(WebPushSettings(allow_private=True, **fast), vapid)
            return Case(push, provider, provider.subscribe().subscription)
        if name == "email":
            port = int(url.rpartition(":")[2])
            mail = EmailChannel(SmtpSettings(port=port, security="none", **fast))
            return Case(mail, provider, "home@example.mn")
        if name == "sms":
            return Case(SmsChannel(SmsSettings(url=url, **fast), password=KEY), provider, "99112233")
        if name == "messenger":
            settings = MessengerSettings(url=url, templates={"fire": "utaa_fire"}, **fast)
            return Case(MessengerChannel(settings, token=TOKEN), provider, "4711000815")
        if name == "webhook":
            hook = WebhookChannel(WebhookSettings(allow_private=True, **fast))
            return Case(hook, provider, json.dumps({"url": url + "/in", "secret": SECRET}))
        if name == "apprise":
            return Case(AppriseChannel(AppriseSettings(url=url, **fast)), provider, "slack://a/b/c")
        address = "99112233" if name == "voice" else "resident-0815"
        contract = ContractChannel(name, ContractSettings(url=url, **fast), key=KEY)
        return Case(contract, provider, address)

    return provider, open_


@pytest.fixture(params=CHANNELS)
async def case(request: pytest.FixtureRequest, town: Town, tmp_path: Path) -> AsyncIterator[Case]:
    provider, open_ = _case(request.param, town, tmp_path)
    await provider.start()
    found = open_()
    yield found
    await found.channel.close()
    await provider.stop()


async def _only(town: Town, case: Case) -> None:
    """The home can be reached on this channel alone; next door there is somebody."""
    async with town.database.write() as session:
        await session.execute(update(ContactChannel).values(dead_us=1))
    await town.add_contact(case.address, channel=case.channel.name, position=1)
    await town.add_contact("next-door", channel=NEIGHBOUR, role="neighbour", position=5)


@pytest.mark.parametrize("behaviour", EXPECTED)
async def test_the_right_next_step_follows_and_nothing_is_doubled(
    town: Town, case: Case, behaviour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mode = "accepts" if behaviour == "never_delivers" else behaviour
    if isinstance(case.provider, Provider):
        case.provider.mode = mode
    else:
        case.provider.behave(mode)
    await _only(town, case)
    next_door = ScriptedChannel(name=NEIGHBOUR)
    worker = town.worker(case.channel, next_door, public_url="https://utaa.example")
    with structlog.testing.capture_logs() as logs:
        await town.alarm()
        await worker.run_until_idle()  # the clock stands still: no rung is climbed by time
    outcome, state, leaned = EXPECTED[behaviour]
    assert {(o, s) for o, s in await _first(town, case)} == {(outcome, state)}
    assert bool(next_door.sent) == leaned
    # a second request is the second rung's, for whom the first one did not reach
    assert case.provider.requests <= (1 if outcome in ("accepted", "retry") else 2)
    if isinstance(case.provider, Provider):
        assert case.provider.broken_rules == []
    if outcome == "accepted":
        assert len(case.provider.taken) == 1
    if behaviour == "throttles" and case.channel.name != "email":
        tried = [d for d in await town.all(Delivery) if d.attempts and d.state == "queued"]
        assert [d.due_us - town.clock.now_us() >= 7e6 for d in tried] == [True]
    await _nothing_leaks(town, case, repr(logs) + repr(worker.outcomes) + str(capsys.readouterr()))

    town.clock.advance(timedelta(seconds=61))
    await worker.run_until_idle()
    assert len(next_door.sent) == 1, "told by failure or after a minute, and once"


async def _first(town: Town, case: Case) -> list[tuple[str | None, str]]:
    """Outcome and state of the first rung's delivery on the channel."""
    from sqlalchemy import select

    from alerts.models import Attempt, Notification

    async with town.database.read() as session:
        rows = await session.execute(
            select(Attempt.outcome, Delivery.state)
            .join(Delivery, Attempt.delivery_id == Delivery.id)
            .join(Notification, Delivery.notification_id == Notification.id)
            .where(Notification.rung == 0, Delivery.channel == case.channel.name)
        )
        return [(row[0], row[1]) for row in rows]


async def _nothing_leaks(town: Town, case: Case, written: str) -> None:
    rows = [written]
    async with town.database.read() as session:
        for table in Base.metadata.sorted_tables:
            rows += [repr(row) for row in await session.execute(table.select())]
    everything = "\n".join(rows)
    endpoint = case.address
    if case.channel.name == "webpush":
        endpoint = json.loads(case.address)["endpoint"]
    for secret in (endpoint, KEY, TOKEN, SECRET, "next-door"):
        assert secret not in everything


async def test_messenger_sends_a_text_only_while_the_window_is_open(town: Town) -> None:
    provider = Messenger()
    provider.window_open = {"1": True, "2": False, "3": False}
    await provider.start()
    settings = MessengerSettings(url=provider.origin, templates={"fire": "utaa_fire"})
    async with town.database.write() as session:
        await session.execute(update(ContactChannel).values(dead_us=1))
    for person, heard_h in (("1", 1), ("2", 25), ("3", None)):
        await town.add_contact(person, channel="messenger", position=int(person))
        heard_us = None if heard_h is None else town.clock.now_us() - heard_h * 3_600_000_000
        async with town.database.write() as session:
            await session.execute(
                update(ContactChannel)
                .where(ContactChannel.contact_id == town.contacts[-1])
                .values(heard_us=heard_us)
            )
    await town.alarm()
    await town.worker(MessengerChannel(settings, token=TOKEN)).run_until_idle()
    kinds = {fields["recipient"]["id"]: fields["messaging_type"] for fields in provider.taken}
    assert kinds == {"1": "RESPONSE", "2": "UTILITY", "3": "UTILITY"}
    assert provider.broken_rules == []
    await provider.stop()


async def test_messenger_error_100_goes_to_the_next_rung_at_once(town: Town) -> None:
    provider = Messenger()
    provider.window_open["4711"] = False
    provider.approved.clear()
    await provider.start()
    settings = MessengerSettings(url=provider.origin, templates={"fire": "utaa_fire"})
    channel = MessengerChannel(settings, token=TOKEN)
    await _only(town, Case(channel, provider, "4711"))
    next_door = ScriptedChannel(name=NEIGHBOUR)
    await town.alarm()
    await town.worker(channel, next_door).run_until_idle()
    assert provider.broken_rules[0] == "error 100"
    assert len(next_door.sent) == 1
    planned = [e.detail["reason"] for e in await town.all(IncidentEntry) if e.what == "planned"]
    assert planned == ["at_once", "nobody_reached"]
    await provider.stop()
