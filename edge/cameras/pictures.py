"""Pictures from files and from cameras: bounded, decoded, always BGR with 8 bits.

A picture's header is read before its pixels: one that claims a hundred megapixels is refused before
any memory is spent on it.
"""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

#: A camera's picture is at most 4K (8.3 MP) and some twelve; larger is hostile or no camera.
MAX_PIXELS = 25_000_000
#: A JPEG of that many pixels at the best quality.
MAX_BYTES = 20 << 20
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


class BadPicture(ValueError):
    """No picture, or none we dare to decode. ``reason`` is closed: not_a_picture, too_large."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def decode(data: bytes) -> Picture:
    """The picture in these bytes. Raises ``BadPicture``."""
    if len(data) > MAX_BYTES:
        raise BadPicture("too_large", f"{len(data)} bytes; at most {MAX_BYTES}")
    size = claimed_size(data)
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        raise BadPicture("too_large", f"{size[0]}x{size[1]} pixels; at most {MAX_PIXELS}")
    if size is None and len(data) > 2 << 20:
        raise BadPicture("not_a_picture", "no size in its header")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error as error:
        raise BadPicture("not_a_picture", str(error.err)[:120]) from None
    if picture is None or min(picture.shape[:2]) < 16:
        raise BadPicture("not_a_picture", "it cannot be decoded or is smaller than 16 pixels")
    return np.asarray(picture, np.uint8)


def read(path: Path) -> Picture:
    """The picture in this file. Raises ``BadPicture`` and ``OSError``."""
    with path.open("rb") as file:
        return decode(file.read(MAX_BYTES + 1))


def find(folder: Path) -> list[Path]:
    """The picture files of a folder, by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def claimed_size(data: bytes) -> tuple[int, int] | None:
    """Width and height as the header of a PNG, JPEG or BMP says; None if it says nothing."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return int(width), int(height)
    if data[:2] == b"BM" and len(data) >= 26:
        width, height = struct.unpack("<ii", data[18:26])
        return abs(int(width)), abs(int(height))
    if data[:2] == b"\xff\xd8":
        return _jpeg_size(data)
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return int(width), int(height)
        if marker in (0x01, *range(0xD0, 0xD8)):
            at += 2
            continue
        at += 2 + int(struct.unpack(">H", data[at + 2 : at + 4])[0])
    return None
