"""A glance at a picture: a few numbers by which a later one can be told to be like it or not.

Each probe takes one; it costs a fraction of a full look. ``strange`` compares it with glances at which
the judge found nothing wrong: what differs is a reason to look, never an alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.outcome import Glance

WIDTH, HEIGHT = 32, 18
#: Glances that are remembered of a camera: half an hour at one each 24 s, and the last full looks.
KEPT: Final = 24
#: Below this correlation with all of them it is another picture; traffic and clouds leave 0.9.
_ALIKE: Final = 0.86
#: Fine detail may fall to this share of the least of them.
_SHARP: Final = 0.75
#: Light may leave their range by this much, colour by this share.
_LIGHT: Final = 18.0
_COLOUR: Final = 0.6


def glance(luma: NDArray[np.uint8], colour: float) -> Glance:
    """Of a picture's luma, any size; ``colour`` is its mean distance from grey."""
    blocks = cv2.resize(luma, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    middle = cv2.resize(luma, (320, 180), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = np.abs(middle - cv2.GaussianBlur(middle, (0, 0), 1.0))
    spread = float(middle.std())
    return Glance(
        blocks=blocks.tobytes(), light=round(float(middle.mean()), 2), spread=round(spread, 2),
        sharp=round(float(np.quantile(fine[::2, ::2], 0.9)) / (spread + 4.0), 4),
        colour=round(colour, 3),
    )  # fmt: skip


def planes(frame: Any) -> tuple[NDArray[np.uint8], float]:
    """Luma of a decoded frame and its mean distance from grey, without converting where possible."""
    if frame.format.name in ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p"):
        chroma = [
            float(np.abs(_plane(frame, n)[::2, ::2].astype(np.int16) - 128).mean()) for n in (1, 2)
        ]
        return np.ascontiguousarray(_plane(frame, 0)), sum(chroma)
    return of_picture(frame.to_ndarray(format="bgr24"))


def of_picture(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """The same of a BGR picture."""
    small = cv2.resize(picture, (160, 90), interpolation=cv2.INTER_AREA)
    ycc = cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb).astype(np.int16)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(grey, np.uint8), float(np.abs(ycc[..., 1:] - 128).mean(axis=(0, 1)).sum())


def _plane(frame: Any, number: int) -> NDArray[np.uint8]:
    plane = frame.planes[number]
    data = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return data[: plane.height, : plane.width]


def strange(seen: Glance, known: Sequence[Glance]) -> str | None:
    """Why this glance is like none of the known good ones; None if it is, or nothing is known."""
    if not known:
        return None
    own = _centred(seen)
    alike = max(float(own @ _centred(other)) for other in known)
    if alike < _ALIKE:
        return "another picture"
    if seen.sharp < _SHARP * min(other.sharp for other in known):
        return "softer"
    if seen.sharp > min(max(other.sharp for other in known) / _SHARP, 9.0):
        return "coarser"
    lights = [other.light for other in known]
    if not min(lights) - _LIGHT <= seen.light <= max(lights) + _LIGHT:
        return "other light"
    colours = [other.colour for other in known]
    if min(colours) > 1.5 and seen.colour < _COLOUR * min(colours):
        return "less colour"
    return None


def still(seen: Glance, before: Glance) -> bool:
    """Whether not even grain shows between two glances: a reason to look at a film."""
    a, b = (np.frombuffer(g.blocks, np.uint8).astype(np.int16) for g in (seen, before))
    # a clock moves a few blocks of the edge
    return bool(np.quantile(np.abs(a - b), 0.95) == 0)


def _centred(of: Glance) -> NDArray[np.float32]:
    values = np.frombuffer(of.blocks, np.uint8).astype(np.float32)
    values -= values.mean()
    return np.asarray(values / (np.linalg.norm(values) + 8.0), np.float32)
