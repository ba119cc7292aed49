"""Evidence for people: two small pictures, no larger than it takes to see what happened.

160 pixels wide and softened below that: enough for a hand before the lens, too little for a face or a
number plate on a street.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from edge.cameras.pictures import Picture

WIDTH: Final = 160
#: The wire takes no larger one.
MAX_BYTES: Final = 12_000


def thumbnail(picture: Picture) -> bytes | None:
    """A JPEG; None if even the poorest is too large (noise hardly compresses)."""
    height, width = picture.shape[:2]
    size = (WIDTH, int(np.clip(round(height * WIDTH / width), 16, WIDTH * 2)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 0.6)
    for quality in (60, 40, 20):
        done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if done and data.size <= MAX_BYTES:
            return bytes(data.tobytes())
    return None


def nearest(picture: Picture, references: list[Picture]) -> Picture | None:
    """Of the references the one of the most similar light."""
    if not references:
        return None
    light = float(picture[::8, ::8].mean())
    return min(references, key=lambda other: abs(float(other[::8, ::8].mean()) - light))
