"""zstd with one context for each thread: to make one anew costs half as much as packing a frame."""

from __future__ import annotations

import threading

import zstandard

#: The quickest ordinary level; a higher one gains little on columns of numbers.
_LEVEL = 1


class _Contexts(threading.local):
    def __init__(self) -> None:
        self.packer = zstandard.ZstdCompressor(level=_LEVEL)
        self.unpacker = zstandard.ZstdDecompressor()


_contexts = _Contexts()


def pack(data: bytes) -> bytes:
    """``data`` as one zstd frame that states its size."""
    return _contexts.packer.compress(data)


def unpack(data: bytes | memoryview) -> bytes:
    """The bytes of one zstd frame. Bound its stated size before. Raises ``zstandard.ZstdError``."""
    return _contexts.unpacker.decompress(data)
