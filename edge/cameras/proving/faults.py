"""What goes wrong with a camera's picture, each in many shapes and strengths.

A fault works on any picture (BGR, 8 bit), so that generated and real pictures get the same ones.
``moved`` is the exception: it needs what stands beside the picture (see ``turned`` and ``crop``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np

from edge.cameras.proving.scenes import Picture, Plane, View

Fault = Callable[[np.random.Generator, Picture], Picture]


def dark(rng: np.random.Generator, picture: Picture) -> Picture:
    """The aperture shut, a cap, no light, a dying sensor: almost nothing, and noise."""
    kept = 0.0 if rng.random() < 0.25 else rng.uniform(0.01, 0.14)
    linear = np.power(picture.astype(np.float32) / 255, 2.2) * kept * kept
    shown = np.power(linear, 1 / 2.2) * 255 + rng.uniform(0, 12)
    shown += rng.standard_normal(picture.shape, dtype=np.float32) * rng.uniform(0.3, 4.0)
    return np.asarray(np.clip(shown, 0, 255), np.uint8)


def over_exposed(rng: np.random.Generator, picture: Picture) -> Picture:
    """The aperture stuck open, an exposure that ran away: large parts are white."""
    linear = np.power(picture.astype(np.float32) / 255, 2.2)
    wanted = rng.uniform(0.55, 0.97)  # the share of the picture that is to be white
    level = float(np.quantile(linear.mean(axis=2), 1 - wanted)) + 1e-3
    shown = np.power(np.clip(linear / level, 0, 1), 1 / 2.2) * 255
    if rng.random() < 0.5:  # the light spreads
        shown = np.maximum(shown, cv2.GaussianBlur(shown, (0, 0), rng.uniform(2, 12)))
    shown += rng.standard_normal(picture.shape, dtype=np.float32)
    return np.asarray(np.clip(shown, 0, 255), np.uint8)


def covered(rng: np.random.Generator, picture: Picture) -> Picture:
    """A hand, a bag, tape, paint, snow or ice before the lens: part of the picture or all of it."""
    shape = rng.choice(["object", "spray", "cloth", "tape", "ice"], p=[0.33, 0.22, 0.2, 0.12, 0.13])
    height, width = picture.shape[:2]
    base = picture.astype(np.float32)
    level = float(base.mean())
    for _ in range(30):
        if shape == "object":
            mask = _blob(rng, height, width, rng.uniform(0.3, 0.95))
        elif shape == "spray":
            mask = _spray(rng, height, width)
        elif shape == "tape":
            mask = _tape(rng, height, width)
        elif shape == "ice":
            mask = _blob(rng, height, width, rng.uniform(0.4, 0.95)) * rng.uniform(0.75, 0.97)
        else:
            mask = np.full((height, width), rng.uniform(0.93, 1.0), np.float32)
        if (mask > 0.6).mean() > 0.28:
            break
    dim = max(level, 25.0) / 110.0
    tone = rng.uniform(25, 190) * min(dim, 1.3) + 25
    if shape == "ice":
        tone = 90 + 110 * min(dim, 1.0)
    colour = np.clip(tone + rng.uniform(-40, 40, 3) * (shape != "ice"), 22, 250).astype(np.float32)
    cover = colour + _smooth(rng, height, width, int(max(width // 8, 8)))[..., None] * rng.uniform(
        3, 22
    )
    if shape == "cloth":
        pitch = rng.uniform(3, 9)
        yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
        weave = np.sin(xx / pitch) * np.sin(yy / pitch)
        cover = cover + cv2.GaussianBlur(weave, (0, 0), rng.uniform(0.8, 2.5))[..., None] * rng.uniform(
            0, 5
        )
    if float(picture.std(axis=2).mean()) < 2.0:
        cover = np.repeat(cover.mean(axis=2, keepdims=True), 3, axis=2)
    out = base * (1 - mask[..., None]) + cover * mask[..., None]
    out += rng.standard_normal(picture.shape, dtype=np.float32) * rng.uniform(0.3, 2.0)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def defocused(rng: np.random.Generator, picture: Picture) -> Picture:
    """The lens out of focus; the blur is a disc or a bell, 1/250 to 1/60 of the picture's width."""
    width = picture.shape[1]
    radius = max(width * rng.uniform(1 / 260, 1 / 55), 1.2)
    soft: Plane = picture.astype(np.float32)
    if rng.random() < 0.6:
        size = int(2 * np.ceil(radius * 1.4) + 1)
        yy, xx = np.mgrid[0:size, 0:size].astype(np.float32) - size // 2
        disc = np.clip(radius * 1.4 + 0.5 - np.hypot(xx, yy), 0, 1)
        soft = cv2.filter2D(soft, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    else:
        soft = cv2.GaussianBlur(soft, (0, 0), radius)
    soft = soft + rng.standard_normal(picture.shape, dtype=np.float32) * rng.uniform(0.2, 2.5)
    return np.clip(soft, 0, 255).astype(np.uint8)


def noisy(rng: np.random.Generator, picture: Picture) -> Picture:
    """A dying sensor or cable: grain, dots, lines."""
    out = picture.astype(np.float32)
    shape = rng.choice(["grain", "dots", "lines", "both"], p=[0.45, 0.2, 0.15, 0.2])
    if shape in ("grain", "both"):
        sigma = rng.uniform(13, 48)
        grain = rng.standard_normal(out.shape, dtype=np.float32)
        if rng.random() < 0.5:
            grain = np.repeat(grain[..., :1], 3, axis=2)
        if rng.random() < 0.3:
            grain = cv2.GaussianBlur(grain, (0, 0), 0.6) * 1.9
        out += grain * sigma
    if shape in ("dots", "both"):
        hit = rng.random(out.shape[:2]) < rng.uniform(0.012, 0.12)
        out[hit] = rng.choice([0.0, 255.0], size=(int(hit.sum()), 1))
    if shape == "lines":
        rows = rng.standard_normal((out.shape[0], 1, 1), dtype=np.float32) * rng.uniform(12, 40)
        out += rows if rng.random() < 0.7 else np.roll(rows, 3, axis=0) * (rng.random() + 0.5)
        out += rng.standard_normal(out.shape, dtype=np.float32) * 4
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def colour_lost(rng: np.random.Generator, picture: Picture) -> Picture:
    """By day and yet grey, or nearly; or a channel is gone."""
    base = picture.astype(np.float32)
    if rng.random() < 0.82:
        grey = base @ np.array([0.114, 0.587, 0.299], np.float32)
        kept = 0.0 if rng.random() < 0.7 else rng.uniform(0.0, 0.12)
        out = grey[..., None] * (1 - kept) + base * kept
    else:
        out = base.copy()
        channel = int(rng.integers(0, 3))
        out[..., channel] *= rng.uniform(0.0, 0.2)
    return np.asarray(np.clip(out, 0, 255), np.uint8)


def turned(rng: np.random.Generator) -> View:
    """Where a camera looks after somebody turned it: shifted, rolled, zoomed, or all of it."""
    kind = rng.choice(["shift", "far", "roll", "zoom", "all"], p=[0.4, 0.2, 0.15, 0.1, 0.15])
    angle = rng.uniform(0, 2 * np.pi)
    if kind == "shift":
        r = rng.uniform(22, 90)
        return View(dx=r * np.cos(angle), dy=r * np.sin(angle) * 0.8)
    if kind == "far":
        side = rng.choice([-1, 1])
        return View(dx=side * rng.uniform(100, 155), dy=rng.uniform(-60, 60))
    if kind == "roll":
        return View(roll_deg=float(rng.choice([-1, 1]) * rng.uniform(3.5, 14)), zoom=1.05)
    if kind == "zoom":
        return View(zoom=float(rng.uniform(1.12, 1.5)))
    return View(
        dx=rng.uniform(-90, 90), dy=rng.uniform(-50, 50),
        roll_deg=float(rng.uniform(-8, 8)), zoom=float(rng.uniform(1.0, 1.25)),
    )  # fmt: skip


#: The faults that work on the picture alone.
FAULTS: Final[dict[str, Fault]] = {
    "dark": dark,
    "over_exposed": over_exposed,
    "covered": covered,
    "defocused": defocused,
    "noisy": noisy,
    "colour_lost": colour_lost,
}


def _smooth(rng: np.random.Generator, height: int, width: int, cell: int) -> Plane:
    small = rng.standard_normal((height // cell + 2, width // cell + 2), dtype=np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _blob(rng: np.random.Generator, height: int, width: int, share: float) -> Plane:
    """A soft-edged thing that comes in from a side and takes about this share."""
    field = _smooth(rng, height, width, max(width // 4, 4)) * 0.35
    angle = rng.uniform(0, 2 * np.pi)
    yy, xx = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    field += xx * np.cos(angle) + yy * np.sin(angle)
    level = float(np.quantile(field, 1 - share))
    mask = np.clip((field - level) / rng.uniform(0.01, 0.12) + 0.5, 0, 1)
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), width / rng.uniform(60, 300)))


def _spray(rng: np.random.Generator, height: int, width: int) -> Plane:
    mask: Plane = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(5, 30))):
        x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        r = int(width * rng.uniform(0.03, 0.22))
        cv2.circle(mask, (x, y), r, 1.0, -1)
        if rng.random() < 0.3:
            cv2.line(mask, (x, y), (x, y + 3 * r), 1.0, max(r // 5, 2))
    mask = cv2.GaussianBlur(mask, (0, 0), width / rng.uniform(25, 120))
    return np.asarray(np.clip(mask * rng.uniform(1.0, 1.8), 0, rng.uniform(0.85, 1.0)), np.float32)


def _tape(rng: np.random.Generator, height: int, width: int) -> Plane:
    mask = np.zeros((height, width), np.float32)
    centre = (width * rng.uniform(0.3, 0.7), height * rng.uniform(0.3, 0.7))
    size = (width * rng.uniform(0.7, 1.6), height * rng.uniform(0.45, 1.0))
    box = cv2.boxPoints((centre, size, float(rng.uniform(-30, 30))))
    cv2.fillPoly(mask, [box.astype(np.int32)], 1.0)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), width / rng.uniform(50, 250)), np.float32)
