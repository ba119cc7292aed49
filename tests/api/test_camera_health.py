"""Camera health in the city: facts by the newest word, evidence bounded and sealed, doors by right."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fastapi import FastAPI

from edge.wire.errors import WireError
from edge.wire.messages import Alarm, CameraFact, Event
from gateway.cameras import hearing
from gateway.cameras.models import CameraEvidence, CameraHealth
from registry.models import Site

JPEG = b"\xff\xd8\xff" + b"street" * 20
CAMERA = "dcamera"


def _event(seq: int, at_us: int, **more: Any) -> Event:
    values: dict[str, Any] = {"summary": "ok", "reachable": True, "address": "rtsp://10.0.0.5:554/a"}
    fact = CameraFact(camera=CAMERA, **{**values, **more})
    return Event(site="s1", epoch="e", seq=seq, at_us=at_us, transition="update", camera=fact)


@pytest.fixture
async def city(app: FastAPI) -> Any:
    found = app.state.city
    async with found.database.write() as session:
        session.add(Site(id="s1", unit_code="111651", created_us=0))
    return found


async def _hear(city: Any, *events: Event) -> list[bool]:
    results = []
    for event in events:
        async with city.database.write() as session:
            results.append(await hearing.apply_camera(session, city.keyring, event))
    return results


async def test_the_newest_word_counts_and_a_repeat_changes_nothing(city: Any, door: Any) -> None:
    first, later = _event(1, 100), _event(2, 200, summary="faulty", reachable=False, reason="refused")
    assert await _hear(city, later, first, later) == [True, False, False]
    async with await door.machine(["technician"]) as client:
        row = (await client.get("https://city.test/api/v1/camera-health")).json()["items"][0]
    assert (row["camera_id"], row["summary"], row["facts"]["reachable"]) == (CAMERA, "faulty", False)


async def test_evidence_is_bounded_sealed_and_opened_by_right_alone(city: Any, door: Any) -> None:
    await _hear(city, *(_event(n, n, picture=JPEG, reference=JPEG) for n in range(1, 20)))
    async with city.database.read() as session:
        rows = list(await session.scalars(CameraEvidence.__table__.select().with_only_columns(
            CameraEvidence.picture)))  # fmt: skip
    assert len(rows) == hearing.KEEP_EVIDENCE
    assert all(b"street" not in bytes(getattr(row, "blob", row)) for row in rows)
    url = f"https://city.test/api/v1/camera-health/{CAMERA}/evidence"
    async with await door.machine(["technician"]) as client:
        newest = (await client.get(url)).json()[0]
        picture = await client.get(f"{url}/{newest['id']}/picture")
    assert (picture.content, picture.headers["content-type"]) == (JPEG, "image/jpeg")
    assert "no-store" in picture.headers["cache-control"]
    async with await door.machine(["auditor"]) as client:
        assert (await client.get(f"{url}/{newest['id']}/picture")).status_code == 403
        assert (await client.get(f"https://city.test/api/v1/camera-health/{CAMERA}")).status_code == 200


async def test_what_is_no_picture_is_left_out_and_too_large_a_one_is_refused(city: Any) -> None:
    await _hear(city, _event(1, 1, picture=b"<script>"))
    async with city.database.read() as session:
        health = await session.get(CameraHealth, CAMERA)
        assert health is not None and health.summary == "ok"
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(_event(1, 1, picture=b"x" * 12_001)), type=Event)


async def test_another_sites_camera_is_not_touched(city: Any) -> None:
    await _hear(city, _event(1, 1))
    with pytest.raises(WireError, match="site_mismatch"):
        await _hear(city, msgspec.structs.replace(_event(2, 2), site="s2"))


async def test_one_alarm_of_many_says_it_of_each_and_takes_it_back(city: Any) -> None:
    await _hear(city, _event(1, 100))
    lost = Alarm(id="a", kind="camera_offline", detector="dnetwork", raised_us=200, revision=1,
                 reason="2 of 2", members=[CAMERA, "dother"])  # fmt: skip
    for alarm, at_us, reachable in (
        (lost, 200, False),
        (msgspec.structs.replace(lost, cleared_us=300, revision=2), 300, True),
    ):
        async with city.database.write() as session:
            await hearing.apply_loss(session, "s1", alarm, at_us)
        async with city.database.read() as session:
            health = await session.get(CameraHealth, CAMERA)
            assert health is not None
            assert (health.reachable, health.reachable_since_us) == (reachable, at_us)
