"""Which scenes, moments and faults tune the judge and which are held out; frozen by seed and hash.

A ``Case`` says everything about one decision: scene, the moments of its references, the picture's
moment, the fault. The two parts use scenes, weather and fault seeds from ranges that never meet.
``fingerprint`` is over the cases themselves; ``FROZEN`` holds what it was before any tuning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np

from edge.cameras.proving import faults, weather
from edge.cameras.proving.scenes import HOME, Moment, Picture, Scene, View, daylight, draw_scene

Part = Literal["tuning", "held_out"]
#: Scene seeds; the ranges never meet, and every other seed is derived from the scene's.
SCENES: Final[dict[Part, range]] = {"tuning": range(1000, 1320), "held_out": range(9800, 9900)}
FROZEN: Final[dict[Part, str]] = {
    "tuning": "6fbd315525788d01fbfb5455c329baa3f8aafff864565f0a4662b60fae844d62",
    "held_out": "0774e9b7742444a09a3b2457c7fd41f1325436668e72cead2aaff80790ce27f0",
}
#: Decisions of each scene.
NORMAL, FAULTY = 14, 14
VERDICTS: Final = (
    "ok", "dark", "over_exposed", "covered", "defocused", "moved", "noisy", "colour_lost",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One decision to make: the picture of a moment, healthy or with a fault."""

    truth: str
    moment: Moment
    view: View
    fault_seed: int


@dataclass(frozen=True, slots=True)
class SceneCases:
    """A camera: its references' moments, and the decisions."""

    scene: int
    references: tuple[Moment, ...]
    cases: tuple[Case, ...]


def moment_of(rng: np.random.Generator, *, has_infrared: bool, hours: tuple[float, float]) -> Moment:
    """Any hour of the range, any weather; bad weather in about two of five."""
    hour = float(rng.uniform(*hours)) % 24
    kind = rng.choice(["fair", "fog", "snow", "snow_lies", "rain"], p=[0.58, 0.1, 0.12, 0.1, 0.1])
    night = daylight(hour) < 0.12
    return Moment(
        hour=hour,
        cloud=float(rng.uniform(0, 1)),
        fog=float(rng.uniform(0.15, 0.8)) if kind == "fog" else 0.0,
        snowfall=float(rng.uniform(0.2, 1.0)) if kind == "snow" else 0.0,
        snow_cover=float(rng.uniform(0.3, 1.0)) if kind in ("snow_lies", "snow") else 0.0,
        rain=float(rng.uniform(0.2, 1.0)) if kind == "rain" else 0.0,
        traffic=int(rng.integers(0, 7)),
        infrared=bool(night and has_infrared),
        seed=int(rng.integers(0, 2**31)),
    )


def cases_of(seed: int) -> SceneCases:
    """Everything to decide about this scene, from its seed alone."""
    rng = np.random.default_rng([74, seed])
    scene = draw_scene(seed)
    count = int(rng.integers(3, 21))
    # most banks have seen day and night; some were made in one afternoon
    span = rng.random()
    start = float(rng.uniform(7, 16))
    hours = (0.0, 24.0) if span < 0.7 else (start, start + (4.0 if span < 0.85 else 1.0))
    infrared = scene.has_infrared
    references = tuple(moment_of(rng, has_infrared=infrared, hours=hours) for _ in range(count))
    cases = [
        Case("ok", moment_of(rng, has_infrared=infrared, hours=(0.0, 24.0)), _shaken(rng), 0)
        for _ in range(NORMAL)
    ]
    kinds = list(VERDICTS[1:]) * (FAULTY // 7)
    for kind in kinds:
        lit = (9.0, 17.0) if kind == "colour_lost" else (0.0, 24.0)
        moment = moment_of(rng, has_infrared=infrared, hours=lit)
        view = faults.turned(rng) if kind == "moved" else _shaken(rng)
        cases.append(Case(kind, moment, view, int(rng.integers(0, 2**31))))
    return SceneCases(seed, references, tuple(cases))


def _shaken(rng: np.random.Generator) -> View:
    """Wind and a warm mast: up to about two thirds of a pixel."""
    return View(dx=float(rng.normal(0, 0.4)), dy=float(rng.normal(0, 0.4)))


def picture_of(scene: Scene, case: Case) -> Picture:
    """The picture of a case as the camera sends it."""
    picture = weather.see(scene, case.moment, case.view)
    if case.truth in faults.FAULTS:
        rng = np.random.default_rng([75, case.fault_seed])
        picture = faults.FAULTS[case.truth](rng, picture)
    return weather.camera_output(scene, picture, case.moment)


def reference_of(scene: Scene, moment: Moment) -> Picture:
    """A reference as the camera sent it."""
    return weather.camera_output(scene, weather.see(scene, moment, HOME), moment)


def scenes(part: Part) -> Iterator[SceneCases]:
    """All cases of a part, scene by scene."""
    return (cases_of(seed) for seed in SCENES[part])


@lru_cache(maxsize=2)
def fingerprint(part: Part) -> str:
    """SHA-256 over every case of the part."""
    digest = hashlib.sha256()
    for cases in scenes(part):
        text = json.dumps(asdict(cases), sort_keys=True, default=lambda v: round(float(v), 9))
        digest.update(text.encode())
    return digest.hexdigest()
