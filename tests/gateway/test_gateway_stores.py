"""The contract of a reading store, the same for the embedded one and a real InfluxDB."""

from __future__ import annotations

import asyncio
import math
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.wire.clock import US_PER_S
from edge.wire.frames import frame_from_readings
from edge.wire.readings import Flag, Reading
from gateway.stores.base import (
    FIELDS,
    FrameColumns,
    ReadingStore,
    StoreMisconfigured,
    StoreUnavailable,
    fold_steps,
)
from gateway.stores.blocks import Block, decode_block, encode_block, pick_rows
from gateway.stores.influx import InfluxStore
from gateway.stores.sqlite import DAY_US, SqliteStore

DAY = 20_500 * DAY_US  # 2026-02-16T00:00:00Z
ALL = {"from_us": 0, "to_us": 2**53}
ODD = DAY + 7 * 3600 * US_PER_S + 123_457  # a time that only µs can say


def frame(
    readings: list[Reading], *, site: str = "site-1", epoch: str = "e1", seq: int = 1
) -> FrameColumns:
    return FrameColumns.of(frame_from_readings(site, epoch, seq, readings))


def co(detector: str, time_us: int, co_ppm: float | None = 1.0) -> Reading:
    return Reading(detector=detector, time_us=time_us, co_ppm=co_ppm)


@pytest.fixture(params=["sqlite", "influx"])
def influx_or_none(request: pytest.FixtureRequest) -> Any:
    """A fresh InfluxDB database for the one half of the tests, None for the other."""
    return request.getfixturevalue("influx_database") if request.param == "influx" else None


@pytest.fixture
async def store(influx_or_none: Any, tmp_path: Path) -> AsyncIterator[ReadingStore]:
    opened: ReadingStore = SqliteStore(tmp_path / "readings")
    if influx_or_none is not None:
        opened = influx_at(influx_or_none.url, influx_or_none.database)
    await opened.check()
    yield opened
    await opened.close()


def influx_at(url: str, bucket: str, token: str = "") -> InfluxStore:
    return InfluxStore(url=url, token=token, org="utaa", bucket=bucket, retention_days=36500)


async def test_what_was_written_is_read_back_exactly(store: ReadingStore) -> None:
    known = Flag.SMOKE_ALARM | Flag.TAMPER
    sent = Reading(
        detector="d1",
        time_us=ODD,
        flags=Flag.SMOKE_ALARM,
        flags_known=known,
        co_ppm=0.1 + 0.2,
        temperature_c=-1e-7,
        signal_dbm=-113.0,
        o2_pct=20.9,
    )
    await store.write([frame([sent, co("d2", ODD)])])
    rows = await store.rows("d1", **ALL, limit=10)
    assert rows.times_us.tolist() == [ODD]
    assert rows.flags.tolist() == [Flag.SMOKE_ALARM | known << 16]
    stated = {name: rows.columns[name][0] for name in FIELDS if not math.isnan(rows.columns[name][0])}
    assert stated == sent.quantities()
    assert rows.next_from_us is None


async def test_a_reading_without_quantities_is_kept(store: ReadingStore) -> None:
    await store.write([frame([Reading(detector="d1", time_us=ODD)])])
    rows = await store.rows("d1", **ALL, limit=10)
    assert rows.times_us.tolist() == [ODD]
    assert all(np.isnan(rows.columns[name]).all() for name in FIELDS)


async def test_the_same_frame_twice_is_stored_once(store: ReadingStore) -> None:
    readings = [co("d1", ODD + n) for n in range(50)]
    await store.write([frame(readings)])
    await store.write([frame(readings), frame(readings)])
    assert await store.count("d1", **ALL) == 50
    assert await store.count(None, **ALL) == 50


async def test_the_same_readings_under_another_key_are_one(store: ReadingStore) -> None:
    readings = [co("d1", ODD + n) for n in range(50)]
    await store.write([frame(readings)])
    await store.write([frame(readings[20:], epoch="e2", seq=9)])
    assert await store.count("d1", **ALL) == 50
    assert await store.count(None, **ALL) == 50
    rows = await store.rows("d1", **ALL, limit=100)
    assert rows.times_us.tolist() == [reading.time_us for reading in readings]


async def test_a_reused_key_with_other_content_loses_nothing(store: ReadingStore) -> None:
    await store.write([frame([co("d1", ODD)])])
    await store.write([frame([co("d1", ODD + 1)])])
    assert await store.count("d1", **ALL) == 2


async def test_a_span_includes_its_begin_and_not_its_end(store: ReadingStore) -> None:
    await store.write([frame([co("d1", ODD + n) for n in range(10)])])
    rows = await store.rows("d1", from_us=ODD + 2, to_us=ODD + 5, limit=10)
    assert rows.times_us.tolist() == [ODD + 2, ODD + 3, ODD + 4]
    assert await store.count("d1", from_us=ODD + 2, to_us=ODD + 5) == 3
    assert await store.count(None, from_us=ODD + 2, to_us=ODD + 5) == 3


