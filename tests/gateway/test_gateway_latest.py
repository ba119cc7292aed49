"""The newest reading of each detector, against a plain loop; the key of a frame that is refused."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.wire.frames import encode_frame, frame_from_readings
from edge.wire.readings import Reading
from edge.wire.units import QUANTITY_NAMES
from gateway.ingest.check import frame_key
from gateway.ingest.latest import COLUMNS, newest
from gateway.stores.base import FrameColumns

rows = st.builds(
    Reading,
    detector=st.sampled_from(["d1", "d2", "d3"]),
    time_us=st.integers(0, 5),
    flags=st.integers(0, 511),
    flags_known=st.integers(0, 511),
    co_ppm=st.none() | st.floats(-10, 10),
    o2_pct=st.none() | st.floats(-10, 10),
)


@given(st.lists(st.lists(rows, min_size=1, max_size=12), max_size=4))
def test_newest_says_what_a_plain_loop_says(frames: list[list[Reading]]) -> None:
    best: dict[str, Reading] = {}
    for readings in frames:
        for reading in readings:
            if reading.detector not in best or reading.time_us >= best[reading.detector].time_us:
                best[reading.detector] = reading
    found = newest(
        [
            FrameColumns.of(frame_from_readings("s", "e", seq, readings))
            for seq, readings in enumerate(frames, 1)
        ]
    )
    assert found == [
        (
            name, "s", best[name].time_us, best[name].flags, best[name].flags_known,
            *(getattr(best[name], quantity) for quantity in QUANTITY_NAMES),
        )
        for name in sorted(best)
    ]  # fmt: skip
    assert all(len(row) == len(COLUMNS) for row in found)


@given(st.binary(max_size=200))
def test_a_key_is_read_of_anything_without_an_error(payload: bytes) -> None:
    assert frame_key(payload) is None or payload[:2] == b"UF"
    frame_key(b"UF\x01\x00" + payload)
    frame_key(b"UF\x01\x01" + payload)


def test_the_key_of_a_good_frame_is_its_own() -> None:
    frame = frame_from_readings("s", "epoch-1", 42, [Reading(detector="d1", time_us=1)])
    for compress in (False, True):
        assert frame_key(encode_frame(frame, compress=compress)) == ("epoch-1", 42)
