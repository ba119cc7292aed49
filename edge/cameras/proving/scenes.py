"""Streets that do not exist: a scene is drawn once from its seed, then seen at any hour and in any
weather.

Cast: ``Scene`` (what stands there: colours, depth, light sources, where snow lies), ``Moment`` (hour,
weather, whether the infrared lamp is on), ``draw_scene`` and ``Scene.see``. The camera looks at a part
of a larger canvas, so that a turned camera sees what really is beside its old picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
#: float32; the stubs of OpenCV promise less of what its functions return.
Plane = NDArray[Any]

#: The picture's size before the camera's own, and the canvas around it.
WIDTH, HEIGHT = 640, 360
CANVAS_WIDTH, CANVAS_HEIGHT = 960, 560


@dataclass(frozen=True, slots=True)
class Moment:
    """When and in what weather a scene is seen; strengths run from 0 to 1."""

    hour: float
    cloud: float = 0.3
    fog: float = 0.0
    snowfall: float = 0.0
    snow_cover: float = 0.0
    rain: float = 0.0
    traffic: int = 2
    infrared: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera looks in the canvas: pixels from its home, degrees, magnification."""

    dx: float = 0.0
    dy: float = 0.0
    roll_deg: float = 0.0
    zoom: float = 1.0

    def matrix(self) -> NDArray[np.float64]:
        """Canvas to picture."""
        centre = (CANVAS_WIDTH / 2 + self.dx, CANVAS_HEIGHT / 2 + self.dy)
        matrix = cv2.getRotationMatrix2D(centre, self.roll_deg, self.zoom)
        matrix[0, 2] += WIDTH / 2 - centre[0]
        matrix[1, 2] += HEIGHT / 2 - centre[1]
        return np.asarray(matrix, dtype=np.float64)


HOME = View()


@dataclass(slots=True)
class Scene:
    """What stands there, on the canvas."""

    seed: int
    albedo: Plane
    depth: Plane
    sky: Plane
    snow_lies: Plane
    windows: list[tuple[int, int, int, int]]
    lamps: list[tuple[int, int]]
    shadows: list[NDArray[np.int32]]
    road_top: int
    #: this camera's own habits
    blur_px: float
    sharpen: float
    gain_limit: float
    quality: int
    overlay: str | None
    has_infrared: bool
    size: tuple[int, int]
    _views: dict[View, tuple[Plane, Plane, Plane, Plane]] = field(default_factory=dict, repr=False)

    def layers(self, view: View) -> tuple[Plane, Plane, Plane, Plane]:
        """Albedo, depth, sky and snow mask as seen."""
        if view not in self._views:
            if len(self._views) > 4:
                self._views.clear()
            m = view.matrix()
            self._views[view] = tuple(  # type: ignore[assignment]  # four of them
                cv2.warpAffine(
                    layer, m, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
                )
                for layer in (self.albedo, self.depth, self.sky, self.snow_lies)
            )
        return self._views[view]