async def test_pages_join_to_the_whole_over_midnight_and_any_order(store: ReadingStore) -> None:
    start = DAY - 30 * US_PER_S
    times = [start + n * US_PER_S for n in range(60)]
    readings = [co("d1", time_us, float(n)) for n, time_us in enumerate(times)]
    await store.write([frame(readings[::-2], seq=1), frame(readings[-2::-2], seq=2)])
    seen: list[int] = []
    values: list[float] = []
    from_us: int | None = 0
    while from_us is not None:
        page = await store.rows("d1", from_us=from_us, to_us=2**53, limit=7)
        assert len(page.times_us) <= 7
        seen += page.times_us.tolist()
        values += page.columns["co_ppm"].tolist()
        from_us = page.next_from_us
    assert seen == times
    assert values == [float(n) for n in range(60)]


async def test_steps_are_aligned_and_leave_out_the_empty_ones(store: ReadingStore) -> None:
    minute = 60 * US_PER_S
    readings = [co("d1", DAY + 10 * US_PER_S, 2.0), co("d1", DAY + 50 * US_PER_S, 4.0)]
    readings += [co("d1", DAY + 70 * US_PER_S, None), co("d1", DAY + 3 * minute, 9.0)]
    await store.write([frame(readings)])
    steps = await store.steps("d1", "co_ppm", from_us=DAY, to_us=DAY + DAY_US, step_us=minute, limit=9)
    assert steps.starts_us.tolist() == [DAY, DAY + 3 * minute]
    assert (steps.minimum.tolist(), steps.mean.tolist(), steps.maximum.tolist()) == (
        [2.0, 9.0],
        [3.0, 9.0],
        [4.0, 9.0],
    )
    assert steps.count.tolist() == [2, 1]
    assert steps.next_from_us is None


async def test_steps_have_pages_too(store: ReadingStore) -> None:
    await store.write([frame([co("d1", DAY + n * US_PER_S, float(n)) for n in range(30)])])
    starts: list[int] = []
    from_us: int | None = DAY
    while from_us is not None:
        page = await store.steps(
            "d1", "co_ppm", from_us=from_us, to_us=DAY + DAY_US, step_us=5 * US_PER_S, limit=4
        )
        assert page.count.tolist() == [5] * len(page.count)
        starts += page.starts_us.tolist()
        from_us = page.next_from_us
    assert starts == [DAY + n * 5 * US_PER_S for n in range(6)]


async def test_an_unknown_detector_has_nothing(store: ReadingStore) -> None:
    await store.write([frame([co("d1", ODD)])])
    assert len((await store.rows("d2", **ALL, limit=5)).times_us) == 0
    steps = await store.steps("d2", "co_ppm", **ALL, step_us=3600 * US_PER_S, limit=5)
    assert len(steps.starts_us) == 0
    assert await store.count("d2", **ALL) == 0


@pytest.mark.parametrize(
    "name",
    ["a b", "a,b", "a=b", "a'b", 'a"b', "утаа", "a' OR 'x'='x", "a;b", "%41", "{x}", "-- a", "🔥"],
)
async def test_hostile_names_are_names_and_nothing_else(store: ReadingStore, name: str) -> None:
    await store.write([frame([co(name, ODD, 1.0), co("other", ODD, 2.0)])])
    assert await store.count(name, **ALL) == 1
    assert (await store.rows(name, **ALL, limit=5)).columns["co_ppm"].tolist() == [1.0]
    assert await store.count(None, **ALL) == 2


async def test_two_sites_do_not_mix(store: ReadingStore) -> None:
    await store.write([frame([co("d1", ODD)]), frame([co("d2", ODD)], site="site-2")])
    assert (await store.count("d1", **ALL), await store.count("d2", **ALL)) == (1, 1)


# --- the embedded store's own ------------------------------------------------------------------


async def test_days_are_files_and_old_ones_are_dropped_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.write([frame([co("d1", DAY - 1), co("d1", DAY), co("d1", DAY + DAY_US)])])
    assert (await store.report())["days"] == 3
    assert await store.drop_before(DAY + DAY_US) == 2
    assert (await store.rows("d1", **ALL, limit=5)).times_us.tolist() == [DAY + DAY_US]
    await store.write([frame([co("d1", DAY + 5)], seq=2)])
    assert await store.count("d1", **ALL) == 2
    await store.close()


