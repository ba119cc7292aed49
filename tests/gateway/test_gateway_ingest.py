"""The lanes of the ingest: what is stored, what is refused, what waits; without a broker."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from alerts.models import AlarmRecord, Incident
from edge.wire.clock import US_PER_S
from edge.wire.frames import MAX_FRAME_BYTES, encode_frame, frame_from_readings
from edge.wire.identity import detector_id, new_id
from edge.wire.messages import (
    Alarm,
    DeviceFact,
    Event,
    Heartbeat,
    Snapshot,
    Status,
    Transition,
    encode,
)
from edge.wire.readings import Reading
from gateway.city import City
from gateway.ingest import patience
from gateway.ingest.aside import KEEP_PER_REASON, Refusal, set_aside
from gateway.ingest.events import EventLane
from gateway.ingest.frames import FrameLane
from gateway.ingest.inbox import Received
from gateway.models import LatestReading, SetAside, SiteEpoch, SiteNote, SiteState
from gateway.settings import load_settings
from gateway.stores.base import FrameColumns, StoreUnavailable
from registry.models import AuditEntry, CityFact, Detector
from registry.models import Site as SiteRow
from tests.gateway.conftest import Sent, Site
from tests.made import open_made_city
from tests.servers import until

ALL = {"from_us": 0, "to_us": 2**53}


@pytest.fixture
def frames(city: City, sent: Sent) -> FrameLane:
    return FrameLane(city, sent)


@pytest.fixture
def events(city: City, sent: Sent) -> EventLane:
    return EventLane(city, sent)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(patience, "_LONGEST_PAUSE_S", 0.02)


async def rows_of(city: City, table: Any) -> list[Any]:
    async with city.database.read() as session:
        return list(await session.scalars(select(table)))


def metric(city: City, name: str, **labels: str) -> float:
    return city.metrics.registry.get_sample_value(name, labels) or 0.0


# --- frames ----------------------------------------------------------------------------------------


async def test_a_frame_is_stored_then_acknowledged(
    city: City, frames: FrameLane, sent: Sent, site: Site
) -> None:
    await frames.process([site.frame(site.readings("d1", 100, co_ppm=3.5)) for _ in range(3)])
    assert await city.readings.count("d1", **ALL) >= 100
    assert sent.seqs(site.epoch) == {1, 2, 3}
    assert [ack.seqs for ack in sent.acks] == [[(1, 3)]]
    assert sent.acks[0].store == city.store_id
    assert metric(city, "utaa_ingest_readings_stored_total") == 300


async def test_latest_is_the_newest_whatever_the_order(
    city: City, frames: FrameLane, site: Site
) -> None:
    readings = site.readings("d1", 10)
    newest = msgspec.structs.replace(readings[-1], co_ppm=9.0, flags=1, flags_known=3)
    await frames.process([site.frame([newest, *readings[:5]])])
    await frames.process([site.frame(readings[5:9])])
    await frames.latest.flush()
    (row,) = await rows_of(city, LatestReading)
    assert (row.time_us, row.co_ppm, row.temperature_c) == (newest.time_us, 9.0, None)
    assert (row.flags, row.flags_known, row.site_id) == (1, 3, "site-1")


async def test_a_quantity_that_is_no_longer_stated_is_no_longer_shown(
    city: City, frames: FrameLane, site: Site
) -> None:
    first, second = site.readings("d1", 2)
    await frames.process([site.frame([msgspec.structs.replace(first, co_ppm=80.0)])])
    await frames.process([site.frame([msgspec.structs.replace(second, temperature_c=20.0)])])
    await frames.latest.flush()
    (row,) = await rows_of(city, LatestReading)
    assert (row.co_ppm, row.temperature_c) == (None, 20.0)


def hostile_frames(site: Site, now_us: int) -> dict[str, Received]:
    good = site.frame([Reading(detector="d1", time_us=now_us, co_ppm=1.0)])

    def bad(payload: bytes, topic: str = good.topic) -> Received:
        return Received(topic, payload, False)

    def of(*readings: Reading, name: str = site.name) -> bytes:
        return encode_frame(frame_from_readings(name, site.epoch, 99, list(readings)))

    at = Reading(detector="d1", time_us=now_us)
    replace = msgspec.structs.replace
    return {
        "truncated": bad(good.payload[:-20]),
        "wrong_type": bad(b'{"frame": 1}'),
        "unknown_version": bad(b"UF\x07\x00abc"),
        "too_large": bad(bytes(MAX_FRAME_BYTES + 1)),
        "not_finite": bad(of(replace(at, co_ppm=math.inf))),
        "out_of_range": bad(of(replace(at, humidity_pct=170.0))),
        "out_of_range 1970": bad(of(replace(at, time_us=1_000))),
        "out_of_range 2100": bad(of(replace(at, time_us=4_102_444_800 * US_PER_S))),
        "out_of_range span": bad(of(at, replace(at, time_us=now_us - 40 * 86400 * US_PER_S))),
        "site_mismatch": bad(of(at, name="site-2")),
        "inconsistent": bad(of(replace(at, detector="x" * 65))),
        "inconsistent id": bad(of(replace(at, detector="d\n1"))),
        "unknown_topic": bad(good.payload, "utaa/v1/site/BAD SITE/frame"),
    }


async def test_hostile_frames_are_refused_by_reason_and_their_neighbours_are_stored(
    city: City, frames: FrameLane, sent: Sent, site: Site
) -> None:
    before = site.frame(site.readings("d1", 10))
    bad = hostile_frames(site, city.clock.now_us())
    after = site.frame(site.readings("d2", 10))
    await frames.process([before, *bad.values(), after])
    assert sent.seqs(site.epoch) == {1, 3}
    assert await city.readings.count("d1", **ALL) == 10
    assert await city.readings.count("d2", **ALL) == 10
    kept = await rows_of(city, SetAside)
    assert len(kept) == len(bad)
    wanted: dict[str, int] = {}
    for name in bad:
        wanted[name.split()[0]] = wanted.get(name.split()[0], 0) + 1
    for reason, number in wanted.items():
        assert metric(city, "utaa_ingest_refused_total", reason=reason) == number, reason
    assert sent.rejected(site.epoch)[99] in wanted


async def test_a_frame_of_a_future_version_is_answered_if_it_says_which_one_it_is(
    frames: FrameLane, sent: Sent, site: Site
) -> None:
    body = msgspec.msgpack.encode([site.name, site.epoch, 17, {"new": "shape"}])
    await frames.process([Received(f"utaa/v1/site/{site.name}/frame", b"UF\x01\x00" + body, False)])
    assert sent.rejected(site.epoch) == {17: "wrong_type"}


async def test_a_retained_frame_is_ignored(
    city: City, frames: FrameLane, sent: Sent, site: Site
) -> None:
    frame = site.frame(site.readings("d1", 3))
    await frames.process([Received(frame.topic, frame.payload, True)])
    assert sent.acks == []
    assert await city.readings.count("d1", **ALL) == 0
    assert metric(city, "utaa_ingest_refused_total", reason="retained") == 1


async def test_a_site_cannot_speak_for_anothers_detector(
    city: City, frames: FrameLane, events: EventLane, sent: Sent
) -> None:
    home, thief = Site("home", city.clock.now_us), Site("thief", city.clock.now_us)
    detector = detector_id("home", "native", "kitchen")
    fact = DeviceFact(detector=detector, source="native", address="kitchen")
    await events.process([event_of(home, 1, device=fact)])
    await frames.process([thief.frame(thief.readings(detector, 5, co_ppm=0.0))])
    await frames.process([home.frame(home.readings(detector, 5, co_ppm=7.0))])
    assert sent.rejected(thief.epoch) == {1: "site_mismatch"}
    rows = await city.readings.rows(detector, **ALL, limit=10)
    assert rows.columns["co_ppm"].tolist() == [7.0] * 5
    alarm = alarm_of(detector)
    await events.process([event_of(thief, 1, alarm=alarm)])
    assert await rows_of(city, AlarmRecord) == []


async def test_an_unknown_site_is_entered_once_with_an_audit_entry(
    city: City, frames: FrameLane, site: Site
) -> None:
    await frames.process([site.frame(site.readings("d1", 3))])
    await frames.process([site.frame(site.readings("d1", 3))])
    assert [row.id for row in await rows_of(city, SiteRow)] == ["site-1"]
    (entry,) = await rows_of(city, AuditEntry)
    assert (entry.actor, entry.action, entry.object_id) == ("system", "site.accept", "site-1")


async def test_a_closed_city_answers_unknown_sites_nothing_so_that_nothing_is_lost(
    tmp_path: Any, sent: Sent
) -> None:
    settings = load_settings(data_dir=tmp_path / "city", accept_unknown_sites=False)
    async with open_made_city(settings) as city:
        site = Site("stranger", city.clock.now_us)
        await FrameLane(city, sent).process([site.frame(site.readings("d1", 3))])
        await EventLane(city, sent).process([event_of(site, 1, alarm=alarm_of("d1"))])
        assert sent.acks == []
        assert metric(city, "utaa_ingest_refused_total", reason="unknown_site") == 2
        assert await rows_of(city, SiteRow) == []


class BrokenStore:
    """The city's store, failing in a stated way."""

    def __init__(self, city: City) -> None:
        self.inner = city.readings
        self.failures = 0
        self.error: Exception = StoreUnavailable("full")
        self.poison: str | None = None
        self.lose_answer = False

    async def write(self, frames: Sequence[FrameColumns]) -> list[Any]:
        if self.poison and any(self.poison in frame.detectors for frame in frames):
            raise ValueError("a bug of ours")
        if self.failures:
            self.failures -= 1
            if self.lose_answer:
                await self.inner.write(frames)
            raise self.error
        return await self.inner.write(frames)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.parametrize("lose_answer", [False, True])