def _texture(rng: np.random.Generator, height: int, width: int, cell: int) -> Plane:
    """Smooth noise from −1 to 1 with patches of about ``cell`` pixels."""
    small = rng.standard_normal((height // cell + 2, width // cell + 2), dtype=np.float32)
    big = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(big / 2.0, -1, 1), np.float32)


def _colour(
    rng: np.random.Generator, low: float, high: float, tint: float
) -> tuple[float, float, float]:
    base = rng.uniform(low, high)
    shift = rng.uniform(-tint, tint, 3)
    blue, green, red = (float(np.clip(base + s, 0.02, 0.98)) for s in shift)
    return blue, green, red


def draw_scene(seed: int) -> Scene:
    """The scene of this seed, the same every time."""
    rng = np.random.default_rng([71, seed])
    height, width = CANVAS_HEIGHT, CANVAS_WIDTH
    horizon = int(rng.uniform(0.22, 0.5) * height)
    if rng.random() < 0.25:  # a camera that looks down on a yard sees no sky
        horizon = int(rng.uniform(0.0, 0.08) * height)
    albedo = np.zeros((height, width, 3), np.float32)
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    column = np.clip((horizon + 40) / (np.arange(height) + 1.0), 0.12, 1.0)[:, None]
    depth: Plane = np.repeat(column, width, 1).astype(np.float32)
    sky = np.zeros((height, width), np.float32)
    snow = np.zeros((height, width), np.float32)
    sky[:horizon] = 1.0
    albedo[:] = _colour(rng, 0.2, 0.55, 0.08)
    albedo += 0.05 * _texture(rng, height, width, 60)[..., None]
    grain = rng.uniform(0.02, 0.07)
    albedo += (grain * rng.standard_normal((height, width), dtype=np.float32))[..., None] * (
        0.3 + rows[..., None]
    )
    snow[horizon:] = 0.8
    windows: list[tuple[int, int, int, int]] = []
    road_top = min(height - 90, horizon + int(rng.uniform(20, 120)))
    _draw_hills(rng, albedo, sky, depth, horizon)
    _draw_road(rng, albedo, snow, road_top)
    for _ in range(int(rng.integers(2, 9))):
        _draw_building(rng, albedo, sky, snow, depth, windows, horizon)
    for _ in range(int(rng.integers(0, 4))):
        _draw_ger(rng, albedo, sky, snow, depth, horizon)
    for _ in range(int(rng.integers(0, 9))):
        _draw_tree(rng, albedo, sky, snow, depth, horizon)
    for _ in range(int(rng.integers(0, 5))):
        _draw_fence(rng, albedo, snow, horizon)
    lamps = [_draw_lamp(rng, albedo, sky, horizon) for _ in range(int(rng.integers(0, 5)))]
    for _ in range(int(rng.integers(0, 5))):
        _parked(rng, albedo, sky, snow, road_top)
    shadows = [
        np.asarray(
            [
                [x := int(rng.integers(0, width)), y := int(rng.integers(horizon, height))],
                [x + int(rng.integers(40, 200)), y],
                [x + int(rng.integers(80, 260)), y + int(rng.integers(15, 90))],
                [x + int(rng.integers(10, 60)), y + int(rng.integers(15, 90))],
            ],
            np.int32,
        )
        for _ in range(int(rng.integers(1, 6)))
    ]
    sizes = [(640, 360), (640, 480), (704, 576), (1280, 720), (352, 288), (800, 450), (480, 270)]
    return Scene(
        seed=seed,
        albedo=np.clip(albedo, 0.01, 0.99),
        depth=depth,
        sky=sky,
        snow_lies=snow,
        windows=windows,
        lamps=lamps,
        shadows=shadows,
        road_top=road_top,
        blur_px=float(rng.uniform(0.2, 0.9)),
        sharpen=float(rng.uniform(0.0, 0.8)),
        gain_limit=float(rng.uniform(4, 14)),
        quality=int(rng.integers(35, 93)),
        overlay=None if rng.random() < 0.3 else f"CAM {int(rng.integers(1, 400)):03d}",
        has_infrared=bool(rng.random() < 0.6),
        size=sizes[int(rng.integers(0, len(sizes)))],
    )


def _draw_hills(
    rng: np.random.Generator, albedo: Plane, sky: Plane, depth: Plane, horizon: int
) -> None:
    if horizon < 60 or rng.random() < 0.3:
        return
    xs = np.arange(CANVAS_WIDTH)
    ridge = horizon - 18 * np.abs(np.sin(xs / rng.uniform(60, 200) + rng.uniform(0, 6)))
    ridge -= 25 * np.abs(np.sin(xs / rng.uniform(200, 400) + rng.uniform(0, 6)))
    mask = np.arange(CANVAS_HEIGHT)[:, None] >= ridge[None, :]
    mask[horizon:] = False
    albedo[mask] = _colour(rng, 0.25, 0.45, 0.06)
    sky[mask] = 0.0
    depth[mask] = 0.95


def _draw_road(rng: np.random.Generator, albedo: Plane, snow: Plane, top: int) -> None:
    far = rng.uniform(0.2, 0.8) * CANVAS_WIDTH
    near = far + rng.uniform(-200, 200)
    half_far, half_near = rng.uniform(10, 60), rng.uniform(180, 420)
    road = np.array(
        [[far - half_far, top], [far + half_far, top],
         [near + half_near, CANVAS_HEIGHT], [near - half_near, CANVAS_HEIGHT]], np.int32,
    )  # fmt: skip
    tone = rng.uniform(0.14, 0.34)
    mask = np.zeros(albedo.shape[:2], np.uint8)
    cv2.fillPoly(mask, [road], 1)
    inside = mask.astype(bool)
    albedo[inside] = albedo[inside] * 0.25 + tone
    snow[inside] = 0.45
    for part in np.arange(0.03, 1.0, 0.12):
        y0, y1 = (int(top + (CANVAS_HEIGHT - top) * p**1.6) for p in (part, part + 0.05))
        x0 = int(far + (near - far) * part**1.6)
        cv2.line(albedo, (x0, y0), (x0, y1), (0.8, 0.82, 0.82), 1 + int(6 * part))
    for edge in (0, 1):
        cv2.line(albedo, tuple(road[edge]), tuple(road[3 - edge]), (0.55, 0.55, 0.55), 3)


def _draw_building(
    rng: np.random.Generator, albedo: Plane, sky: Plane, snow: Plane, depth: Plane,
    windows: list[tuple[int, int, int, int]], horizon: int,
) -> None:  # fmt: skip
    base = horizon + int(rng.uniform(0, 130))
    tall, wide = int(rng.uniform(60, 330)), int(rng.uniform(70, 260))
    x0, y0 = int(rng.uniform(-60, CANVAS_WIDTH - 40)), base - tall
    x1 = x0 + wide
    cv2.rectangle(albedo, (x0, y0), (x1, base), _colour(rng, 0.25, 0.75, 0.12), -1)
    cv2.rectangle(sky, (x0, y0), (x1, base), 0.0, -1)
    cv2.rectangle(snow, (x0, y0), (x1, base), 0.02, -1)
    cv2.rectangle(snow, (x0, y0 - 4), (x1, y0 + 2), 1.0, -1)
    cv2.rectangle(depth, (x0, y0), (x1, base), float(np.clip(horizon / (base + 1) * 0.9, 0.2, 0.9)), -1)
    side = int(wide * rng.uniform(0.0, 0.35))
    if side > 8:
        part = albedo[max(y0, 0) : base, max(x1 - side, 0) : max(x1, 0)]
        part *= rng.uniform(0.55, 0.85)
    step_x, step_y = int(rng.uniform(14, 34)), int(rng.uniform(18, 38))
    glass = _colour(rng, 0.08, 0.2, 0.05)
    for y in range(y0 + 10, base - step_y // 2, step_y):
        for x in range(x0 + 7, x1 - step_x // 2, step_x):
            box = (x, y, step_x // 2, step_y // 2)
            cv2.rectangle(albedo, box, glass, -1)
            cv2.rectangle(albedo, box, (0.8, 0.8, 0.8), 1)
            windows.append(box)
    if rng.random() < 0.5:
        cv2.rectangle(
            albedo, (x0 + 5, base - 26, max(wide // 2, 20), 14), _colour(rng, 0.3, 0.7, 0.3), -1
        )
        cv2.putText(
            albedo,
            "".join(rng.choice(list("ABCEHKMOPTX"), 6)),
            (x0 + 8, base - 14),
            0,
            0.42,
            (0.9, 0.9, 0.9),
        )


def _draw_ger(
    rng: np.random.Generator, albedo: Plane, sky: Plane, snow: Plane, depth: Plane, horizon: int
) -> None:
    x, y = int(rng.uniform(0, CANVAS_WIDTH)), horizon + int(rng.uniform(30, 170))
    r = int(20 + 60 * (y - horizon) / 170)
    cv2.rectangle(albedo, (x - r, y - r // 2), (x + r, y), (0.78, 0.8, 0.82), -1)
    roof = np.array(
        [[x - r, y - r // 2], [x - r // 4, y - r], [x + r // 4, y - r], [x + r, y - r // 2]]
    )
    cv2.fillPoly(albedo, [roof.astype(np.int32)], (0.68, 0.7, 0.72))
    cv2.fillPoly(sky, [roof.astype(np.int32)], 0.0)
    cv2.rectangle(sky, (x - r, y - r // 2), (x + r, y), 0.0, -1)
    cv2.fillPoly(snow, [roof.astype(np.int32)], 1.0)
    cv2.line(albedo, (x, y - r), (x, y - r - r // 3), (0.2, 0.2, 0.2), 3)
    cv2.rectangle(albedo, (x - r // 5, y - r // 2 + 3), (x + r // 5, y), (0.2, 0.35, 0.7), -1)


def _draw_tree(
    rng: np.random.Generator, albedo: Plane, sky: Plane, snow: Plane, depth: Plane, horizon: int
) -> None:
    x, base = int(rng.uniform(0, CANVAS_WIDTH)), horizon + int(rng.uniform(10, 160))
    tall = int(rng.uniform(50, 190))
    cv2.line(albedo, (x, base), (x, base - tall // 2), (0.12, 0.16, 0.22), int(rng.integers(3, 8)))
    green = np.array(_colour(rng, 0.15, 0.3, 0.03), np.float32) * np.array([0.6, 1.4, 0.9], np.float32)
    for _ in range(int(rng.integers(25, 90))):
        px = x + int(rng.normal(0, tall * 0.17))
        py = base - tall // 2 - int(abs(rng.normal(0, tall * 0.25)))
        r = int(rng.integers(2, 10))
        tone = green * rng.uniform(0.6, 1.5)
        cv2.circle(albedo, (px, py), r, tuple(float(c) for c in tone), -1)
        cv2.circle(sky, (px, py), r, 0.0, -1)
        cv2.circle(snow, (px, py - r // 2), max(r // 2, 1), 0.8, -1)
    del depth


def _draw_fence(rng: np.random.Generator, albedo: Plane, snow: Plane, horizon: int) -> None:
    y = horizon + int(rng.uniform(25, 200))
    x0, x1 = sorted(int(v) for v in rng.uniform(0, CANVAS_WIDTH, 2))
    tall, colour = int(rng.uniform(12, 40)), _colour(rng, 0.2, 0.6, 0.12)
    for x in range(x0, x1, int(rng.integers(5, 13))):
        cv2.line(albedo, (x, y), (x, y - tall), colour, 2)
    cv2.line(albedo, (x0, y - tall), (x1, y - tall), colour, 2)
    cv2.line(snow, (x0, y - tall), (x1, y - tall), 1.0, 1)


def _draw_lamp(rng: np.random.Generator, albedo: Plane, sky: Plane, horizon: int) -> tuple[int, int]:
    x, base = int(rng.uniform(40, CANVAS_WIDTH - 40)), horizon + int(rng.uniform(20, 170))
    tall = int(rng.uniform(80, 210))
    cv2.line(albedo, (x, base), (x, base - tall), (0.3, 0.3, 0.3), 3)
    cv2.line(albedo, (x, base - tall), (x + 22, base - tall - 6), (0.3, 0.3, 0.3), 3)
    cv2.line(sky, (x, base), (x, base - tall), 0.0, 3)
    return x + 22, base - tall


def _parked(rng: np.random.Generator, albedo: Plane, sky: Plane, snow: Plane, road_top: int) -> None:
    y = int(rng.uniform(road_top + 10, CANVAS_HEIGHT - 20))
    scale = 0.25 + (y - road_top) / (CANVAS_HEIGHT - road_top)
    _car(albedo, int(rng.uniform(0, CANVAS_WIDTH)), y, scale, _colour(rng, 0.15, 0.8, 0.2))
    del sky, snow


def _car(canvas: Plane, x: int, y: int, scale: float, colour: tuple[float, float, float]) -> None:
    w, h = int(85 * scale), int(30 * scale)
    cv2.rectangle(canvas, (x - w // 2, y - h), (x + w // 2, y - h // 5), colour, -1)
    cv2.rectangle(canvas, (x - w // 4, y - int(1.8 * h)), (x + w // 4, y - h), colour, -1)
    cv2.rectangle(canvas, (x - w // 5, y - int(1.65 * h)), (x + w // 5, y - h), (0.12, 0.1, 0.1), -1)
    for side in (-1, 1):
        cv2.circle(canvas, (x + side * w // 3, y - h // 6), max(h // 4, 1), (0.04, 0.04, 0.04), -1)


def daylight(hour: float) -> float:
    """How light it is, 0 at night to 1 at noon; dawn and dusk take an hour and a half."""
    height = math.cos((hour - 13.0) / 24.0 * 2 * math.pi)
    return float(np.clip((height + 0.25) / 0.75, 0.0, 1.0))
