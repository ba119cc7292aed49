"""How often the watch would cry wolf: looks at healthy cameras in all weathers, and what follows them.

The watch judges a picture beside the last good ones: what the weather brings is known. An alarm
needs four bad looks in a row over 40 s, so two things are drawn. A **first look** at a random
moment of a random camera's year (scenes and weather of seeds of their own, references as a camera has
them after a week: 16 of all hours, and the two last good looks, 10 and 20 minutes before, in weather a
little less or more than now); and, where that one is called faulty, the three that follow 14 s apart:
the same weather, light and place, other traffic, grain, tremble. All four faulty is a false alarm.

From A false alarms in N first looks: A / N · looks a year. A camera is looked at each 600 s, and once
more for each suspicion, for which a fifth is added. The interval is Poisson's (exact, 95 %, one-sided).
Five first looks share a spell of weather, as looks in life do, so they are worth less than five.
What it leaves out: real fog and real snow, a camera that ages, and looks that hang together
over hours: one spell of bad weather may count several times here, and would be one alarm in life.
Every scene is one line of a progress file, so that it can be stopped and resumed.
"""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np

from edge.cameras.judge import Judge
from edge.cameras.proving import plan, weather
from edge.cameras.proving.plan import moment_of
from edge.cameras.proving.scenes import Moment, Picture, Scene, View, daylight, draw_scene
from edge.cameras.trees import MODEL_FILE, shipped
from edge.cameras.watchman import SUDDEN

#: Seeds of scenes that neither tune nor test.
FIRST_SCENE: Final = 200_000
#: Spells of weather of a scene, and first looks within ten minutes of each.
SPELLS: Final = 8
LOOKS: Final = 5
REFERENCES: Final = 16
FOLLOWING: Final = 3
#: Looks of a camera's year by the schedule, and the share that suspicions add.
LOOKS_A_YEAR: Final = 365 * 86_400 / 600 * 1.2


class SceneResult(msgspec.Struct, frozen=True, kw_only=True):
    """One camera: its first looks, how many were called faulty, and how many became alarms."""

    scene: int
    looks: int
    faulty: int
    alarms: int
    verdicts: dict[str, int]
    program: str


class SoakResult(msgspec.Struct, frozen=True, kw_only=True):
    """All of them together, for a camera's year."""

    scenes: int
    looks: int
    faulty: int
    alarms: int
    camera_years: float
    alarms_per_camera_year: float
    #: with 95 % confidence not more than this
    at_most: float
    verdicts: dict[str, int]


def program() -> str:
    """What judged: a line of another model is not counted."""
    return hashlib.blake2b(MODEL_FILE.read_bytes(), digest_size=8).hexdigest()


