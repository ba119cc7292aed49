"""A frame: a batch of readings of one site as columns of fixed width.

Bytes on the wire: ``b"UF"``, one byte version (1), one byte encoding (0 as it is, 1 zstd), then a
msgpack array

    [site, epoch, seq, time_error_us, detectors, count, index, times, flags, {quantity: column}]

``detectors`` is the table of detector ids (str); ``index`` is uint16 little-endian into it, ``times``
int64 µs UTC, ``flags`` uint32 (low half set, high half known), every column float64 with NaN for
"not stated", keyed by the quantity's place in ``units.QUANTITIES``. All columns have ``count`` rows,
so numpy reads them without a copy. ``time_error_us`` bounds how wrong the times may be (0 = synced).

The key of a frame is (site, epoch, lane "frames", seq).
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

import msgspec
import zstandard
from msgspec.structs import astuple

from edge.wire.errors import WireError
from edge.wire.packing import pack, unpack
from edge.wire.readings import Reading
from edge.wire.units import QUANTITY_NAMES

VERSION = 1
_MAGIC = b"UF"
_RAW, _ZSTD = 0, 1

#: A frame carries at most this many readings: one commit's worth, and it keeps a lost one cheap.
MAX_READINGS = 4096
#: Neither packed nor unpacked may a frame be larger; above it is an attack or a bug.
MAX_FRAME_BYTES = 1 << 20
#: Bytes of detector tables that are remembered: three times the capital's. Beyond it all are forgotten.
_MAX_REMEMBERED_BYTES = 16 << 20


_FIRST_QUANTITY = Reading.__struct_fields__.index(QUANTITY_NAMES[0])

_Table = TypeVar("_Table")


class _Body(msgspec.Struct, Generic[_Table], array_like=True, forbid_unknown_fields=True):
    site: str
    epoch: str
    seq: int
    time_error_us: int
    detectors: _Table
    count: int
    index: bytes
    times: bytes
    flags: bytes
    columns: dict[int, bytes]


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded frame. Columns stay bytes (see the module) until somebody needs rows.

    Frames with the same table of detectors share one list: nobody changes it.
    """

    site: str
    epoch: str
    seq: int
    detectors: list[str]
    count: int
    index: bytes
    times: bytes
    flags: bytes
    columns: dict[int, bytes]
    time_error_us: int = 0

    def readings(self) -> Iterator[Reading]:
        """Row by row; the slow and simple way. Raises ``WireError`` for an index out of its table."""
        index, times, flags = _ints("H", self.index), _ints("q", self.times), _ints("I", self.flags)
        columns = [(QUANTITY_NAMES[n], _floats(raw)) for n, raw in self.columns.items()]
        for row in range(self.count):
            if index[row] >= len(self.detectors):
                raise WireError("inconsistent", f"row {row} names detector {index[row]} of no table")
            values = {name: col[row] for name, col in columns if not math.isnan(col[row])}
            yield Reading(
                detector=self.detectors[index[row]],
                time_us=times[row],
                flags=flags[row] & 0xFFFF,
                flags_known=flags[row] >> 16,
                **values,
            )


def _ints(code: str, raw: bytes) -> array[int]:
    column: array[int] = array(code)
    column.frombytes(raw)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def _floats(raw: bytes) -> array[float]:
    column: array[float] = array("d")
    column.frombytes(raw)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def _bytes(column: array[int] | array[float]) -> bytes:
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()


def frame_from_readings(
    site: str, epoch: str, seq: int, readings: Sequence[Reading], *, time_error_us: int = 0
) -> Frame:
    """Columns from rows. At most ``MAX_READINGS``; more is a ``ValueError`` (our own misuse).

    The table is in order of id: frames of the same detectors have the same one, which a reader knows.
    """
    if len(readings) > MAX_READINGS:
        raise ValueError(f"{len(readings)} readings in one frame; at most {MAX_READINGS}")
    table = {one: at for at, one in enumerate(sorted({r.detector for r in readings}))}
    index = array("H", [table[r.detector] for r in readings])
    columns: dict[int, bytes] = {}
    # a reading's fields are its key, its flags and then the quantities in their order
    for number, values in enumerate(list(zip(*map(astuple, readings), strict=True))[_FIRST_QUANTITY:]):
        unstated = values.count(None)
        if unstated < len(values):
            if unstated:
                values = tuple([math.nan if value is None else value for value in values])
            columns[number] = _bytes(array("d", values))
    return Frame(
        site=site,
        epoch=epoch,
        seq=seq,
        detectors=list(table),
        count=len(readings),
        index=_bytes(index),
        times=_bytes(array("q", (r.time_us for r in readings))),
        flags=_bytes(array("I", (r.flags | r.flags_known << 16 for r in readings))),
        columns=columns,
        time_error_us=time_error_us,
    )