async def test_many_days_do_not_keep_many_files_open(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.write([frame([co("d1", DAY + n * DAY_US) for n in range(20)])])
    assert await store.count("d1", **ALL) == 20
    assert len(store._days) <= 8
    await store.close()


async def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    first, second = SqliteStore(tmp_path), SqliteStore(tmp_path)
    for seq in range(1, 6):
        await first.write([frame([co("d1", ODD + seq)], seq=seq)])
        await second.write([frame([co("d2", ODD + seq)], site="site-2", seq=seq)])
        await second.write([frame([co("d1", ODD + seq)], seq=seq)])
    assert await first.count(None, **ALL) == 10
    assert await second.count("d1", **ALL) == 5
    await first.close()
    await second.close()


async def test_a_failed_write_leaves_nothing_and_the_next_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path)
    real = sqlite3.connect

    class Failing(sqlite3.Connection):
        def executemany(self, sql: str, *rest: object) -> sqlite3.Cursor:
            if "INTO block" in sql:
                raise sqlite3.OperationalError("database or disk is full")
            return super().executemany(sql, *rest)  # type: ignore[arg-type]

    def connect(*args: object, **options: object) -> sqlite3.Connection:
        return real(*args, factory=Failing, **options)  # type: ignore[call-overload,no-any-return]

    with monkeypatch.context() as patched:
        patched.setattr("gateway.stores.sqlite.sqlite3.connect", connect)
        with pytest.raises(StoreUnavailable, match="disk is full"):
            await store.write([frame([co("d1", ODD)])])
    assert await store.count(None, **ALL) == 0
    await store.write([frame([co("d1", ODD)])])
    assert await store.count("d1", **ALL) == 1
    await store.close()


async def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    store = SqliteStore(tmp_path / "file" / "readings")
    with pytest.raises(StoreUnavailable):
        await store.check()
    await store.close()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5),
            st.integers(0, 2**53),
            st.integers(0, 2**32 - 1),
            st.floats(allow_infinity=False),
        ),
        min_size=1,
        max_size=50,
    )
)
def test_a_block_gives_back_what_was_put_in(rows: list[tuple[int, int, int, float]]) -> None:
    detectors, times, flags, values = zip(*rows, strict=True)
    block = Block(
        np.array(detectors, np.uint32),
        np.array(times, np.int64),
        np.array(flags, np.uint32),
        {0: np.array(values), 7: np.array(values) * 0.5},
    )
    again = decode_block(encode_block(block))
    assert again.detectors.tolist() == list(detectors)
    assert again.times.tolist() == list(times)
    assert again.flags.tolist() == list(flags)
    assert sorted(again.columns) == [0, 7]
    np.testing.assert_array_equal(again.columns[0], block.columns[0])
    np.testing.assert_array_equal(decode_block(encode_block(block), {7}).columns[7], block.columns[7])


@pytest.mark.parametrize("data", [b"", b"\x02abc", b"\x01abc"])
def test_a_damaged_block_says_so(data: bytes) -> None:
    with pytest.raises(ValueError, match="block"):
        decode_block(data)
    with pytest.raises(ValueError, match="block"):
        pick_rows([data], 1)


#: detectors whose numbers have the same lowest byte, among others
_BLOCK = st.tuples(
    st.lists(st.sampled_from([1, 2, 257, 2**32 - 255]), min_size=1, max_size=5),
    st.sets(st.sampled_from([0, 3, 7])),
)