async def test_an_absent_store_is_waited_for_and_nothing_is_acknowledged_meanwhile(
    city: City, sent: Sent, site: Site, lose_answer: bool
) -> None:
    store = BrokenStore(city)
    store.failures, store.lose_answer = 10**9, lose_answer
    city.readings = store  # type: ignore[assignment]
    lane = FrameLane(city, sent)
    task = asyncio.create_task(lane.process([site.frame(site.readings("d1", 20))]))
    await until(lambda: city.troubles, "the lane says that it waits")
    assert "full" in city.troubles["ingest frames"]
    assert metric(city, "utaa_ingest_stalled", lane="frames") == 1
    assert sent.acks == []
    store.failures = 0
    await task
    assert sent.seqs(site.epoch) == {1}
    assert await city.readings.count("d1", **ALL) == 20
    assert city.troubles == {}


async def test_a_frame_that_breaks_the_write_does_not_block_its_neighbours(
    city: City, sent: Sent, site: Site
) -> None:
    store = BrokenStore(city)
    store.poison = "poison"
    city.readings = store  # type: ignore[assignment]
    batch = [site.frame(site.readings(name, 5)) for name in ("d1", "poison", "d2")]
    await FrameLane(city, sent).process(batch)
    assert sent.seqs(site.epoch) == {1, 3}
    assert sent.rejected(site.epoch) == {2: "failed"}
    (kept,) = await rows_of(city, SetAside)
    assert kept.payload == batch[1].payload