def encode_frame(frame: Frame, *, compress: bool = True) -> bytes:
    """The frame's bytes on the wire."""
    body = msgspec.msgpack.encode(
        _Body(
            frame.site, frame.epoch, frame.seq, frame.time_error_us, frame.detectors, frame.count,
            frame.index, frame.times, frame.flags, frame.columns,
        )
    )  # fmt: skip
    if not compress:
        return _MAGIC + bytes((VERSION, _RAW)) + body
    return _MAGIC + bytes((VERSION, _ZSTD)) + pack(body)


_decoder = msgspec.msgpack.Decoder(_Body[msgspec.Raw])
_table_decoder = msgspec.msgpack.Decoder(list[str])


class _Tables:
    """Tables of detectors by their bytes: a site says the same one again and again."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[str]] = {}
        self._bytes = 0

    def of(self, raw: bytes) -> list[str]:
        """Raises what msgspec raises."""
        table = self._known.get(raw)
        if table is None:
            table = _table_decoder.decode(raw)
            if self._bytes > _MAX_REMEMBERED_BYTES:
                self._known, self._bytes = {}, 0
            self._known[raw] = table
            self._bytes += len(raw)
        return table


_tables = _Tables()


def decode_frame(payload: bytes) -> Frame:
    """The frame in the payload, its shape checked (its values are the ingest's to judge).

    Raises ``WireError``: too_large, truncated, unknown_version, wrong_type, inconsistent.
    """
    if len(payload) > MAX_FRAME_BYTES:
        raise WireError("too_large", f"{len(payload)} bytes; at most {MAX_FRAME_BYTES}")
    if len(payload) < 4:
        raise WireError("truncated", f"{len(payload)} bytes; a frame has a header of 4")
    if payload[:2] != _MAGIC:
        raise WireError("wrong_type", "no frame: it does not begin with 'UF'")
    if payload[2] != VERSION:
        raise WireError("unknown_version", f"frame version {payload[2]}; expected {VERSION}")
    body, detectors = _decode_body(_unpack(payload[3], payload[4:]))
    _check_shape(body, len(detectors))
    return Frame(
        site=body.site,
        epoch=body.epoch,
        seq=body.seq,
        detectors=detectors,
        count=body.count,
        index=body.index,
        times=body.times,
        flags=body.flags,
        columns=body.columns,
        time_error_us=body.time_error_us,
    )


def _unpack(encoding: int, packed: bytes) -> bytes:
    if encoding == _RAW:
        return packed
    if encoding != _ZSTD:
        raise WireError("unknown_version", f"frame encoding {encoding}; expected 0 or 1")
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= MAX_FRAME_BYTES:
            raise WireError("too_large", f"unpacks to {size} bytes; at most {MAX_FRAME_BYTES}")
        return unpack(packed)
    except zstandard.ZstdError as error:
        raise WireError("truncated", f"zstd: {error}") from None


def _decode_body(raw: bytes) -> tuple[_Body[msgspec.Raw], list[str]]:
    try:
        body = _decoder.decode(raw)
        return body, _tables.of(bytes(body.detectors))
    except msgspec.ValidationError as error:
        raise WireError("wrong_type", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError("truncated", str(error)) from None


def _check_shape(body: _Body[msgspec.Raw], detectors: int) -> None:
    rows = body.count
    if not 0 < rows <= MAX_READINGS:
        raise WireError("inconsistent", f"{rows} readings; expected 1 to {MAX_READINGS}")
    if not 0 < detectors <= rows:
        raise WireError("inconsistent", f"{detectors} detectors for {rows} readings")
    if not 0 < body.seq < 2**63:
        raise WireError("inconsistent", f"sequence {body.seq}; expected a number from 1")
    widths = {"index": (body.index, 2), "times": (body.times, 8), "flags": (body.flags, 4)}
    for number, column in body.columns.items():
        if not 0 <= number < len(QUANTITY_NAMES):
            raise WireError("unknown_version", f"quantity {number} is unknown")
        widths[QUANTITY_NAMES[number]] = (column, 8)
    for name, (column, width) in widths.items():
        if len(column) != rows * width:
            raise WireError("inconsistent", f"{name} has {len(column)} bytes for {rows} readings")


def chunks(readings: Iterable[Reading], size: int) -> Iterator[list[Reading]]:
    """Readings in lists of at most ``size``, in order."""
    batch: list[Reading] = []
    for reading in readings:
        batch.append(reading)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
