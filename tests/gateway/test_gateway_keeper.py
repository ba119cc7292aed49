"""Latest values beside the acknowledgements' way: the board against a plain loop, and catching up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select

from edge.wire.clock import ManualClock, SystemClock
from edge.wire.identity import detector_id
from edge.wire.readings import Reading
from gateway.city import City, open_city
from gateway.ingest import board, keeper
from gateway.ingest.board import LatestBoard
from gateway.ingest.frames import FrameLane
from gateway.ingest.keeper import LatestKeeper
from gateway.ingest.latest import LatestRow, newest
from gateway.ingest.patience import until_done
from gateway.models import LatestReading, Lease
from gateway.settings import load_settings
from gateway.stores.base import FrameColumns
from registry import db
from registry.models import Detector
from registry.models import Site as SiteRow
from tests.gateway.conftest import Sent, Site
from tests.gateway.test_gateway_latest import frame_from_readings, rows
from tests.made import open_made_city
from tests.servers import until


def frames_of(said: list[tuple[str, list[Reading]]]) -> list[FrameColumns]:
    return [
        FrameColumns.of(frame_from_readings(site, "e", seq, readings))
        for seq, (site, readings) in enumerate(said, 1)
    ]


@given(
    st.lists(
        st.tuples(st.sampled_from(["s1", "s2"]), st.lists(rows, min_size=1, max_size=8)), max_size=6
    ),
    st.integers(0, 5),
)
def test_what_is_taken_from_the_board_is_the_newest_of_each_detector(
    said: list[tuple[str, list[Reading]]], flush_after: int
) -> None:
    frames = frames_of(said)
    shown = LatestBoard()
    written: dict[tuple[str, str], LatestRow] = {}
    for number, frame in enumerate(frames):
        shown.add([frame])
        if number == flush_after:
            written.update({row[:2]: row for row in shown.take(shown.due())})
    rest = shown.take(shown.due())
    written.update({row[:2]: row for row in rest})
    wanted = {
        row[:2]: row for site in ("s1", "s2") for row in newest([f for f in frames if f.site == site])
    }
    assert written == wanted
    assert shown.owed == 0


def test_what_could_not_be_written_is_owed_still_and_a_full_board_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board, "MAX_DETECTORS", 1)
    frames = frames_of([("s", [Reading(detector=f"d{n}", time_us=n + 1) for n in range(3)])])
    shown = LatestBoard()
    shown.add(frames)
    due = shown.due()
    taken = shown.take(due)
    shown.give_back(due)
    shown.tidy()
    assert shown.take(shown.due()) == taken
    shown.tidy()
    shown.add(frames)
    assert shown.take(shown.due()) == taken


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(SystemClock().now_us())


@pytest.fixture(params=["sqlite", "influx"])
def store_settings(request: pytest.FixtureRequest) -> dict[str, str]:
    if request.param == "sqlite":
        return {}
    influx = request.getfixturevalue("influx_database")
    return {"influx_url": influx.url, "influx_bucket": influx.database}


@pytest.fixture
async def city(tmp_path: Path, clock: ManualClock, store_settings: Any) -> AsyncIterator[City]:
    async with open_made_city(load_settings(data_dir=tmp_path, **store_settings)) as opened:
        opened.clock = clock
        yield opened


async def latest(city: City) -> dict[str, tuple[str, int, float | None]]:
    async with city.database.read() as session:
        return {
            row.detector_id: (row.site_id, row.time_us, row.co_ppm)
            for row in await session.scalars(select(LatestReading))
        }


async def leases(city: City) -> list[Lease]:
    async with city.database.read() as session:
        return list(await session.scalars(select(Lease)))


async def register(city: City, site: str, address: str) -> str:
    detector = detector_id(site, "native", address)
    async with city.database.write() as session:
        if await session.get(SiteRow, site) is None:
            session.add(SiteRow(id=site, created_us=0))
            await session.flush()
        session.add(Detector(id=detector, site_id=site, source="native", address=address))
    return detector


async def test_what_a_dead_process_owed_is_made_up_for_once_its_lease_has_run_out(
    city: City, clock: ManualClock, sent: Sent
) -> None:
    site = Site("site-1", clock.now_us)
    shown, owed = await register(city, "site-1", "a"), await register(city, "site-1", "b")
    dead = FrameLane(city, sent)
    await dead.process([site.frame(site.readings(shown, 5, co_ppm=1.0))])
    await dead.latest.flush()
    clock.advance(timedelta(seconds=3))
    newer = site.readings(shown, 2, co_ppm=2.0)
    other = site.readings(owed, 2, co_ppm=3.0)
    await dead.process([site.frame(newer), site.frame(other)])
    assert sent.seqs(site.epoch) == {1, 2, 3}  # acknowledged, and then it dies

    next_one = LatestKeeper(city)
    await next_one.ready()
    await next_one.make_up()
    assert (await latest(city)).keys() == {shown}  # it might still be alive
    clock.advance(timedelta(seconds=16))
    await next_one.flush()
    await next_one.make_up()
    assert await latest(city) == {
        shown: ("site-1", newer[-1].time_us, 2.0),
        owed: ("site-1", other[-1].time_us, 3.0),
    }
    await next_one.make_up()
    assert [one.name for one in await leases(city)] == [next_one._name]


async def test_what_is_being_stored_while_a_flush_runs_is_owed_until_the_next_one(
    city: City, clock: ManualClock, sent: Sent
) -> None:
    """Stored but not yet on the board: the promise must not say that it is written."""
    if "influx" in city.readings.title:
        pytest.skip("InfluxDB does not say when a row was written: its promise is a moment")
    site = Site("site-1", clock.now_us)
    detector = await register(city, "site-1", "a")
    lane = FrameLane(city, sent)
    await lane.latest.ready()
    frame = FrameColumns.of(frame_from_readings("site-1", site.epoch, 9, site.readings(detector, 3)))
    with lane.latest.storing():
        await city.readings.write([frame])
        lane.latest._renew_at_s = 0.0
        await lane.latest.flush()
    clock.advance(timedelta(seconds=16))
    next_one = LatestKeeper(city)
    await next_one.make_up()
    assert (await latest(city)).keys() == {detector}


async def test_a_process_that_ends_cleanly_owes_nothing(
    city: City, clock: ManualClock, sent: Sent
) -> None:
    site = Site("site-1", clock.now_us)
    detector = await register(city, "site-1", "a")
    lane = FrameLane(city, sent)
    await lane.process([site.frame(site.readings(detector, 5))])
    await lane.latest._leave()
    assert await leases(city) == []
    assert (await latest(city)).keys() == {detector}


async def test_the_first_frame_asks_for_all_owners_at_once(
    city: City, clock: ManualClock, sent: Sent
) -> None:
    detectors = [await register(city, "site-1", f"d{n}") for n in range(1200)]
    asked: list[str] = []
    event.listen(
        city.database.engine.sync_engine, "before_cursor_execute",
        lambda _c, _cu, text, *_: asked.append(text) if "FROM detector" in text else None,
    )  # fmt: skip
    site = Site("site-1", clock.now_us)
    readings = [Reading(detector=name, time_us=clock.now_us()) for name in detectors]
    await FrameLane(city, sent).process([site.frame(readings)])
    assert sent.seqs(site.epoch) == {1}
    assert len(asked) == 2  # how many, and which


async def test_a_flush_is_cut_into_short_transactions(
    city: City, clock: ManualClock, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "ROWS_PER_TRANSACTION", 10)
    site = Site("site-1", clock.now_us)
    lane = FrameLane(city, sent)
    readings = [Reading(detector=f"d{n}", time_us=clock.now_us()) for n in range(35)]
    await lane.process([site.frame(readings)])
    real, writes = city.database.write, [0]

    def write() -> Any:
        writes[0] += 1
        return real()

    monkeypatch.setattr(city.database, "write", write)
    await lane.latest.flush()
    assert writes[0] == 4  # the last one says what is owed from now on
    assert len(await latest(city)) == 35


async def test_a_database_that_another_program_holds_too_long_is_waited_for(
    tmp_path: Path, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "_BUSY_TIMEOUT_S", 0.05)
    async with open_city(load_settings(data_dir=tmp_path)) as city:
        lane = FrameLane(city, sent)
        with closing(sqlite3.connect(str(city.database.engine.url.database))) as other:
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(until_done(city, "latest", lane.latest.ready))
            await until(lambda: "locked" in city.troubles.get("ingest latest", ""), "it says so")
            other.execute("ROLLBACK")
            await waiting
        assert len(await leases(city)) == 1