@contextlib.contextmanager
def database_away(city: City, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def away() -> Any:
        raise OperationalError("BEGIN", None, Exception("server closed the connection"))

    with monkeypatch.context() as patch:
        patch.setattr(city.database, "write", away)
        patch.setattr(city.database, "read", away)
        yield


async def test_readings_are_acknowledged_while_the_database_is_away_and_shown_when_it_is_back(
    city: City, frames: FrameLane, sent: Sent, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await frames.process([site.frame(site.readings("d1", 5))])
    await frames.latest.flush()
    bad = Received(
        f"utaa/v1/site/{site.name}/frame", hostile_frames(site, 0)["out_of_range"].payload, False
    )
    newest = site.readings("d1", 5, co_ppm=8.0)
    with database_away(city, monkeypatch):
        await frames.process([bad, site.frame(newest)])
        with pytest.raises(OperationalError):
            await frames.latest.flush()
    assert sent.seqs(site.epoch) == {1, site.seq}
    assert sent.rejected(site.epoch) == {}  # not set aside, so not answered: it comes again
    await frames.process([bad])
    assert sent.rejected(site.epoch) == {99: "out_of_range"}
    await frames.latest.flush()
    (row,) = await rows_of(city, LatestReading)
    assert (row.time_us, row.co_ppm) == (newest[-1].time_us, 8.0)


async def test_a_new_detector_waits_for_the_database_because_it_might_be_anothers(
    city: City, frames: FrameLane, sent: Sent, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await frames.process([site.frame(site.readings("d1", 5))])
    with database_away(city, monkeypatch):
        task = asyncio.create_task(frames.process([site.frame(site.readings("d2", 5))]))
        await until(lambda: "ingest frames" in city.troubles, "the lane says that it waits")
        assert sent.seqs(site.epoch) == {1}
    await task
    assert sent.seqs(site.epoch) == {1, 2}


async def test_an_acknowledgement_that_cannot_be_sent_is_sent_when_the_edge_asks_again(
    city: City, frames: FrameLane, sent: Sent, site: Site
) -> None:
    frame = site.frame(site.readings("d1", 5))
    sent.up = False
    await frames.process([frame])
    assert metric(city, "utaa_ingest_unsent_total") == 1
    sent.up = True
    await frames.process([frame])
    assert sent.seqs(site.epoch) == {1}
    assert await city.readings.count("d1", **ALL) == 5


async def test_garbage_is_sampled_and_what_is_kept_is_bounded(city: City) -> None:
    garbage = [Refusal("t", b"x", "not_json", "no") for _ in range(50)]
    async with city.database.write() as session:
        await set_aside(session, garbage, now_us=1)
    assert len(await rows_of(city, SetAside)) == 3
    keyed = [
        Refusal("t\0", b"y" * 70_000, "out_of_range", "no", keyed=True)
        for _ in range(KEEP_PER_REASON + 5)
    ]
    async with city.database.write() as session:
        await set_aside(session, keyed, now_us=2)
    async with city.database.read() as session:
        kept = await session.scalar(
            select(func.count()).select_from(SetAside).where(SetAside.reason == "out_of_range")
        )
        one = await session.scalar(select(SetAside).where(SetAside.reason == "out_of_range").limit(1))
    assert kept == KEEP_PER_REASON
    assert one is not None
    assert (len(one.payload), one.truncated) == (65536, True)


# --- events ------------------------------------------------------------------------------------------


def alarm_of(detector: str, **fields: Any) -> Alarm:
    values = {"kind": "smoke", "raised_us": 1_790_000_000 * US_PER_S, "revision": 1, "reason": "flag"}
    return Alarm(id=new_id(), detector=detector, **{**values, **fields})


def event_of(site: Site, seq: int, *, transition: Transition = "raise", **what: Any) -> Received:
    event = Event(
        site=site.name,
        epoch=site.epoch,
        seq=seq,
        at_us=1_790_000_000 * US_PER_S,
        transition=transition,
        age_ms=10,
        **what,
    )
    return Received(f"utaa/v1/site/{site.name}/event", encode(event), False)


def pulse_of(site: Site, **fields: Any) -> Received:
    values: dict[str, Any] = {
        "boot": "b1",
        "at_us": 1,
        "uptime_s": 1.0,
        "clock_synced": True,
        "config_version": 1,
        "detectors": 1,
        "queued_events": 2,
        "queued_readings": 3,
        "spool_bytes": 4,
    }
    pulse = Heartbeat(site=site.name, epoch=site.epoch, **{**values, **fields})
    return Received(f"utaa/v1/site/{site.name}/heartbeat", encode(pulse), False)


async def test_an_alarm_of_an_unregistered_detector_opens_an_incident_at_its_site(
    city: City, events: EventLane, sent: Sent, site: Site
) -> None:
    await events.process([event_of(site, 1, alarm=alarm_of("d1"))])
    (incident,) = await rows_of(city, Incident)
    assert (incident.subject_kind, incident.subject_id, incident.hazard) == ("site", "site-1", "fire")
    assert sent.seqs(site.epoch) == {1}
    assert sent.acks[0].lane == "events"


async def test_a_repeated_event_is_acknowledged_and_changes_nothing(
    city: City, events: EventLane, sent: Sent, site: Site
) -> None:
    event = event_of(site, 1, alarm=alarm_of("d1"))
    await events.process([event, event])
    await events.process([event])
    assert len(await rows_of(city, Incident)) == 1
    assert sent.seqs(site.epoch) == {1}
    assert len(sent.acks) == 2


async def test_a_device_fact_makes_an_unregistered_detector(
    city: City, events: EventLane, sent: Sent, site: Site
) -> None:
    detector = detector_id("site-1", "native", "a1")
    fact = DeviceFact(detector=detector, source="native", address="a1", maker="M", online=True)
    await events.process([event_of(site, 1, device=fact)])
    later = DeviceFact(detector=detector, source="native", address="a1", firmware="2", online=False)
    await events.process([event_of(site, 2, device=later)])
    (row,) = await rows_of(city, Detector)
    assert (row.id, row.status, row.maker, row.firmware, row.online) == (
        detector, "unregistered", "M", "2", False,
    )  # fmt: skip
    assert sent.seqs(site.epoch) == {1, 2}


async def test_a_fact_whose_id_does_not_follow_from_its_address_is_refused(
    city: City, events: EventLane, sent: Sent, site: Site
) -> None:
    fact = DeviceFact(detector="d123", source="native", address="a1")
    await events.process([event_of(site, 1, device=fact), event_of(site, 2, alarm=alarm_of("d1"))])
    assert sent.rejected(site.epoch) == {1: "site_mismatch"}
    assert sent.seqs(site.epoch) == {2}


async def test_a_note_is_kept_once(city: City, events: EventLane, site: Site) -> None:
    note = event_of(site, 1, transition="update", note="thinned", note_values={"readings": 5})
    await events.process([note])
    await events.process([note])
    (row,) = await rows_of(city, SiteNote)
    assert (row.note, row.values) == ("thinned", {"readings": 5})


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"{", "truncated"),
        (b"\xff\xfe", "not_json"),
        (b'{"v":2}', "unknown_version"),
        (b'{"v":1}', "missing_field"),
        (b'{"v":1,"site":"site-1","epoch":"e","seq":"x"}', "wrong_type"),
        (b"[1]", "wrong_type"),
        (b'{"x":' + b"[" * 100_000, "not_json"),
    ],
)
async def test_hostile_events_are_refused_and_their_neighbours_are_applied(
    city: City, events: EventLane, sent: Sent, site: Site, payload: bytes, reason: str
) -> None:
    bad = Received("utaa/v1/site/site-1/event", payload, False)
    await events.process([bad, event_of(site, 5, alarm=alarm_of("d1"))])
    assert sent.seqs(site.epoch) == {5}
    assert len(await rows_of(city, Incident)) == 1
    (kept,) = await rows_of(city, SetAside)
    assert kept.reason == reason
    assert metric(city, "utaa_ingest_refused_total", reason=reason) == 1


