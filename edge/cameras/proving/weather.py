"""How a camera sees a scene at a moment: light, shadows, lamps, infrared, fog, snow, rain, traffic.

``see`` gives the picture that a healthy camera would send. Faults are put on in ``faults``.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.cameras.proving.scenes import (
    HEIGHT,
    HOME,
    WIDTH,
    Moment,
    Picture,
    Plane,
    Scene,
    View,
    _car,
    daylight,
)  # fmt: skip


def light_of(scene: Scene, moment: Moment, view: View = HOME) -> Plane:
    """Linear light that reaches the sensor; 1 is a sunlit white wall."""
    rng = np.random.default_rng([72, scene.seed, moment.seed])
    albedo, depth, sky, lies = scene.layers(view)
    day = daylight(moment.hour)
    surface = albedo.copy()
    if moment.snow_cover:
        cover = wide(np.clip(lies * moment.snow_cover * 1.25 - 0.05, 0, 0.97))
        surface = surface * (1 - cover) + cover * np.float32(0.86)
    _traffic(rng, surface, moment, scene.road_top - 100)
    wet = moment.rain
    light = surface * _illumination(rng, scene, moment, view, day)
    if not moment.infrared:
        light += _lamps(rng, scene, moment, view, surface, day)
    else:
        light = _infrared(rng, surface, sky, depth, day)
    if wet:
        lower = cv2.GaussianBlur(light, (0, 0), sigmaX=2, sigmaY=25)
        ground = wide((1 - sky) * np.linspace(0, 0.5, HEIGHT, dtype=np.float32)[:, None])
        light = light * (1 - ground * wet) + lower * ground * wet * 0.9
    light = _sky(rng, light, sky, moment, day)
    return _air(rng, light, depth, moment, day)


def wide(plane: Plane) -> Plane:
    """The same plane for each colour: numpy is slow where it has to spread one over three."""
    return np.asarray(cv2.merge((plane, plane, plane)))


def see(scene: Scene, moment: Moment, view: View = HOME) -> Picture:
    """The picture of a healthy camera, 640x360, before its own size and compression."""
    return develop(scene, moment, light_of(scene, moment, view))


def develop(scene: Scene, moment: Moment, light: Plane, exposure: float = 1.0) -> Picture:
    """Exposure, lens, sensor noise, tone: the picture from the light. ``exposure`` 1 is automatic."""
    rng = np.random.default_rng([73, scene.seed, moment.seed])
    wanted = 0.19 * (1.0 if daylight(moment.hour) > 0.3 else 0.6)
    gain = float(np.clip(wanted / (np.minimum(light, 2.0).mean() + 1e-3), 0.25, scene.gain_limit))
    gain *= float(rng.uniform(0.85, 1.18))
    picture: Plane = light * gain * exposure
    if scene.blur_px > 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), scene.blur_px)
    noise = float(0.0035 * np.sqrt(gain) * (0.7 if moment.infrared else 1.0))
    grain, colour = _grain(rng, picture.shape)
    picture = picture + noise * (grain + 0.5 * colour) * np.sqrt(np.clip(picture, 0.02, 1.5) + 0.1)
    shown = np.power(np.clip(picture, 0, 1), 1 / 2.2) * 255.0
    if scene.sharpen > 0.1:
        soft = cv2.GaussianBlur(shown, (0, 0), 1.2)
        shown = shown + scene.sharpen * (shown - soft)
    if moment.infrared:
        shown = wide((shown[..., 0] + shown[..., 1] + shown[..., 2]) / 3)
    return np.asarray(np.clip(shown, 0, 255), np.uint8)


def _grain(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Plane, Plane]:
    """What the sensor adds, alike in all colours and to each; OpenCV's generator takes a third."""
    cv2.setRNGSeed(int(rng.integers(0, 2**31)))
    alike, each = np.empty(shape[:2], np.float32), np.empty(shape, np.float32)
    for plane in (alike, each):
        cv2.randn(plane, 0, 1)  # type: ignore[call-overload]  # the stubs know no plain numbers
    return wide(alike), each


def camera_output(
    scene: Scene, picture: Picture, moment: Moment, quality: int | None = None
) -> Picture:
    """Size, clock overlay and compression of this camera."""
    out = cv2.resize(picture, scene.size, interpolation=cv2.INTER_AREA if scene.size[0] < WIDTH else 1)
    if scene.overlay:
        minute = int(moment.hour % 1 * 60)
        month, date = 1 + moment.seed % 12, 1 + moment.seed % 28
        text = f"2031-{month:02d}-{date:02d} {int(moment.hour):02d}:{minute:02d}"
        scale = scene.size[0] / 1100
        for y, words in ((0.07, text), (0.95, scene.overlay)):
            place = (int(scene.size[0] * 0.02), int(scene.size[1] * y))
            cv2.putText(out, words, place, 0, scale, (0, 0, 0), 3)
            cv2.putText(out, words, place, 0, scale, (255, 255, 255), 1)
    _, data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality or scene.quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded, np.uint8)


