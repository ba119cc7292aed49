"""Bad input from end to end: counted, kept as samples, and nobody else's harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.spool import inspect
from edge.wire.frames import encode_frame, frame_from_readings
from edge.wire.identity import detector_id, new_id
from edge.wire.readings import Reading
from edge.wire.topics import detector_topic, site_topic
from tests.e2e.house import SITE, House, house
from tests.servers import SmtpServer, until
from utaa.doctor import examine

READING = detector_topic("smoke-1", "reading")
pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


@pytest.fixture
async def home(tmp_path: Path, smtp: SmtpServer) -> AsyncIterator[House]:
    async with house(tmp_path, smtp) as running:
        yield running


#: What a broken or hostile device may send, and the reason it is counted under.
BAD_PAYLOADS: list[tuple[str, bytes, str]] = [
    (READING, b'{"co_ppm": 1', "truncated"),
    (READING, b"\xff\xfe\x00garbage", "not_json"),
    (READING, b'{"co_ppm": "' + b"9" * 5_000_000 + b'"}', "too_large"),
    (READING, b'{"co_ppm": [1, 2]}', "wrong_type"),
    (READING, b'{"smoke_alarm": "maybe"}', "wrong_type"),
    (READING, b'{"co_ppm": NaN}', "not_json"),
    (READING, b'{"co_ppm": 1e999}', "not_finite"),
    (READING, b'{"temperature_c": -3000}', "out_of_range"),
    (READING, b"", "empty"),
    ("utaa/v1/detector/smoke-1/raeding", b'{"co_ppm": 1}', "unknown_topic"),
]
#: Times no device can have: the reading is used with the time of its arrival, and counted.
BAD_TIMES = {"1970-01-01T00:00:05Z": "time_too_old", "2100-01-01T00:00:00Z": "time_in_future"}


async def test_bad_payloads_are_counted_by_reason_and_shown_while_neighbours_are_unharmed(
    home: House,
) -> None:
    for topic, payload, _reason in BAD_PAYLOADS:
        await home.publish(topic, payload)
    for text in BAD_TIMES:
        await home.publish(READING, json.dumps({"time": text, "co_ppm": 3.0}))
    await home.publish(detector_topic("co-1", "reading"), json.dumps({"co_ppm": 7.25}))

    async def counted() -> bool:
        metrics = await home.metrics()
        wanted = {reason for _, _, reason in BAD_PAYLOADS}
        refused = {r for r in wanted if metrics.get(_edge_sample("refused", r), 0) >= 1}
        repaired = {r for r in BAD_TIMES.values() if metrics.get(_edge_sample("repaired", r), 0) >= 1}
        return refused == wanted and repaired == set(BAD_TIMES.values())

    await until(counted, "every reason in /metrics")
    neighbour = detector_id(SITE, "native", "co-1")

    async def arrived() -> bool:
        page = await home.api.get(f"/detectors/{neighbour}/readings")
        return [row["values"] for row in page["items"]] == [{"co_ppm": 7.25}]

    await until(arrived, "the neighbour's reading stored")
    mine = await home.api.get(f"/detectors/{detector_id(SITE, 'native', 'smoke-1')}/readings")
    assert len(mine["items"]) == len(BAD_TIMES)
    report = await examine(None, home.box.gateway_data, [home.box.edge_data(SITE)])
    samples = report["edges"][str(home.box.edge_data(SITE))]["bad_samples"]
    assert {sample["reason"] for sample in samples} >= {r for _, _, r in BAD_PAYLOADS}
    assert all(len(sample["head"]) <= 1000 for sample in samples)


def _edge_sample(what: str, reason: str) -> str:
    return f'utaa_edge_{what}{{reason="{reason}",site="{SITE}"}}'


async def test_the_city_sets_aside_what_it_cannot_use_and_says_why(home: House) -> None:
    reading = Reading(detector=detector_id(SITE, "native", "co-1"), time_us=1_760_000_000_000_000)
    good = encode_frame(frame_from_readings(SITE, new_id(), 1, [reading]))
    other_version = good[:2] + bytes([99]) + good[3:]
    await home.publish_to_city(site_topic(SITE, "frame"), other_version)
    await home.publish_to_city(site_topic(SITE, "frame"), good[: len(good) // 2])
    await home.publish_to_city(site_topic("another-site", "frame"), good)
    await home.publish_to_city(site_topic(SITE, "event"), b'{"site": 5}')
    await home.publish_to_city(site_topic(SITE, "frame"), good)
    wanted = {"unknown_version", "truncated", "site_mismatch"}

    async def counted() -> bool:
        metrics = await home.metrics()
        return all(metrics.get(f'utaa_ingest_refused_total{{reason="{r}"}}', 0) >= 1 for r in wanted)

    await until(counted, f"{wanted} in /metrics")
    report = await examine(None, home.box.gateway_data, [])
    aside = {group["reason"]: group for group in report["city"]["set_aside"]}
    assert wanted <= set(aside)
    assert all(group["meaning"] and group["last"][0]["topic"] for group in aside.values())

    await home.publish(detector_topic("co-1", "reading"), b'{"co_ppm": 1}')

    async def both_stored() -> bool:
        span = {"from": "2025-01-01T00:00:00Z"}
        page = await home.api.get(f"/detectors/{reading.detector}/readings", **span)
        return len(page["items"]) == 2

    await until(both_stored, "the good frame stored beside the bad ones, and the next one too")


async def test_an_unregistered_detector_is_listed_and_its_alarm_is_an_incident_of_its_site(
    home: House,
) -> None:
    await home.publish(
        detector_topic("nobody-knows-me", "reading"),
        json.dumps({"smoke_alarm": True, "maker": "Acme", "model": "S-1"}),
    )

    async def listed() -> bool:
        found = (await home.detectors()).get("nobody-knows-me")
        return found is not None and (found["status"], found["maker"]) == ("unregistered", "Acme")

    await until(listed, "the detector listed")
    incidents = await until(home.incidents, "an incident")
    assert [(i["subject_kind"], i["subject_id"], i["hazard"]) for i in incidents] == [
        ("site", SITE, "fire")
    ]


async def test_a_retained_alarm_met_on_reconnect_raises_nothing_new(home: House) -> None:
    await home.publish(READING, json.dumps({"smoke_alarm": True}), retain=True)
    await until(home.incidents, "the alarm, while it is news")
    await home.publish(READING, json.dumps({"smoke_alarm": False}))

    async def over() -> bool:
        return [incident["state"] for incident in await home.incidents()] == ["all_clear"]

    await until(over, "the alarm over")
    await home.box.stop_room(f"edge-{SITE}")
    await home.start_edge()
    # Messages of one broker come in order: once this one is stored, the retained one was met.
    await home.publish(detector_topic("co-1", "reading"), json.dumps({"co_ppm": 2.0}))

    async def later_one_stored() -> bool:
        page = await home.api.get(f"/detectors/{detector_id(SITE, 'native', 'co-1')}/readings")
        return bool(page["items"])

    await until(later_one_stored, "the later reading stored")
    assert await over()
    assert inspect(home.box.edge_data(SITE))["active_alarms"] == []
    page = await home.api.get(f"/detectors/{detector_id(SITE, 'native', 'smoke-1')}/readings")
    assert len(page["items"]) == 2


async def test_an_alarm_is_told_once_by_mail_within_seconds(home: House) -> None:
    for _ in range(3):
        await home.publish(READING, json.dumps({"smoke_alarm": True, "optical_density_db_m": 1.5}))
    mails = await home.smtp.wait_for(1)
    assert mails[0].recipients == ["kontakt@example.org"]
    assert "101" in mails[0].text
    assert "Жишээ гудамж 1" in mails[0].text
    await asyncio.gather(*(home.publish(READING, json.dumps({"smoke_alarm": True})) for _ in range(5)))

    async def all_stored() -> bool:
        page = await home.api.get(f"/detectors/{detector_id(SITE, 'native', 'smoke-1')}/readings")
        return len(page["items"]) == 8

    await until(all_stored, "all eight readings stored")
    first = [mail for mail in home.smtp.mails if mail.message["X-Utaa-Rung"] == "0"]
    assert len(first) == 1