def live(seed: int, by: str) -> SceneResult:
    """One scene's looks."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([91, seed])
    scene, model = draw_scene(seed), shipped()
    infrared = scene.has_infrared
    day = [
        moment_of(rng, has_infrared=infrared, hours=(24 * n / REFERENCES, 24 * (n + 1) / REFERENCES))
        for n in range(REFERENCES)
    ]
    learnt = Judge([plan.reference_of(scene, moment) for moment in day], model)
    faulty, alarms, verdicts = 0, 0, Counter[str]()
    for _ in range(SPELLS):
        spell = moment_of(rng, has_infrared=infrared, hours=(0.0, 24.0))
        recent = [_picture(rng, scene, _earlier(rng, scene, spell, n)) for n in (1, 2)]
        judge = learnt.beside(recent)
        for minute in range(LOOKS):
            moment = _later(rng, spell, minute * 120.0)
            verdict = judge.judge(_picture(rng, scene, moment), threshold=SUDDEN).verdict
            if verdict == "ok":
                continue
            faulty += 1
            verdicts[verdict] += 1
            following = (_later(rng, moment, 14.0 * n) for n in range(1, FOLLOWING + 1))
            alarms += all(
                judge.judge(_picture(rng, scene, m), threshold=SUDDEN).verdict != "ok"
                for m in following
            )
    return SceneResult(
        scene=seed,
        looks=SPELLS * LOOKS,
        faulty=faulty,
        alarms=alarms,
        verdicts=dict(verdicts),
        program=by,
    )


def _picture(rng: np.random.Generator, scene: Scene, moment: Moment) -> Picture:
    shaken = View(dx=float(rng.normal(0, 0.4)), dy=float(rng.normal(0, 0.4)))
    return weather.camera_output(scene, weather.see(scene, moment, shaken), moment)


def _earlier(rng: np.random.Generator, scene: Scene, moment: Moment, number: int) -> Moment:
    """What the weather was 10 minutes times ``number`` before: much the same."""
    hour = (moment.hour - number / 6) % 24
    values = {name: getattr(moment, name) for name in Moment.__dataclass_fields__}
    for name in ("fog", "snowfall", "snow_cover", "rain"):
        values[name] = float(np.clip(values[name] * rng.uniform(0.6, 1.3), 0, 1))
    values["cloud"] = float(np.clip(values["cloud"] + rng.normal(0, 0.15), 0, 1))
    night = daylight(hour) < 0.12
    values |= {"hour": hour, "seed": int(rng.integers(0, 2**31)), "traffic": int(rng.integers(0, 7)),
               "infrared": bool(night and scene.has_infrared)}  # fmt: skip
    return Moment(**values)


def _later(rng: np.random.Generator, moment: Moment, after_s: float) -> Moment:
    """The same weather so much later."""
    values = {name: getattr(moment, name) for name in Moment.__dataclass_fields__}
    values |= {"hour": (moment.hour + after_s / 3600) % 24, "seed": int(rng.integers(0, 2**31)),
               "traffic": int(rng.integers(0, 7))}  # fmt: skip
    return Moment(**values)


def read(progress: Path) -> dict[int, SceneResult]:
    """What is done already, by this model."""
    done: dict[int, SceneResult] = {}
    if progress.exists():
        for line in progress.read_bytes().splitlines():
            try:
                one = msgspec.json.decode(line, type=SceneResult)
            except msgspec.MsgspecError:
                continue  # a line that was being written when it was stopped
            if one.program == program():
                done[one.scene] = one
    return done


def run(progress: Path, *, scenes: int, minutes: float | None, jobs: int) -> Iterator[SceneResult]:
    """The scenes that are missing, until all are done or the time is over."""
    end = None if minutes is None else time.monotonic() + minutes * 60
    by, done = program(), read(progress)
    missing = iter([s for s in range(FIRST_SCENE, FIRST_SCENE + scenes) if s not in done])
    context = multiprocessing.get_context("spawn")  # OpenCV does not survive a fork
    progress.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs, mp_context=context) as pool, progress.open("ab") as file:
        running: set[Future[SceneResult]] = set()
        while True:
            while len(running) < jobs and (end is None or time.monotonic() < end):
                seed = next(missing, None)
                if seed is None:
                    break
                running.add(pool.submit(live, seed, by))
            if not running:
                return
            ready, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                file.write(msgspec.json.encode(future.result()) + b"\n")
                file.flush()
                yield future.result()


def total(results: list[SceneResult]) -> SoakResult:
    """The figures of what was run."""
    looks, alarms = sum(r.looks for r in results), sum(r.alarms for r in results)
    verdicts = Counter[str]()
    for result in results:
        verdicts.update(result.verdicts)
    years = looks / LOOKS_A_YEAR
    return SoakResult(
        scenes=len(results), looks=looks, faulty=sum(r.faulty for r in results), alarms=alarms,
        camera_years=round(years, 3), verdicts=dict(verdicts),
        alarms_per_camera_year=round(alarms / years, 3) if years else 0.0,
        at_most=round(poisson_upper(alarms) / years, 3) if years else float("inf"),
    )  # fmt: skip


def poisson_upper(count: int, confidence: float = 0.95) -> float:
    """The exact one-sided upper limit of a Poisson mean after ``count`` events."""
    low, high = float(count), float(count + 10 * math.sqrt(count + 1) + 10)
    for _ in range(100):
        middle = (low + high) / 2
        term = share = math.exp(-middle)
        for k in range(1, count + 1):
            term = term * middle / k
            share += term
        low, high = (middle, high) if share > 1 - confidence else (low, middle)
    return high
