"""One look at a picture: everything that is measured without a reference.

Cast: ``Look`` (small luma and colour, its locally normalised twin, block maps, sharpness and noise),
``look_at``. A picture of any size is brought to 320 pixels of width (and the bank's height) for what
concerns place and light; sharpness and noise are measured on up to 1280 pixels of width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.pictures import Picture

#: float32; the stubs of OpenCV promise less of what its functions return.
Plane = NDArray[Any]

SMALL_WIDTH = 320
#: Blocks of 16 pixels in the small picture.
BLOCK = 16
#: Wider pictures are halved until they fit: a lens resolves no more, and time is short.
FINE_WIDTH = 1280
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True, slots=True)
class Look:
    """What one picture shows by itself. ``normal`` is (H, 320); block maps are (H/16, 20)."""

    #: luma without its local mean and spread: the structure, in any light
    normal: Plane
    #: the mean square of ``normal``
    power: Plane
    blocks_edges: Plane
    blocks_luma: Plane
    blocks_std: Plane
    blocks_fine: Plane
    #: by block: three bands of detail from fine to coarse, (H/16, 20, 3), the grain taken off
    blocks_bands: Plane
    blocks_colour: Plane
    numbers: dict[str, float]

    @property
    def height(self) -> int:
        return int(self.normal.shape[0])


def small_height(picture: Picture) -> int:
    """The height that goes with 320 pixels of width, in whole blocks."""
    height, width = picture.shape[:2]
    return int(np.clip(round(SMALL_WIDTH * height / width / BLOCK), 4, 40)) * BLOCK


def pool(plane: Plane) -> Plane:
    """The mean of each block of 16 x 16."""
    size = (plane.shape[1] // BLOCK, plane.shape[0] // BLOCK)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def quantiles(values: Plane, *shares: float) -> list[float]:
    """Several of the same values at once; each to the bit what ``np.quantile`` gives of it alone."""
    ordered, result = np.sort(values, axis=None), []
    for share in shares:
        place = (len(ordered) - 1) * share
        low = int(place)
        part, before, after = place - low, ordered[low], ordered[min(low + 1, len(ordered) - 1)]
        between = after - before
        result.append(float(after - between * (1 - part) if part >= 0.5 else before + between * part))
    return result


def block_means(planes: Plane) -> Plane:
    """The same for a stack of planes, (N, H, 320) to (N, H/16, 20)."""
    count, height, width = planes.shape
    parts = planes.reshape(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return np.asarray(parts.mean(axis=(2, 4)), np.float32)


def look_at(picture: Picture, height: int) -> Look:
    """Measure a picture, brought to 320 x ``height``."""
    small = cv2.resize(picture, (SMALL_WIDTH, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    luma = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.float32)
    chroma = np.stack([small[..., 0] - luma, small[..., 2] - luma], axis=-1)
    smooth = cv2.GaussianBlur(luma, (0, 0), 1.0)
    mean = cv2.GaussianBlur(smooth, (0, 0), 5.0)
    spread = np.sqrt(np.maximum(cv2.GaussianBlur((smooth - mean) ** 2, (0, 0), 5.0), 0))
    normal = (smooth - mean) / (spread + 2.5)
    gx, gy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    edges = cv2.magnitude(gx, gy) / 4
    blocks = pool(luma)
    std = np.sqrt(np.maximum(pool(luma * luma) - blocks * blocks, 0))
    fine_numbers, blocks_fine, bands = _fine(picture, height)
    colour = np.stack([pool(np.ascontiguousarray(chroma[..., i])) for i in (0, 1)], axis=-1)
    numbers = {
        **_light(luma), **_colour(chroma, luma, small), **fine_numbers,
        "edges": float(edges.mean()),
        "edges_p90": float(np.quantile(edges[::2, ::2], 0.9)),
        "flat_blocks": float((std < 3.0).mean()),
    }  # fmt: skip
    normal = np.asarray(normal, np.float32)
    return Look(
        normal, block_means(normal[None] ** 2)[0], pool(np.asarray(edges, np.float32)), blocks,
        np.asarray(std, np.float32), blocks_fine, bands, np.asarray(colour, np.float32), numbers,
    )  # fmt: skip


def _light(luma: Plane) -> dict[str, float]:
    histogram = np.bincount(luma.astype(np.uint8).ravel(), minlength=256).astype(np.float64)
    total = histogram.sum()
    cumulative = np.cumsum(histogram) / total
    at = {q: float(np.searchsorted(cumulative, q / 100)) for q in (1, 5, 25, 50, 75, 95, 99)}
    share = histogram / total
    entropy = float(-(share[share > 0] * np.log2(share[share > 0])).sum())
    return {
        "mean": float(luma.mean()), "std": float(luma.std()),
        **{f"p{q}": value for q, value in at.items()},
        "below_22": float(cumulative[21]), "above_245": float(1 - cumulative[244]),
        "above_225": float(1 - cumulative[224]), "entropy": entropy,
    }  # fmt: skip


def _colour(chroma: Plane, luma: Plane, small: Plane) -> dict[str, float]:
    size = np.abs(chroma[..., 0]) + np.abs(chroma[..., 1])
    count = luma.size
    channels = np.array([_sum(small[..., i]) / np.float32(count) for i in range(3)]) + 1.0
    return {
        "chroma": float(size.mean()),
        "chroma_p90": float(np.quantile(size[::2, ::2], 0.9)),
        "chroma_spread": float(np.array([_spread(chroma[..., i]) for i in (0, 1)]).mean()),
        "chroma_share": float(size.mean() / (luma.mean() + 8)),
        "weakest_channel": float(channels.min() / channels.max()),
        "tint_green": float(channels[1] / (channels[0] + channels[2]) * 2),
        "lowest_channel_p95": float(np.quantile(small[::4, ::4].reshape(-1, 3), 0.95, axis=0).min()),
    }


def _sum(plane: Plane) -> np.float32:
    """One after the other, as numpy sums along the first axis; the model was tuned on such sums."""
    return np.float32(np.cumsum(plane.ravel())[-1])


def _spread(plane: Plane) -> np.float32:
    """The standard deviation by such sums."""
    beside = plane - _sum(plane) / np.float32(plane.size)
    return np.float32(np.sqrt(_sum(beside * beside) / np.float32(plane.size)))


def _fine(picture: Picture, height: int) -> tuple[dict[str, float], Plane, Plane]:
    """Sharpness by bands and noise, on the fine picture; sharpness and bands of detail by block."""
    grey: Plane = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.float32)
    while grey.shape[1] > FINE_WIDTH:
        grey = cv2.pyrDown(grey)
    if grey.shape[1] < SMALL_WIDTH * 1.5:
        grey = np.asarray(cv2.resize(grey, (SMALL_WIDTH * 2, height * 2)), np.float32)
    size = (SMALL_WIDTH // BLOCK, height // BLOCK)

    residue = np.abs(cv2.filter2D(grey, -1, _IMMERKAER))
    grain = cv2.resize(residue, size, interpolation=cv2.INTER_AREA) * (np.sqrt(np.pi / 2) / 6)
    middle = cv2.medianBlur(grey.astype(np.uint8), 3).astype(np.float32)
    dots = np.abs(grey - middle)
    rows = grey.mean(axis=1)
    # brought to the same widths for all cameras: blur counts relative to the width of the picture
    level = np.asarray(cv2.resize(grey, (640, height * 2), interpolation=cv2.INTER_AREA), np.float32)
    bands: list[Plane] = []
    for _ in range(4):
        soft = cv2.GaussianBlur(level, (0, 0), 1.0)
        band = np.abs(level - soft)
        bands.append(np.asarray(cv2.resize(band, size, interpolation=cv2.INTER_AREA), np.float32))
        level = np.asarray(cv2.pyrDown(level), np.float32)
    noise = float(np.quantile(grain, 0.2))
    # noise adds to a band about as its own share of the grain; the floor keeps flat blocks from
    # counting
    floor = 0.25 + 0.6 * noise
    energies = [float(np.sqrt(np.mean(np.maximum(b - floor * w, 0) ** 2))) + 0.05
                for b, w in zip(bands, (1.0, 0.4, 0.2, 0.1), strict=True)]  # fmt: skip
    fine = np.log((bands[0] + 0.3) / (bands[2] + 0.6))
    detail = np.stack(
        [np.maximum(b - floor * w, 0) + 0.15 for b, w in zip(bands[:3], (1.0, 0.4, 0.2), strict=True)],
        axis=-1,
    )
    strong = bands[2] >= np.quantile(bands[2], 0.7)
    sharp_middle, sharp_best = quantiles(fine[strong], 0.5, 0.9)
    numbers = {
        "sharp_01": float(np.log(energies[0] / energies[1])),
        "sharp_02": float(np.log(energies[0] / energies[2])),
        "sharp_12": float(np.log(energies[1] / energies[2])),
        "sharp_13": float(np.log(energies[1] / energies[3])),
        "sharp_best": sharp_best,
        "sharp_middle": sharp_middle,
        "grain": noise,
        "grain_middle": float(np.median(grain)),
        "grain_mean": float(grain.mean()),
        "dots": float((dots[::2, ::2] > 40).mean()),
        "dots_20": float((dots[::2, ::2] > 20).mean()),
        "lines": float(np.median(np.abs(np.diff(rows, 2)))),
    }
    return numbers, np.asarray(fine, np.float32), np.asarray(detail, np.float32)
