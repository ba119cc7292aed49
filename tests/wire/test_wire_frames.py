"""Frames: rows to columns and back, and nothing but ``WireError`` for bytes that are no frame."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from edge.wire.errors import REASONS, WireError
from edge.wire.frames import (
    MAX_FRAME_BYTES,
    MAX_READINGS,
    chunks,
    decode_frame,
    encode_frame,
    frame_from_readings,
)
from edge.wire.readings import Flag, Reading
from edge.wire.units import QUANTITIES, QUANTITY_NAMES

_FLAGS = sum(Flag)


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    known = draw(st.integers(0, _FLAGS))
    values = {
        quantity.name: draw(st.floats(quantity.low, quantity.high))
        for quantity in draw(st.lists(st.sampled_from(QUANTITIES), unique=True))
    }
    return Reading(
        detector=draw(st.sampled_from(["da", "db", "dc"])),
        time_us=draw(st.integers(-(2**63), 2**63 - 1)),
        flags=draw(st.integers(0, _FLAGS)) & known,
        flags_known=known,
        **values,
    )


def _good(count: int = 3) -> list[Reading]:
    return [
        Reading(detector=f"d{n % 2}", time_us=n, co_ppm=float(n), flags=1, flags_known=3)
        for n in range(count)
    ]


def _packed(body: list[object], *, version: int = 1, encoding: int = 0) -> bytes:
    return b"UF" + bytes((version, encoding)) + msgspec.msgpack.encode(body)


_FIELDS = (
    "site", "epoch", "seq", "time_error_us", "detectors", "count", "index", "times", "flags",
    "columns",
)  # fmt: skip
_BODY: list[object] = [
    "home-1", "e", 1, 0, ["da"], 1, b"\0\0", b"\0" * 8, b"\0" * 4, {0: b"\0" * 8},
]  # fmt: skip


def _body(**changes: object) -> list[object]:
    body = list(_BODY)
    for name, value in changes.items():
        body[_FIELDS.index(name)] = value
    return body


@given(st.lists(readings(), min_size=1, max_size=50), st.booleans(), st.integers(0, 2**40))
def test_readings_come_out_of_a_frame_as_they_went_in(
    rows: list[Reading], compress: bool, time_error_us: int
) -> None:
    frame = frame_from_readings("home-1", "epoch", 7, rows, time_error_us=time_error_us)
    back = decode_frame(encode_frame(frame, compress=compress))
    assert back == frame
    assert list(back.readings()) == rows


def test_numpy_reads_the_columns_without_a_copy() -> None:
    frame = decode_frame(encode_frame(frame_from_readings("home-1", "e", 1, _good(500))))
    column = np.frombuffer(frame.columns[QUANTITY_NAMES.index("co_ppm")], "<f8")
    assert column.tolist() == [float(n) for n in range(500)]


def test_a_quantity_nobody_states_costs_no_column() -> None:
    assert list(frame_from_readings("home-1", "e", 1, _good()).columns) == [0]


def test_a_frame_of_many_readings_is_smaller_than_their_json() -> None:
    rows = _good(1000)
    assert len(encode_frame(frame_from_readings("home-1", "e", 1, rows))) * 4 < len(
        msgspec.json.encode(rows)
    )


def test_more_readings_than_a_frame_holds_are_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="at most"):
        frame_from_readings("home-1", "e", 1, _good(MAX_READINGS + 1))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_nothing_but_the_documented_error(payload: bytes) -> None:
    _decode_or_refuse(payload)


@given(st.binary(max_size=300), st.sampled_from([0, 1, 2, 255]))
def test_arbitrary_bytes_behind_a_good_header_raise_nothing_else(body: bytes, encoding: int) -> None:
    _decode_or_refuse(b"UF\x01" + bytes((encoding,)) + body)
    _decode_or_refuse(b"UF\x01\x01" + zstandard.ZstdCompressor().compress(body))


@given(st.data())
def test_a_frame_cut_or_changed_anywhere_raises_nothing_else(data: st.DataObject) -> None:
    payload = bytearray(encode_frame(frame_from_readings("home-1", "e", 1, _good()), compress=False))
    place = data.draw(st.integers(0, len(payload) - 1))
    payload[place] = data.draw(st.integers(0, 255))
    _decode_or_refuse(bytes(payload))
    _decode_or_refuse(bytes(payload[:place]))


def _decode_or_refuse(payload: bytes) -> None:
    try:
        list(decode_frame(payload).readings())
    except WireError as error:
        assert error.reason in REASONS


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (b"UF", "truncated"),
        (b"{}{}", "wrong_type"),
        (_packed(_BODY, version=2), "unknown_version"),
        (_packed(_BODY, encoding=9), "unknown_version"),
        (_packed(_body(count=0)), "inconsistent"),
        (_packed(_body(count=MAX_READINGS + 1)), "inconsistent"),
        (_packed(_body(count=2)), "inconsistent"),
        (_packed(_body(seq=0)), "inconsistent"),
        (_packed(_body(detectors=[])), "inconsistent"),
        (_packed(_body(index=b"\1\0")), "inconsistent"),
        (_packed(_body(columns={99: b"\0" * 8})), "unknown_version"),
        (_packed(_body(columns={0: b"\0" * 7})), "inconsistent"),
        (_packed(_body(site=5)), "wrong_type"),
        (_packed(_BODY[:5]), "wrong_type"),
        (_packed(_BODY)[:-1], "truncated"),
        (b"UF\x01\x01" + b"no zstd", "truncated"),
        (b"UF\x01\x00" + b"\0" * MAX_FRAME_BYTES, "too_large"),
        (
            b"UF\x01\x01" + zstandard.ZstdCompressor().compress(b"\0" * (MAX_FRAME_BYTES + 1)),
            "too_large",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_frame_is_refused_with_its_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(WireError) as caught:
        list(decode_frame(payload).readings())
    assert caught.value.reason == reason


def test_a_value_that_is_not_a_number_in_a_column_means_not_stated() -> None:
    frame = frame_from_readings(
        "home-1",
        "e",
        1,
        [Reading(detector="d", time_us=1, co_ppm=1.0), Reading(detector="d", time_us=2)],
    )
    assert math.isnan(np.frombuffer(frame.columns[0], "<f8")[1])
    assert [row.co_ppm for row in frame.readings()] == [1.0, None]


@given(st.lists(st.integers(), max_size=40), st.integers(1, 10))
def test_chunks_keep_every_reading_in_order(numbers: list[int], size: int) -> None:
    rows = [Reading(detector="d", time_us=n) for n in numbers]
    parts = list(chunks(rows, size))
    assert [row for part in parts for row in part] == rows
    assert all(0 < len(part) <= size for part in parts)
