"""Telemetry from before the clock was set waits and is dated once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edge.spool import Batch, Spool
from edge.spool.undated import bounded, dated, exact
from edge.wire.clock import US_PER_S, ManualClock
from edge.wire.frames import decode_frame
from edge.wire.readings import Reading

NOW_US = 1_790_000_000 * US_PER_S


def opened(path: Path, clock: ManualClock, boot: str) -> Spool:
    return Spool(path, site="s", boot=boot, clock=clock, quota_bytes=64 << 20)


def at(time_us: int) -> Reading:
    return Reading(detector="d", time_us=time_us, co_ppm=1.0)


def test_what_waited_gets_its_exact_time_when_the_clock_is_set(tmp_path: Path) -> None:
    clock = ManualClock(0)
    clock.advance(timedelta(seconds=100))
    spool = opened(tmp_path / "spool.db", clock, "b1")
    spool.commit(Batch(undated=[at(90 * US_PER_S), at(100 * US_PER_S)]))
    assert spool.queued().readings == 2
    assert not spool.pending_frames(9, set())
    clock.advance(timedelta(seconds=20))
    clock.set_wall(NOW_US)
    assert spool.date_undated().frames == 1
    [frame] = [decode_frame(row.body) for row in spool.pending_frames(9, set())]
    assert [r.time_us for r in frame.readings()] == [NOW_US - 30 * US_PER_S, NOW_US - 20 * US_PER_S]
    assert frame.time_error_us == 0
    assert spool.undated == 0
    assert spool.date_undated().frames == 0


def test_a_boot_that_never_had_the_time_is_sent_with_its_bounds(tmp_path: Path) -> None:
    clock = ManualClock(NOW_US)
    path = tmp_path / "spool.db"
    spool = opened(path, clock, "b1")
    spool.commit(Batch(readings=[at(NOW_US)], wall_us=NOW_US), seal=True)
    spool.close()
    spool = opened(path, ManualClock(0), "b2")
    spool.commit(Batch(undated=[at(5), at(5 + 600 * US_PER_S)]))
    spool.close()
    back_us = NOW_US + 3600 * US_PER_S
    spool = opened(path, ManualClock(back_us), "b3")
    assert spool.undated == 2
    spool.date_undated()
    frames = {row.seq: decode_frame(row.body) for row in spool.pending_frames(9, set())}
    assert sorted(frames) == [1, 2]
    first, last = (r.time_us for r in frames[2].readings())
    error_us = frames[2].time_error_us
    assert last - first == 600 * US_PER_S
    assert error_us == 1500 * US_PER_S
    assert first - error_us >= NOW_US
    assert last + error_us <= back_us


@given(
    after=st.integers(0, 10**15), width=st.integers(0, 10**12), first=st.integers(0, 10**12),
    length=st.integers(0, 10**12),
)  # fmt: skip
def test_bounds_hold_wherever_the_boot_really_was(
    after: int, width: int, first: int, length: int
) -> None:
    before = after + max(width, length)
    offset = bounded(after, before, first, first + length)
    shown_first, shown_last = (r.time_us for r in dated([at(first), at(first + length)], offset))
    assert shown_last - shown_first == length
    assert shown_first - offset.error_us <= after + 1
    assert shown_last + offset.error_us >= before - 1
    assert exact(before, first).add_us + first == before