async def test_an_event_of_another_site_than_its_topic_is_refused_on_its_topic(
    city: City, events: EventLane, sent: Sent, site: Site
) -> None:
    event = event_of(site, 3, alarm=alarm_of("d1"))
    await events.process([Received("utaa/v1/site/other/event", event.payload, False)])
    assert await rows_of(city, Incident) == []
    assert sent.messages[0][0] == "utaa/v1/site/other/ack"
    assert sent.rejected(site.epoch) == {3: "site_mismatch"}


async def test_a_retained_alarm_raises_nothing(
    city: City, events: EventLane, sent: Sent, site: Site
) -> None:
    event = event_of(site, 1, alarm=alarm_of("d1"))
    await events.process([Received(event.topic, event.payload, True)])
    assert await rows_of(city, Incident) == []
    assert sent.acks == []


async def test_an_event_that_breaks_its_transaction_does_not_block_its_neighbours(
    city: City, events: EventLane, sent: Sent, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alerts import incidents

    real = incidents.apply_alarm

    async def apply(session: Any, **options: Any) -> Any:
        result = await real(session, **options)
        if options["alarm"].detector == "poison":
            raise ZeroDivisionError
        return result

    monkeypatch.setattr(incidents, "apply_alarm", apply)
    batch = [
        event_of(site, n, alarm=alarm_of(name)) for n, name in enumerate(("d1", "poison", "d2"), 1)
    ]
    await events.process(batch)
    assert sent.seqs(site.epoch) == {1, 3}
    assert sent.rejected(site.epoch) == {2: "failed"}
    assert sorted(row.detector_id for row in await rows_of(city, AlarmRecord)) == ["d1", "d2"]


async def test_nothing_is_acknowledged_before_its_transaction_is_committed(
    city: City, events: EventLane, sent: Sent, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession

    real, failures = AsyncSession.commit, [2]

    async def commit(session: AsyncSession) -> None:
        if failures[0]:
            failures[0] -= 1
            assert sent.acks == []
            raise OperationalError("COMMIT", None, Exception("disk is full"))
        await real(session)

    monkeypatch.setattr(AsyncSession, "commit", commit)
    await events.process([event_of(site, 1, alarm=alarm_of("d1"))])
    assert failures == [0]
    assert sent.seqs(site.epoch) == {1}
    assert len(await rows_of(city, Incident)) == 1


async def test_a_snapshot_is_acknowledged_by_its_nonce_and_closes_what_a_new_epoch_omits(
    city: City, events: EventLane, sent: Sent, site: Site
) -> None:
    gone, stays = alarm_of("d1"), alarm_of("d2")
    await events.process([event_of(site, 1, alarm=gone), event_of(site, 2, alarm=stays)])
    snapshot = Snapshot(
        site="site-1",
        epoch="new",
        nonce="n1",
        at_us=2_000_000_000 * US_PER_S,
        last_seq=0,
        active=[stays],
    )
    message = Received("utaa/v1/site/site-1/snapshot", encode(snapshot), False)
    await events.process([message])
    (ack,) = [ack for ack in sent.acks if ack.snapshot]
    assert (ack.snapshot, ack.epoch, ack.lane) == ("n1", "new", "events")
    closed = {row.id: row for row in await rows_of(city, AlarmRecord)}
    assert closed[gone.id].cleared_us is not None or closed[gone.id].closed_reason is not None
    assert closed[stays.id].cleared_us is None
    assert [row.epoch for row in await rows_of(city, SiteEpoch)] == [site.epoch, "new"]


async def test_a_snapshot_in_parts_closes_with_its_last_part_after_this_store_had_the_others(
    city: City, events: EventLane, sent: Sent, site: Site
) -> None:
    gone, first, last = alarm_of("d1"), alarm_of("d2"), alarm_of("d3")
    raised = [event_of(site, n, alarm=alarm) for n, alarm in enumerate((gone, first, last), 1)]
    await events.process(raised)

    async def take(part: int, alarm: Alarm, after_store: str | None = None) -> set[str]:
        snapshot = Snapshot(
            site="site-1", epoch="new", nonce=f"n{part}{after_store}", at_us=2_000_000_000 * US_PER_S,
            last_seq=0, active=[alarm], part=part, parts=2, after_store=after_store,
        )  # fmt: skip
        await events.process([Received("utaa/v1/site/site-1/snapshot", encode(snapshot), False)])
        assert snapshot.nonce in {ack.snapshot for ack in sent.acks}
        return {row.id for row in await rows_of(city, AlarmRecord) if row.cleared_us is not None}

    assert await take(1, first) == set()
    assert await take(2, last, after_store="another store") == set()
    assert await take(2, last, after_store=city.store_id) == {gone.id}


async def test_the_answer_to_a_snapshot_says_the_newest_event_of_its_epoch(
    city: City, events: EventLane, sent: Sent, site: Site
) -> None:
    await events.process([event_of(site, 7, alarm=alarm_of("d1")), event_of(site, 3, note="n")])
    for epoch in (site.epoch, "new"):
        snapshot = Snapshot(
            site="site-1", epoch=epoch, nonce=epoch, at_us=2_000_000_000 * US_PER_S, last_seq=3,
            active=[],
        )  # fmt: skip
        await events.process([Received("utaa/v1/site/site-1/snapshot", encode(snapshot), False)])
    newest = {ack.snapshot: ack.newest_event for ack in sent.acks if ack.snapshot}
    assert newest == {site.epoch: 7, "new": 0}


async def test_a_pulse_is_kept_and_an_older_configuration_is_noticed(
    city: City, events: EventLane, site: Site
) -> None:
    woken: list[int] = []
    city.wake_configs = lambda: woken.append(1)
    await events.process([pulse_of(site, counters={"refused": {"not_json": 7}})])
    (state,) = await rows_of(city, SiteState)
    assert (state.state, state.boot, state.heartbeat["queued_events"]) == ("online", "b1", 2)
    assert events.stale_configs == set()
    assert metric(city, "utaa_edge_refused", site="site-1", reason="not_json") == 7
    await events.process([pulse_of(site, config_version=0)])
    assert events.stale_configs == {"site-1"}
    assert woken == [1]


async def test_a_will_of_an_earlier_boot_does_not_take_the_site_down(
    city: City, events: EventLane, site: Site
) -> None:
    def word(state: Any, boot: str) -> Received:
        status = Status(site="site-1", state=state, boot=boot)
        return Received("utaa/v1/site/site-1/status", encode(status), True)

    await events.process([word("online", "b2"), word("offline", "b1")])
    (state,) = await rows_of(city, SiteState)
    assert state.state == "online"
    await events.process([word("offline", "b2")])
    (state,) = await rows_of(city, SiteState)
    assert state.state == "offline"


async def test_a_city_keeps_its_store_id(tmp_path: Any) -> None:
    settings = load_settings(data_dir=tmp_path / "city")
    async with open_made_city(settings) as city:
        first = city.store_id
    async with open_made_city(settings) as city:
        assert city.store_id == first
        assert [row.value for row in await rows_of(city, CityFact) if row.name == "store"] == [first]
