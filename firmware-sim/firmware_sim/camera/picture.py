"""A street drawn with numpy alone: buildings, a road, a car that drives, grain, and a ticking clock."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

#: Seven segments by digit: top, upper right, lower right, bottom, lower left, upper left, middle.
_SEGMENTS: Final = (0x3F, 0x06, 0x5B, 0x4F, 0x66, 0x6D, 0x7D, 0x07, 0x7F, 0x6F)
#: What may be wrong with the picture itself.
PICTURE_FAULTS: Final = (
    "dark", "over_exposed", "covered", "defocused", "moved", "noisy", "colour_lost",
)  # fmt: skip


class Street:
    """A scene of its own per seed; ``picture`` draws a moment of it, RGB."""

    def __init__(self, width: int, height: int, seed: int) -> None:
        self.width, self.height = width, height
        self._seed = seed
        self._wide = self._draw(np.random.default_rng([81, seed]))

    def _draw(self, rng: np.random.Generator) -> NDArray[np.float32]:
        height, width = int(self.height * 1.4), int(self.width * 1.4)
        canvas = np.empty((height, width, 3), np.float32)
        horizon = int(height * rng.uniform(0.3, 0.5))
        canvas[:horizon] = np.array([150, 180, 215]) - np.linspace(30, 0, horizon)[:, None, None]
        canvas[horizon:] = np.array([105, 100, 92])
        canvas[horizon:] += rng.normal(0, 9, (height - horizon, width, 1))
        for _ in range(9):
            x, wide = int(rng.uniform(0, width * 0.92)), int(width * rng.uniform(0.06, 0.2))
            top, base = (
                int(horizon * rng.uniform(0.1, 0.7)),
                horizon + int(rng.uniform(0, height * 0.1)),
            )
            canvas[top:base, x : x + wide] = rng.uniform(70, 200, 3)
            pitch = max(int(width * rng.uniform(0.012, 0.025)), 5)
            for wy in range(top + 4, base - pitch, pitch + 3):
                for wx in range(x + 4, min(x + wide, width) - pitch, pitch + 2):
                    canvas[wy : wy + pitch * 2 // 3, wx : wx + pitch // 2] = (40, 45, 60)
        for part in range(horizon + 20, height, 24):
            half = 2 + (part - horizon) // 30
            middle = width // 2 + (part - horizon) // 4
            canvas[part : part + 10, middle - half : middle + half] = (205, 205, 190)
        return canvas

    def picture(
        self, number: int, *, at_s: float, clock: int, fault: str | None, night: bool
    ) -> Picture:
        """Picture ``number``: traffic by ``at_s``, the clock shows ``clock`` seconds."""
        rng = np.random.default_rng([82, self._seed, number])
        dy, dx = (int(s * 0.2) for s in (self.height, self.width))
        if fault == "moved":
            dx, dy = int(dx * 1.8), int(dy * 0.4)
        scene = self._wide[dy : dy + self.height, dx : dx + self.width].copy()
        if not night:
            self._car(scene, at_s)
        if night:
            scene = scene * np.float32(0.3) + 12
        scene = self._spoil(scene, fault, rng)
        scene += rng.normal(0, 3.0 if night else 1.5, scene.shape[:2])[..., None]
        self._clock(scene, clock)
        return np.clip(scene, 0, 255).astype(np.uint8)

    def _car(self, scene: NDArray[np.float32], at_s: float) -> None:
        x = int((at_s * 0.11 % 1.3 - 0.15) * self.width)
        y, wide, tall = int(self.height * 0.78), self.width // 9, self.height // 12
        scene[y : y + tall, max(x, 0) : max(x + wide, 0)] = (170, 40, 35)
        low = max(x + wide // 4, 0)
        scene[y - tall // 2 : y, low : max(x + 3 * wide // 4, low)] = (60, 60, 75)

    def _spoil(
        self, scene: NDArray[np.float32], fault: str | None, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        if fault == "dark":
            return scene * np.float32(0.04) + 3
        if fault == "over_exposed":
            return scene * np.float32(3.2) + 70
        if fault == "covered":
            cut = int(self.width * 0.12)
            scene[:, cut:] = np.array([92, 84, 74]) + rng.normal(0, 0.5, (1, 1, 1))
        if fault == "defocused":
            return _soften(scene, max(self.width // 110, 3))
        if fault == "noisy":
            return scene + rng.normal(0, 38, scene.shape).astype(np.float32)
        if fault == "colour_lost":
            return np.repeat(scene.mean(axis=2, keepdims=True), 3, axis=2)
        return scene

    def _clock(self, scene: NDArray[np.float32], seconds: int) -> None:
        unit = max(self.height // 90, 2)
        text = f"{seconds // 3600 % 24:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
        for place, digit in enumerate(text):
            x, y = unit * (3 + place * 5 + place // 2 * 2), unit * 2
            scene[y - unit : y + unit * 8, x - unit : x + unit * 4] = 10
            bits = _SEGMENTS[int(digit)]
            boxes = (
                (0, 0, 1, 3), (0, 2, 4, 1), (3, 2, 4, 1), (6, 0, 1, 3), (3, 0, 4, 1), (0, 0, 4,
                1), (3, 0, 1, 3),
            )  # fmt: skip
            for bit, (row, column, tall, wide) in enumerate(boxes):
                if bits >> bit & 1:
                    scene[
                        y + row * unit : y + (row + tall) * unit,
                        x + column * unit : x + (column + wide) * unit,
                    ] = 245


def _soften(scene: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """A box blur in both directions, twice, by running sums."""
    for axis in (0, 1, 0, 1):
        width = 2 * radius + 1
        pads = [(0, 0)] * 3
        pads[axis] = (radius + 1, radius)
        total = np.cumsum(np.pad(scene, pads, mode="edge"), axis=axis, dtype=np.float64)
        size = total.shape[axis]
        scene = ((np.take(total, range(width, size), axis) - np.take(total, range(size - width), axis))
                 / width).astype(np.float32)  # fmt: skip
    return scene
