"""Web push against a service that checks, decrypts and answers like a real one."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alerts.channels.base import Message
from alerts.channels.vapid import ensure_vapid
from alerts.channels.webpush import WebPushChannel, encrypt, judge, parse_subscription, retry_after_s
from alerts.models import Delivery
from alerts.settings import WebPushSettings
from registry.models import ContactChannel
from tests.alerts.city import ADDRESS, Town
from tests.alerts.push_service import Browser, PushService


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    service = PushService()
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[WebPushChannel]:
    vapid = ensure_vapid(tmp_path / "vapid.pem", "mailto:utaa@example.mn")
    channel = WebPushChannel(WebPushSettings(allow_private=True, timeout_s=1.0), vapid)
    yield channel
    await channel.close()


def message(browser: Browser | str, **fields: object) -> Message:
    address = browser if isinstance(browser, str) else browser.subscription
    given = {
        "delivery_id": "d1", "incident_id": "i1", "channel": "webpush", "address": address,
        "kind": "fire", "language": "mn", "subject": "ГАЛ! Толгойт 12", "body": "…",
        "short": "ГАЛ! Толгойт 12. Бүгд гадаа гар.", "sent_us": 1, "urgent": True, "ttl_s": 3600,
    }  # fmt: skip
    return Message(**(given | fields))  # type: ignore[arg-type]


async def test_a_push_is_decrypted_by_its_browser_and_asks_for_urgency(
    service: PushService, channel: WebPushChannel
) -> None:
    browser = service.subscribe()
    outcome = await channel.send(message(browser))
    assert (outcome.kind, outcome.evidence) == ("accepted", "HTTP 201")
    assert browser.received[0]["title"] == "ГАЛ! Толгойт 12"
    assert browser.received[0]["incident"] == "i1"
    headers = service.headers[0]
    assert headers["urgency"] == "high"
    assert int(headers["ttl"]) > 0
    assert 0 < len(headers["topic"]) <= 32


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (201, "accepted", "accepted"),
        (202, "accepted", "accepted"),
        (301, "retry", "unreadable_answer"),
        (400, "refused", "policy_refused"),
        (403, "refused", "policy_refused"),
        (404, "refused", "address_dead"),
        (410, "refused", "address_dead"),
        (413, "refused", "too_large"),
        (429, "retry", "throttled"),
        (500, "retry", "server_error"),
        (503, "retry", "server_error"),
    ],
)
def test_every_status_has_a_next_step(status: int, kind: str, reason: str) -> None:
    outcome = judge(status, None)
    assert (outcome.kind, outcome.reason) == (kind, reason)


async def test_a_service_that_asks_to_wait_is_heard(
    service: PushService, channel: WebPushChannel
) -> None:
    service.status, service.retry_after = 429, "17"
    outcome = await channel.send(message(service.subscribe()))
    assert (outcome.kind, outcome.retry_after_s) == ("retry", 17.0)


@pytest.mark.parametrize(
    ("header", "expected"), [(None, None), ("soon", None), ("-5", 0.0), ("1e9", 3600.0), ("nan", None)]
)
def test_a_strange_retry_after_does_no_harm(header: str | None, expected: float | None) -> None:
    assert retry_after_s(header) == expected


async def test_an_answer_that_is_lost_is_unknown_and_none_at_all_is_a_retry(
    service: PushService, channel: WebPushChannel
) -> None:
    service.die = True
    assert (await channel.send(message(service.subscribe()))).kind == "unknown"
    service.die, service.delay_s = False, 3.0
    assert (await channel.send(message(service.subscribe()))).kind == "unknown"
    nobody = service.subscribe()
    nobody.endpoint = "http://127.0.0.1:1/push/x"
    outcome = await channel.send(message(nobody))
    assert (outcome.kind, outcome.reason) == ("retry", "connection_failed")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://127.0.0.1/push/x",
        "https://[::1]/push/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.7/x",
        "https://localhost/x",
        "http://push.example.com/x",
        "https://user:password@push.example.com/x",
        "file:///etc/passwd",
    ],
)
async def test_a_subscription_cannot_send_us_into_our_own_network(
    endpoint: str, tmp_path: Path, service: PushService
) -> None:
    browser = service.subscribe()
    browser.endpoint = endpoint
    vapid = ensure_vapid(tmp_path / "vapid.pem", "mailto:utaa@example.mn")
    closed = WebPushChannel(WebPushSettings(timeout_s=1.0), vapid)
    outcome = await closed.send(message(browser))
    await closed.close()
    assert (outcome.kind, outcome.reason) == ("refused", "address_invalid")


async def test_only_listed_hosts_are_reached_where_hosts_are_listed(
    tmp_path: Path, service: PushService
) -> None:
    browser = service.subscribe()
    browser.endpoint = "https://push.example.com/x"
    vapid = ensure_vapid(tmp_path / "vapid.pem", "mailto:utaa@example.mn")
    settings = WebPushSettings(timeout_s=1.0, allowed_hosts=("fcm.googleapis.com",))
    strict = WebPushChannel(settings, vapid)
    assert (await strict.send(message(browser))).reason == "address_invalid"
    await strict.close()


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"endpoint": "https://a.example/x"}', "\x00",
     '{"endpoint": 5, "keys": {}}',
     json.dumps({"endpoint": "https://a.example/x", "keys": {"p256dh": "AAAA", "auth": "AAAA"}}),
     json.dumps({"endpoint": "https://a.example/x", "keys": {"p256dh": "BBBB" * 22, "auth": "%%"}})],
)  # fmt: skip
async def test_what_is_no_subscription_is_refused(channel: WebPushChannel, text: str) -> None:
    with pytest.raises(ValueError):
        parse_subscription(text)
    assert (await channel.send(message(text))).reason == "address_invalid"


async def test_a_key_that_is_no_point_of_the_curve_is_refused(
    channel: WebPushChannel, service: PushService
) -> None:
    import base64

    wrong = base64.urlsafe_b64encode(b"\x04" + b"\x01" * 64).decode()
    auth = base64.urlsafe_b64encode(b"\x01" * 16).decode()
    text = json.dumps({"endpoint": f"{service.origin}/x", "keys": {"p256dh": wrong, "auth": auth}})
    assert (await channel.send(message(text))).reason == "address_invalid"


def test_a_message_too_long_for_one_record_is_never_sent_cut() -> None:
    with pytest.raises(ValueError):
        encrypt(b"x" * 4096, b"\x04" + b"\0" * 64, b"\0" * 16)


def test_the_key_is_made_once_readable_by_its_owner_alone_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "vapid.pem"
    first = ensure_vapid(path, "mailto:a@example.mn").public_key
    assert ensure_vapid(path, "mailto:a@example.mn").public_key == first
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("nonsense")
    with pytest.raises(ValueError, match=r"vapid\.pem"):
        ensure_vapid(path, "mailto:a@example.mn")


async def test_a_dead_subscription_is_marked_and_left_out_from_then_on(
    town: Town, service: PushService, channel: WebPushChannel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    live, gone = service.subscribe(), service.subscribe()
    gone.gone = True
    await town.add_contact(live.subscription, gone.subscription, channel="webpush")
    await town.alarm()
    await town.worker(channel).run_until_idle()
    assert len(live.received) == 1
    assert ADDRESS.split(",")[0] in live.received[0]["title"]
    states = {d.state: d.reason for d in await town.all(Delivery) if d.channel == "webpush"}
    assert states == {"accepted": "accepted", "refused": "address_dead"}
    dead = [row for row in await town.all(ContactChannel) if row.dead_us is not None]
    assert [row.dead_reason for row in dead] == ["address_dead"]
    before = service.requests
    await town.alarm("a2", "co")
    await town.worker(channel).run_until_idle()
    assert service.requests == before + 1
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name != "aiosqlite")
    assert "/push/" not in ours
    assert service.origin not in ours
