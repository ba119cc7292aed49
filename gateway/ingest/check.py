"""Is a frame believable? Pure: a decoded frame in, its columns out, or ``WireError`` with the reason.

A frame is refused only as a whole. What is merely odd (a CO channel with an offset) is not refused:
judging it is the alarms' work. The limits of a quantity are those of ``edge.wire.units``.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import zstandard

from edge.wire.clock import EARLIEST_US, FUTURE_SLACK_US, US_PER_S
from edge.wire.errors import WireError
from edge.wire.frames import MAX_FRAME_BYTES, Frame
from edge.wire.identity import check_site
from edge.wire.topics import SiteTopic, parse_site_topic
from edge.wire.units import QUANTITIES
from gateway.ingest.tables import PerTable
from gateway.stores.base import F64, FrameColumns

#: An id longer than this is none of ours (they have 21 characters) and would not fit its column.
MAX_ID_CHARACTERS = 64
#: The largest sequence number an acknowledgement can name.
MAX_SEQ = 2**62
#: A frame is one commit's worth of readings. One that covers more than this many days would open
#: as many day files at once; an edge never makes one.
MAX_SPAN_US = 31 * 24 * 3600 * US_PER_S

#: Tables of detectors that passed: the answer would be the same again.
_believed: PerTable[bool] = PerTable()


def check_frame(frame: Frame, *, topic_site: str, now_us: int) -> FrameColumns:
    """The frame's columns.

    Raises ``WireError``: site_mismatch, inconsistent, out_of_range, not_finite.
    """
    if frame.site != topic_site:
        raise WireError("site_mismatch", f"site {frame.site[:63]!r} on the topic of {topic_site!r}")
    if not 0 < len(frame.epoch) <= MAX_ID_CHARACTERS:
        raise WireError("inconsistent", f"an epoch of {len(frame.epoch)} characters")
    if frame.seq > MAX_SEQ:
        raise WireError("inconsistent", f"sequence {frame.seq}; at most 2^62")
    if not 0 <= frame.time_error_us < 2**53:
        raise WireError("out_of_range", f"a time error of {frame.time_error_us} µs")
    columns = FrameColumns.of(frame)
    _check_detectors(columns)
    _check_times(columns, now_us)
    for number, values in columns.columns.items():
        _check_values(number, values)
    return columns


def _check_detectors(columns: FrameColumns) -> None:
    if not _believed.get(columns.detectors):
        if not _all_ids(columns.detectors):
            wrong = next(name for name in columns.detectors if not _all_ids([name]))
            raise WireError("inconsistent", f"{wrong[:80]!r} is no detector id")
        if len(set(columns.detectors)) != len(columns.detectors):
            raise WireError("inconsistent", "a detector is twice in the frame's table")
        _believed.put(columns.detectors, True)
    if int(np.maximum.reduce(columns.index)) >= len(columns.detectors):
        raise WireError("inconsistent", f"a row names detector {columns.index.max()} of no table")


def _all_ids(names: Sequence[str]) -> bool:
    """Whether all of them may be detector ids."""
    longest = max(map(len, names), default=0)
    return all(names) and longest <= MAX_ID_CHARACTERS and all(map(str.isprintable, names))


def _check_times(columns: FrameColumns, now_us: int) -> None:
    first = int(np.minimum.reduce(columns.times))
    last = int(np.maximum.reduce(columns.times))
    if first < EARLIEST_US:
        raise WireError("out_of_range", f"a time before 2020: {first} µs")
    if last > now_us + FUTURE_SLACK_US:
        raise WireError("out_of_range", f"a time more than a day ahead: {last} µs")
    if last - first > MAX_SPAN_US:
        raise WireError("out_of_range", f"a frame over {(last - first) // US_PER_S} s; at most 31 days")


def _check_values(number: int, values: F64) -> None:
    quantity = QUANTITIES[number]
    # the least and the greatest, NaN ("not stated") left out; both are NaN where nothing is stated
    low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    if quantity.low <= low and high <= quantity.high:
        return
    if np.isinf(values).any():
        raise WireError("not_finite", f"{quantity.name} is infinite")
    # NaN compares as False and passes
    wrong = (values < quantity.low) | (values > quantity.high)
    if wrong.any():
        raise WireError(
            "out_of_range",
            f"{quantity.name} is {values[wrong][0]:g}; expected {quantity.low:g} to {quantity.high:g}",
        )


def site_of(topic: str) -> SiteTopic:
    """The site and leaf of one of our topics. Raises ``WireError`` unknown_topic."""
    parsed = parse_site_topic(topic)
    try:
        check_site(parsed.site if parsed else "")
    except ValueError:
        parsed = None
    if parsed is None:
        raise WireError("unknown_topic", topic[:200])
    return parsed


def frame_key(payload: bytes) -> tuple[str, int] | None:
    """(epoch, seq) of a frame that cannot be used, so that it can be answered; None if it has none.

    Without an answer its edge would send it again for ever.
    """
    try:
        body = msgspec.msgpack.decode(_unpacked(payload))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return None
    if not isinstance(body, list) or len(body) < 3:
        return None
    epoch, seq = body[1], body[2]
    if not isinstance(epoch, str) or not 0 < len(epoch) <= MAX_ID_CHARACTERS:
        return None
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 < seq <= MAX_SEQ:
        return None
    return epoch, seq


def _unpacked(payload: bytes) -> bytes:
    """The body of something that looks like a frame of any version. Raises ``ValueError``."""
    if payload[:2] != b"UF" or not 4 < len(payload) <= MAX_FRAME_BYTES:
        raise ValueError("no frame")
    packed = payload[4:]
    if payload[3] == 0:
        return packed
    try:
        if not 0 <= zstandard.frame_content_size(packed) <= MAX_FRAME_BYTES:
            raise ValueError("too large")
        return zstandard.ZstdDecompressor().decompress(packed)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
