"""Numbers of every case of a part, on all cores that may be used; the slow half of training and
bench."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2

from edge.cameras.bank import Bank
from edge.cameras.proving.plan import SCENES, Part, cases_of, picture_of, reference_of
from edge.cameras.proving.scenes import draw_scene


@dataclass(frozen=True, slots=True)
class Measured:
    """One decision's truth and numbers, with what is needed to report on it."""

    scene: int
    truth: str
    numbers: dict[str, float]
    weather: str


def measure_scene(seed: int) -> list[Measured]:
    """All cases of a scene."""
    cv2.setNumThreads(1)
    cases = cases_of(seed)
    scene = draw_scene(seed)
    bank = Bank([reference_of(scene, moment) for moment in cases.references])
    result = []
    for case in cases.cases:
        moment = case.moment
        weather = (
            "fog" if moment.fog else "snow" if moment.snowfall or moment.snow_cover
            else "rain" if moment.rain else "fair"
        )  # fmt: skip
        light = "infrared" if moment.infrared else "night" if not 6 < moment.hour < 20 else "day"
        result.append(
            Measured(seed, case.truth, bank.compare(picture_of(scene, case)), f"{light} {weather}")
        )
    return result


def measure(part: Part, *, scenes: int | None = None, workers: int | None = None) -> list[Measured]:
    """All cases of a part, in order; of its first ``scenes`` scenes if that is given."""
    seeds = list(SCENES[part])[:scenes]
    return measure_seeds(seeds, workers=workers)


def measure_seeds(seeds: Iterable[int], *, workers: int | None = None) -> list[Measured]:
    """All cases of these scenes, in order."""
    return [
        m for scene in spread(measure_scene, list(seeds), workers or os.cpu_count() or 1) for m in scene
    ]


def spread(function: Callable[[Any], Any], items: list[Any], workers: int) -> list[Any]:
    """The function of every item, in order, on this many processes."""
    context = multiprocessing.get_context("spawn")  # OpenCV does not survive a fork
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        return list(pool.map(function, items))
