"""A block: rows of one site's frame on one day, packed for the embedded store. Pure.

Bytes: version (1), then zstd of ``rows`` (u32 little-endian), ``mask`` (u16: bit n set when the
quantity n of ``units.QUANTITIES`` has a column), then the columns one after the other: detector
numbers (u32, of the file's own table), times (i64 µs), flags (u32), then one f64 column for each bit.
Wide columns are stored byte plane by byte plane: all first bytes, all second bytes and so on. Equal
exponents and leading bytes then lie together, and zstd finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

from edge.wire.packing import pack, unpack
from edge.wire.units import QUANTITY_NAMES
from gateway.stores.base import F64, I64, U32

VERSION = 1
_HEADER_BYTES = 6


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of a block; ``columns`` by the quantity's number."""

    detectors: U32
    times: I64
    flags: U32
    columns: dict[int, F64]


def encode_block(block: Block) -> bytes:
    """The block's bytes; equal blocks give equal bytes."""
    mask = sum(1 << number for number in block.columns)
    parts = [
        len(block.times).to_bytes(4, "little") + mask.to_bytes(2, "little"),
        _planes(block.detectors, "<u4"),
        _planes(block.times, "<i8"),
        _planes(block.flags, "<u4"),
        *(_planes(block.columns[number], "<f8") for number in sorted(block.columns)),
    ]
    return bytes((VERSION,)) + pack(b"".join(parts))


def decode_block(data: bytes, wanted: set[int] | None = None) -> Block:
    """The block in the bytes; of its quantities only the ``wanted`` (None: all).

    Raises ``ValueError`` for a version this program does not know or for damaged bytes.
    """
    raw = _unpacked(data)
    rows = int.from_bytes(raw[:4], "little")
    mask = int.from_bytes(raw[4:6], "little")
    at = _HEADER_BYTES
    detectors = _column(raw, at, rows, "<u4")
    times = _column(raw, at + 4 * rows, rows, "<i8")
    flags = _column(raw, at + 12 * rows, rows, "<u4")
    at += 16 * rows
    columns: dict[int, F64] = {}
    for number in range(len(QUANTITY_NAMES)):
        if mask >> number & 1:
            if wanted is None or number in wanted:
                columns[number] = _column(raw, at, rows, "<f8")
            at += 8 * rows
    return Block(detectors, times, flags, columns)


def pick_rows(datas: Sequence[bytes], detector: int, wanted: set[int] | None = None) -> Block:
    """The rows of one detector in many blocks, in the blocks' order; quantities as ``decode_block``.

    A site's blocks are mostly of one shape: those are looked through together, and only what the
    detector has is put together again. Raises ``ValueError`` as ``decode_block`` does.
    """
    shapes: dict[tuple[int, bytes], list[int]] = {}
    raws = []
    for place, data in enumerate(datas):
        raw = _unpacked(data)
        raws.append(raw)
        shapes.setdefault((len(raw), raw[:_HEADER_BYTES]), []).append(place)
    parts = [_pick([raws[at] for at in alike], alike, detector, wanted) for alike in shapes.values()]
    order = np.argsort(_joined([part.places for part in parts], "<i8"), kind="stable")
    numbers = sorted({number for part in parts for number in part.columns})
    return Block(
        np.full(len(order), detector, np.uint32),
        _joined([part.times for part in parts], "<i8")[order],
        _joined([part.flags for part in parts], "<u4")[order],
        {
            number: np.concatenate(
                [part.columns.get(number, np.full(len(part.times), np.nan)) for part in parts]
            )[order]
            for number in numbers
        },
    )


class _Picked(NamedTuple):
    #: which block each row is of
    places: I64
    times: I64
    flags: U32
    columns: dict[int, F64]


def _pick(
    raws: Sequence[bytes], places: Sequence[int], detector: int, wanted: set[int] | None
) -> _Picked:
    """From unpacked blocks of one shape."""
    rows = int.from_bytes(raws[0][:4], "little")
    mask = int.from_bytes(raws[0][4:6], "little")
    table = np.frombuffer(b"".join(raws), np.uint8).reshape(len(raws), len(raws[0]))
    planes = table[:, _HEADER_BYTES : _HEADER_BYTES + 4 * rows].reshape(len(raws), 4, rows)
    low_byte = planes[:, 0] == detector & 0xFF
    block, row = np.nonzero(low_byte)
    numbers = _gathered(table, _HEADER_BYTES, rows, block, row, "<u4")
    block, row = block[numbers == detector], row[numbers == detector]
    at = _HEADER_BYTES + 4 * rows
    times = _gathered(table, at, rows, block, row, "<i8")
    flags = _gathered(table, at + 8 * rows, rows, block, row, "<u4")
    at += 12 * rows
    columns: dict[int, F64] = {}
    for number in range(len(QUANTITY_NAMES)):
        if mask >> number & 1:
            if wanted is None or number in wanted:
                columns[number] = _gathered(table, at, rows, block, row, "<f8")
            at += 8 * rows
    return _Picked(np.asarray(places, np.int64)[block], times, flags, columns)


def _gathered(
    table: npt.NDArray[np.uint8], at: int, rows: int, block: I64, row: I64, dtype: str
) -> npt.NDArray[Any]:
    """These rows' values of the column that begins at a byte, its byte planes put together."""
    width = np.dtype(dtype).itemsize
    places = at + row[:, None] + np.arange(width) * rows
    return np.ascontiguousarray(table[block[:, None], places]).view(dtype).reshape(len(row))


def _joined(parts: Sequence[npt.NDArray[Any]], dtype: str) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _unpacked(data: bytes) -> bytes:
    if not data or data[0] != VERSION:
        raise ValueError(f"a block of version {data[:1].hex() or 'none'}; expected {VERSION}")
    try:
        return unpack(memoryview(data)[1:])
    except zstandard.ZstdError as error:
        raise ValueError(f"a damaged block: {error}") from None


def _planes(column: npt.NDArray[Any], dtype: str) -> bytes:
    plain = np.ascontiguousarray(column, dtype)
    return plain.view(np.uint8).reshape(len(plain), plain.itemsize).T.tobytes()


def _column(raw: bytes, at: int, rows: int, dtype: str) -> npt.NDArray[Any]:
    width = np.dtype(dtype).itemsize
    planes = np.frombuffer(raw, np.uint8, rows * width, at).reshape(width, rows)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(rows)