def _illumination(
    rng: np.random.Generator, scene: Scene, moment: Moment, view: View, day: float
) -> Plane:
    warm = max(1.0 - abs(day - 0.3) / 0.3, 0.0)  # comes and goes with the sun, without a step
    tint = np.array([1.0 - 0.25 * warm, 1.0, 1.0 + 0.2 * warm], np.float32)
    strength = 0.004 + day * (1.0 - 0.65 * moment.cloud)
    field = np.full((HEIGHT, WIDTH), strength, np.float32)
    if day > 0.05 and moment.cloud < 0.7:
        shift = int((moment.hour - 13.0) * 18)
        mask = np.zeros((560, 960), np.uint8)
        for polygon in scene.shadows:
            skewed = polygon.copy()
            skewed[2:, 0] += shift * 3
            cv2.fillPoly(mask, [skewed + np.array([shift, 0], np.int32)], 255)
        seen = cv2.warpAffine(mask, view.matrix(), (WIDTH, HEIGHT)).astype(np.float32) / 255
        field *= 1 - seen * 0.65 * (1 - moment.cloud)
        slope = np.linspace(-1, 1, WIDTH, dtype=np.float32) * np.sin((moment.hour - 13) / 4) * 0.2
        field *= 1 + slope[None, :]
    return np.asarray(cv2.merge([field * part for part in tint]), np.float32)


def _lamps(
    rng: np.random.Generator, scene: Scene, moment: Moment, view: View, surface: Plane, day: float
) -> Plane:
    added = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    if day > 0.25:
        return added
    dusk = 1 - day / 0.25
    m = view.matrix()
    yy, xx = np.mgrid[0:HEIGHT:4, 0:WIDTH:4].astype(np.float32)
    field = np.full(yy.shape, 0.012, np.float32)
    glow = np.zeros(yy.shape, np.float32)
    for x, y in scene.lamps:
        px, py = m @ np.array([x, y, 1.0])
        d2 = ((xx - px) / 1.6) ** 2 + ((yy - py - 90) / 1.0) ** 2
        field += (0.22 / (1 + d2 / 3600)).astype(np.float32)
        near = (xx - px) ** 2 + (yy - py) ** 2
        glow += (2.0 * np.exp(-near / 90) + 0.08 * (1 + 3 * moment.fog) * np.exp(-near / 2500)).astype(
            np.float32
        )
    lit = wide(cv2.resize(field, (WIDTH, HEIGHT)))
    added += surface * lit * np.array([0.65, 0.88, 1.1], np.float32)
    added += cv2.resize(glow, (WIDTH, HEIGHT))[..., None] * np.array([0.8, 0.95, 1.05], np.float32)
    for x, y, w, h in scene.windows:
        if rng.random() < 0.22:
            px, py = m @ np.array([x, y, 1.0])
            box = (int(px), int(py), max(int(w * view.zoom), 1), max(int(h * view.zoom), 1))
            tone = float(rng.uniform(0.2, 0.8))
            cv2.rectangle(added, box, (tone * 0.6, tone * 0.85, tone), -1)
    for _ in range(moment.traffic):
        if rng.random() < 0.55:
            _headlight(rng, added, moment)
    return added * np.float32(dusk)


def _headlight(rng: np.random.Generator, added: Plane, moment: Moment) -> None:
    x, y = rng.uniform(0, WIDTH), rng.uniform(HEIGHT * 0.45, HEIGHT * 0.9)
    near = (y / HEIGHT) ** 2
    yy, xx = np.mgrid[0:HEIGHT:4, 0:WIDTH:4].astype(np.float32)
    blob = np.zeros(yy.shape, np.float32)
    for side in (-1, 1):
        d2 = (xx - x - side * 25 * near) ** 2 + (yy - y) ** 2
        blob += 3.0 * np.exp(-d2 / (160 * near + 20)) + 0.25 * np.exp(-d2 / (9000 * near + 500))
    blob += 0.3 * np.exp(-(((xx - x) / 120) ** 2) - ((yy - y - 40) / 25) ** 2) * (0.5 + moment.rain)
    added += wide(cv2.resize(blob, (WIDTH, HEIGHT))) * np.float32(rng.uniform(0.4, 1.3))


def _infrared(rng: np.random.Generator, surface: Plane, sky: Plane, depth: Plane, day: float) -> Plane:
    yy, xx = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
    spot = np.exp(-(xx**2 * 0.9 + yy**2 * 0.7)) * (1.15 - depth)
    # foliage and cloth are bright in infrared, colours vanish
    grey = surface[..., 1] * 0.5 + surface[..., 2] * 0.3 + 0.12
    light = grey * (0.02 + 0.28 * spot + 0.5 * day) * (1 - sky * 0.9)
    return wide(light.astype(np.float32))


