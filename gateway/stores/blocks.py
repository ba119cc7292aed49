"""A block: rows of one site's frame on one day, packed for the embedded store. Pure.

Bytes: version (1), then zstd of ``rows`` (u32 little-endian), ``mask`` (u16: bit n set when the
quantity n of ``units.QUANTITIES`` has a column), then the columns one after the other: detector
numbers (u32, of the file's own table), times (i64 µs), flags (u32), then one f64 column for each bit.
Wide columns are stored byte plane by byte plane: all first bytes, all second bytes and so on. Equal
exponents and leading bytes then lie together, and zstd finds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from edge.wire.units import QUANTITY_NAMES
from gateway.stores.base import F64, I64, U32

VERSION = 1
_ZSTD_LEVEL = 1
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
    return bytes((VERSION,)) + zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(b"".join(parts))


def decode_block(data: bytes, wanted: set[int] | None = None) -> Block:
    """The block in the bytes; of its quantities only the ``wanted`` (None: all).

    Raises ``ValueError`` for a version this program does not know or for damaged bytes.
    """
    if not data or data[0] != VERSION:
        raise ValueError(f"a block of version {data[:1].hex() or 'none'}; expected {VERSION}")
    try:
        raw = zstandard.ZstdDecompressor().decompress(data[1:])
    except zstandard.ZstdError as error:
        raise ValueError(f"a damaged block: {error}") from None
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


def _planes(column: npt.NDArray[Any], dtype: str) -> bytes:
    plain = np.ascontiguousarray(column, dtype)
    return plain.view(np.uint8).reshape(len(plain), plain.itemsize).T.tobytes()


def _column(raw: bytes, at: int, rows: int, dtype: str) -> npt.NDArray[Any]:
    width = np.dtype(dtype).itemsize
    planes = np.frombuffer(raw, np.uint8, rows * width, at).reshape(width, rows)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(rows)