@given(st.lists(_BLOCK, max_size=8), st.none() | st.sets(st.sampled_from([0, 3, 7])))
def test_the_rows_of_one_detector_are_those_of_the_whole_blocks(
    shapes: list[tuple[list[int], set[int]]], wanted: set[int] | None
) -> None:
    blocks = [
        Block(
            np.array(detectors, np.uint32), np.arange(len(detectors)) + 1000 * place,
            np.arange(len(detectors), dtype=np.uint32),
            {number: np.arange(len(detectors)) + number + place / 8 for number in numbers},
        )
        for place, (detectors, numbers) in enumerate(shapes)
    ]  # fmt: skip
    picked = pick_rows([encode_block(block) for block in blocks], 257, wanted)
    expected = [
        (int(time_us), int(flags), {n: c[at] for n, c in block.columns.items()})
        for block in blocks
        for at, (no, time_us, flags) in enumerate(
            zip(block.detectors, block.times, block.flags, strict=True)
        )
        if no == 257
    ]
    assert list(zip(picked.times, picked.flags, strict=True)) == [row[:2] for row in expected]
    assert set(picked.detectors.tolist()) <= {257}
    for number in {0, 3, 7} if wanted is None else wanted:
        values = picked.columns.get(number, np.full(len(expected), np.nan))
        of_rows = [columns.get(number, np.nan) for _, _, columns in expected]
        np.testing.assert_array_equal(values, of_rows)
    assert wanted is None or picked.columns.keys() <= wanted


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.floats(-1e6, 1e6) | st.just(math.nan)), max_size=60),
    st.integers(1, 200),
    st.integers(1, 10),
)
def test_steps_say_what_a_plain_loop_says(rows: list[tuple[int, float]], step: int, limit: int) -> None:
    rows.sort(key=lambda row: row[0])
    buckets: dict[int, list[float]] = {}
    for time_us, value in rows:
        if not math.isnan(value):
            buckets.setdefault(time_us // step * step, []).append(value)
    starts = sorted(buckets)
    steps = fold_steps(
        np.array([t for t, _ in rows], np.int64), np.array([v for _, v in rows], float), step, limit
    )
    assert steps.starts_us.tolist() == starts[:limit]
    assert steps.count.tolist() == [len(buckets[s]) for s in starts[:limit]]
    assert steps.minimum.tolist() == [min(buckets[s]) for s in starts[:limit]]
    assert steps.maximum.tolist() == [max(buckets[s]) for s in starts[:limit]]
    for mean, start in zip(steps.mean.tolist(), starts[:limit], strict=True):
        assert mean == pytest.approx(sum(buckets[start]) / len(buckets[start]), abs=1e-6)
    assert steps.next_from_us == (starts[limit] if len(starts) > limit else None)


# --- InfluxDB's own ------------------------------------------------------------------------------


async def test_a_missing_database_is_made_where_that_is_allowed(
    influx_database: Any, unique: str
) -> None:
    store = influx_at(influx_database.url, f"{unique}_new")
    assert await store.count(None, **ALL) == 0
    await store.check()
    assert {"name": f"{unique}_new"} in await influx_database.server.query("SHOW DATABASES")
    await influx_database.server.drop_database(f"{unique}_new")
    await store.write([frame([co("d1", ODD)])])
    assert await store.count("d1", **ALL) == 1
    await store.close()
    await influx_database.server.drop_database(f"{unique}_new")


async def test_a_row_that_influxdb_never_takes_is_set_aside_and_its_neighbours_are_kept(
    influx_database: Any,
) -> None:
    store = influx_at(influx_database.url, influx_database.database)
    # somebody else wrote an integer where we write floats: InfluxDB 1.x drops our rows of that shard
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            f"{influx_database.url}/write",
            params={"db": influx_database.database, "precision": "ns"},
            content=f"reading,detector=x co_ppm=1i {ODD}000",
        )
    assert answer.status_code == 204
    readings = [co("d1", ODD + n) for n in range(3)]
    readings.append(Reading(detector="d2", time_us=ODD, temperature_c=20.0))
    readings.append(Reading(detector="d\\", time_us=ODD, temperature_c=20.0))
    refused = await store.write([frame(readings)])
    assert len(refused) == 4
    assert await store.count("d2", **ALL) == 1
    assert sum("field type conflict" in row.detail for row in refused) == 3
    assert sum("backslash" in row.detail for row in refused) == 1
    await store.close()


async def test_an_absent_influxdb_is_unavailable_and_says_where(unused_tcp_port: int) -> None:
    store = influx_at(f"http://127.0.0.1:{unused_tcp_port}", "b", "secret")
    for work in (store.write([frame([co("d1", ODD)])]), store.check()):
        with pytest.raises(StoreUnavailable, match=str(unused_tcp_port)) as caught:
            await work
        assert "secret" not in str(caught.value)
    await store.close()


@pytest.mark.parametrize(("status", "kind"), [(401, StoreMisconfigured), (503, StoreUnavailable)])
async def test_refusals_of_the_whole_write_are_told_apart(status: int, kind: type[Exception]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
        if length:
            await reader.readexactly(int(length[0].split(b":")[1]))
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode()
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = influx_at(f"http://127.0.0.1:{port}", "b", "t")
    with pytest.raises(kind):
        await store.write([frame([co("d1", ODD)])])
    with pytest.raises(kind):
        await store.check()
    await store.close()
    server.close()
    await server.wait_closed()


async def test_what_a_killed_process_left_in_its_log_can_be_read_before_anybody_writes(
    tmp_path: Path,
) -> None:
    killed = SqliteStore(tmp_path / "killed")
    await killed.write([frame([co("d1", ODD, 4.5)])])
    left = tmp_path / "left"
    left.mkdir()
    for file in killed.folder.glob("readings-*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, left)
    await killed.close()
    store = SqliteStore(left)
    rows = await store.rows("d1", **ALL, limit=10)
    assert rows.columns["co_ppm"].tolist() == [4.5]
    await store.close()


async def test_a_day_whose_file_is_just_being_made_is_empty(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    sqlite3.connect(store._path(DAY // DAY_US)).execute("PRAGMA journal_mode=WAL").connection.close()
    assert (await store.rows("d1", **ALL, limit=10)).times_us.tolist() == []
    assert await store.count(None, **ALL) == 0
    await store.write([frame([co("d1", ODD)])])
    assert await store.count(None, **ALL) == 1
    await store.close()