def _sky(rng: np.random.Generator, light: Plane, sky: Plane, moment: Moment, day: float) -> Plane:
    tone = np.array([1.0 - 0.15 * moment.cloud, 0.85 - 0.05 * moment.cloud, 0.7 + 0.08 * moment.cloud])
    bright = 0.004 + day * (0.95 - 0.35 * moment.cloud)
    clouds = np.zeros((HEIGHT, WIDTH), np.float32)
    small = rng.standard_normal((6, 9), dtype=np.float32)
    clouds += cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * 0.12 * moment.cloud
    shone = bright * (1 + clouds)
    value = cv2.merge([shone * part for part in tone.astype(np.float32)])
    if moment.infrared:
        value = np.full_like(value, 0.003)
    high = wide(sky)
    return np.asarray(light * (1 - high) + value * high, np.float32)


def _air(rng: np.random.Generator, light: Plane, depth: Plane, moment: Moment, day: float) -> Plane:
    if moment.fog:
        kept = wide(np.exp(-moment.fog * 3.2 * depth))
        airlight = light.mean() * 0.9 + 0.02 + 0.35 * day * (1 - moment.cloud * 0.5)
        light = light * kept + airlight * (1 - kept)
        light = cv2.GaussianBlur(light, (0, 0), 0.3 + 1.0 * moment.fog)
    if moment.snowfall:
        _flakes(rng, light, moment, day)
    if moment.rain:
        _streaks(rng, light, moment)
    return light


def _flakes(rng: np.random.Generator, light: Plane, moment: Moment, day: float) -> None:
    layer: Plane = np.zeros((HEIGHT, WIDTH), np.float32)
    slant = float(rng.uniform(-3, 3))
    for _ in range(int(moment.snowfall * 420)):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))
        size = 1 if rng.random() < 0.85 else int(rng.integers(2, 4))
        end = (int(x + slant * size), int(y + rng.uniform(1, 5) * size))
        cv2.line(layer, (x, y), end, float(rng.uniform(0.3, 0.9)), size)
    if moment.infrared:
        for _ in range(int(moment.snowfall * 14)):
            place = (int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT)))
            cv2.circle(layer, place, int(rng.integers(4, 14)), float(rng.uniform(0.3, 0.8)), -1)
    layer = wide(cv2.GaussianBlur(layer, (0, 0), 0.8))
    bright = 0.12 + 0.75 * day if not moment.infrared else 0.5
    light *= 1 - layer
    light += layer * np.float32(bright)


def _streaks(rng: np.random.Generator, light: Plane, moment: Moment) -> None:
    layer: Plane = np.zeros((HEIGHT, WIDTH), np.float32)
    slant = float(rng.uniform(-6, 6))
    for _ in range(int(moment.rain * 260)):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))
        cv2.line(
            layer, (x, y), (int(x + slant), int(y + rng.uniform(10, 28))), float(rng.uniform(0.1, 0.4))
        )
    layer = wide(cv2.GaussianBlur(layer, (0, 0), 0.6))
    light *= 1 - layer * np.float32(0.6)
    light += layer * np.float32(light.mean() * 1.6)
    if rng.random() < 0.5 * moment.rain:  # drops on the lens
        for _ in range(int(rng.integers(1, 7))):
            x, y, r = (
                int(rng.integers(0, WIDTH)),
                int(rng.integers(0, HEIGHT)),
                int(rng.integers(6, 22)),
            )
            mask: Plane = np.zeros((HEIGHT, WIDTH), np.float32)
            cv2.circle(mask, (x, y), r, 1.0, -1)
            mask = wide(cv2.GaussianBlur(mask, (0, 0), 2))
            light[:] = light * (1 - mask) + cv2.GaussianBlur(light, (0, 0), 9) * mask


def _traffic(rng: np.random.Generator, surface: Plane, moment: Moment, road_top: int) -> None:
    for _ in range(moment.traffic):
        y = int(rng.uniform(max(road_top, 40) + 20, HEIGHT + 20))
        scale = 0.2 + max(0.0, (y - road_top) / (HEIGHT - road_top + 1.0)) * 0.9
        tone = tuple(
            float(v) for v in np.clip(rng.uniform(0.1, 0.85) + rng.uniform(-0.2, 0.2, 3), 0.02, 0.95)
        )
        x = int(rng.uniform(-20, WIDTH + 20))
        if rng.random() < 0.6:
            _car(surface, x, y, scale, tone)  # type: ignore[arg-type]  # three of them
        else:
            h = max(int(46 * scale), 4)
            cv2.ellipse(surface, (x, y - h // 2), (max(h // 6, 1), h // 2), 0, 0, 360, tone, -1)
            cv2.circle(surface, (x, y - h), max(h // 8, 1), (0.35, 0.42, 0.55), -1)
