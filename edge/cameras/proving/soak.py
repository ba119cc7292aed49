"""How often the watch would cry wolf: days of healthy cameras, lived look by look.

A camera-day is a scene of its own (seeds that neither tune nor test the judge), with 16 references of
all hours in weather of their own, and 24 hours from a random one on. It is looked at as the watch does
by its schedule, each 7 to 10 minutes: the sun goes its way, infrared switches at dusk and dawn, spells
of weather (fair, fog, snow, rain, snow that lies) of two to eight hours come up and go within 30 to 120
minutes and waver meanwhile, traffic, grain and the mast's tremble are new in each picture. The judge
sees it beside the last two good looks of the last hour, with the watch's threshold. A faulty look is
followed by others 14 s apart; **four in a row are an alarm**, whatever the faults are. It stands until
two good looks in a row; while it stands it is not counted again.

The figure is alarms by lived camera-years, its upper limit Poisson's (exact, one-sided). With none in
N years the rate is at most 3.0 / N with 95 % confidence: three years say "at most one a year".

What it leaves out: real fog and real snow, a camera that ages, references that the watch learns
meanwhile, and looks that a glance brings forward between two of the schedule. Every camera-day is one
line of a progress file, so that it can be stopped and resumed.
"""

from __future__ import annotations

import hashlib
import math
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np

from edge.cameras.judge import Judge, Judgement
from edge.cameras.look import Look
from edge.cameras.proving import plan, weather
from edge.cameras.proving.plan import moment_of
from edge.cameras.proving.scenes import Moment, Picture, Scene, View, daylight, draw_scene
from edge.cameras.trees import MODEL_FILE, shipped
from edge.cameras.watchman import RECENT, RECENT_EVERY_S, RECENT_S, SUDDEN, Pace

#: Seeds of scenes that neither tune nor test.
FIRST_SCENE: Final = 200_000
#: Days that say "at most one a year" with 95 % confidence where none had an alarm: 3.01 years.
ENOUGH: Final = 1100
#: Changes whenever a day is lived in another way: days of another method are not counted.
METHOD: Final = b"days 2"
REFERENCES: Final = 16
#: Faulty looks in a row that are an alarm, the pause between them, and good ones that end it.
IN_A_ROW: Final = 4
PAUSE_S: Final = 14.0
ENDS: Final = 2
DAY_S: Final = 86_400.0
YEAR_S: Final = 365 * DAY_S
_WEATHER: Final = ("cloud", "fog", "snowfall", "snow_cover", "rain")


class DayResult(msgspec.Struct, frozen=True, kw_only=True):
    """One camera's day: looks by the schedule, how many were called faulty, and alarms."""

    scene: int
    lived_s: float
    looks: int
    faulty: int
    alarms: int
    verdicts: dict[str, int]
    program: str


class SoakResult(msgspec.Struct, frozen=True, kw_only=True):
    """All of them together."""

    days: int
    looks: int
    faulty: int
    alarms: int
    camera_years: float
    alarms_per_camera_year: float
    #: with 95 % confidence not more than this
    at_most: float
    verdicts: dict[str, int]


def program() -> str:
    """What judged, and how a day is lived: a line of another model or method is not counted."""
    return hashlib.blake2b(MODEL_FILE.read_bytes() + METHOD, digest_size=8).hexdigest()


# -- the weather of a day ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Spell:
    """Weather from a second of the day on; it comes up within ``rise_s``."""

    begins_s: float
    rise_s: float
    strengths: dict[str, float]


def spells_of(rng: np.random.Generator) -> list[Spell]:
    """The weather of a day, spell after spell; the first is there already."""
    result, at_s = list[Spell](), -DAY_S
    while at_s < DAY_S:
        moment = moment_of(rng, has_infrared=False, hours=(0.0, 24.0))
        strengths = {name: float(getattr(moment, name)) for name in _WEATHER}
        begins_s = at_s if result else -DAY_S
        result.append(Spell(begins_s, float(rng.uniform(1800, 7200)), strengths))
        at_s = float(rng.uniform(2, 8)) * 3600 + max(at_s, 0.0)
    return result


def weather_at(spells: list[Spell], at_s: float) -> dict[str, float]:
    """Strengths at a second of the day: the last spell, or on the way to it."""
    number = max(n for n, spell in enumerate(spells) if spell.begins_s <= at_s)
    now, before = spells[number], spells[max(number - 1, 0)]
    share = min((at_s - now.begins_s) / now.rise_s, 1.0)
    return {
        name: before.strengths[name] + (value - before.strengths[name]) * share
        for name, value in now.strengths.items()
    }


@dataclass(slots=True)
class Day:
    """One camera's day: the scene, its weather, and what is seen at a second of it."""

    scene: Scene
    rng: np.random.Generator
    spells: list[Spell] = field(default_factory=list)
    begins_hour: float = 0.0
    #: how the weather wavers about its spell
    waver: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, seed: int) -> Day:
        rng = np.random.default_rng([91, seed])
        day = cls(draw_scene(seed), rng, spells_of(rng), float(rng.uniform(0, 24)))
        day.waver = dict.fromkeys(_WEATHER, 1.0)
        return day

    def references(self) -> list[Picture]:
        """Good pictures of all hours, in weather of their own."""
        step, infrared = 24 / REFERENCES, self.scene.has_infrared
        moments = (
            moment_of(self.rng, has_infrared=infrared, hours=(step * n, step * (n + 1)))
            for n in range(REFERENCES)
        )
        return [plan.reference_of(self.scene, moment) for moment in moments]

    def moment(self, at_s: float) -> Moment:
        """What is there to be seen at this second; the weather wavers from call to call."""
        hour = (self.begins_hour + at_s / 3600) % 24
        strengths = weather_at(self.spells, at_s)
        for name in _WEATHER:
            towards = 1 + 0.8 * (self.waver[name] - 1) + self.rng.normal(0, 0.1)
            self.waver[name] = float(np.clip(towards, 0.6, 1.4))
            strengths[name] = float(np.clip(strengths[name] * self.waver[name], 0, 1))
        night = daylight(hour) < 0.12
        infrared = bool(night and self.scene.has_infrared)
        return self._seen(
            Moment(
                hour=hour, infrared=infrared, cloud=strengths["cloud"], fog=strengths["fog"],
                snowfall=strengths["snowfall"], snow_cover=strengths["snow_cover"],
                rain=strengths["rain"],
            )
        )  # fmt: skip

    def later(self, moment: Moment, after_s: float) -> Moment:
        """The same weather a few seconds later: other traffic, other grain."""
        return self._seen(replace(moment, hour=(moment.hour + after_s / 3600) % 24))

    def _seen(self, moment: Moment) -> Moment:
        return replace(
            moment, seed=int(self.rng.integers(0, 2**31)), traffic=int(self.rng.integers(0, 7))
        )

    def picture(self, moment: Moment) -> Picture:
        shaken = View(dx=float(self.rng.normal(0, 0.4)), dy=float(self.rng.normal(0, 0.4)))
        seen = weather.see(self.scene, moment, shaken)
        return weather.camera_output(self.scene, seen, moment)


# -- what the watch makes of it ---------------------------------------------------------------------


@dataclass(slots=True)
class Watch:
    """Judges as ``watchman`` does: beside the last good looks of the last hour."""

    learnt: Judge
    recent: list[tuple[float, Look]] = field(default_factory=list)
    beside: Judge | None = None

    def look(self, picture: Picture, at_s: float) -> Judgement:
        look = self.learnt.look(picture)
        fresh = [(t, seen) for t, seen in self.recent if at_s - t <= RECENT_S]
        if fresh != self.recent or self.beside is None:
            self.recent = fresh
            self.beside = self.learnt.beside([seen for _, seen in fresh]) if fresh else None
        if self.beside is None:
            said = self.learnt.judge_look(look)
        else:
            said = self.beside.judge_look(look, threshold=SUDDEN)
        if said.verdict == "ok" and (not fresh or at_s - fresh[-1][0] >= RECENT_EVERY_S):
            self.recent, self.beside = [*fresh, (at_s, look)][-RECENT:], None
        return said


@dataclass(slots=True)
class Tally:
    """Faulty looks in a row, alarms, and whether one stands."""

    looks: int = 0
    faulty: int = 0
    alarms: int = 0
    row: int = 0
    good: int = 0
    stands: bool = False
    verdicts: Counter[str] = field(default_factory=Counter)

    def take(self, verdict: str, *, first: bool) -> None:
        """One look; ``first``: by the schedule, not one that follows a faulty one."""
        self.looks += first
        if verdict == "ok":
            self.row, self.good = 0, self.good + 1
            self.stands = self.stands and self.good < ENDS
            return
        self.row, self.good = self.row + 1, 0
        if first:
            self.faulty += 1
            self.verdicts[verdict] += 1
        if self.row >= IN_A_ROW and not self.stands:
            self.alarms, self.stands = self.alarms + 1, True


def live(seed: int, by: str) -> DayResult:
    """One camera's day."""
    cv2.setNumThreads(1)
    day, tally, full_s = Day.of(seed), Tally(), Pace().full_s
    watch = Watch(Judge(day.references(), shipped()))
    at_s = 0.0
    while at_s < DAY_S:
        moment = day.moment(at_s)
        tally.take(watch.look(day.picture(moment), at_s).verdict, first=True)
        after_s = 0.0
        while 0 < tally.row < IN_A_ROW and not tally.stands:
            after_s += PAUSE_S
            then = day.later(moment, after_s)
            tally.take(watch.look(day.picture(then), at_s + after_s).verdict, first=False)
        at_s += after_s + full_s * float(day.rng.uniform(0.7, 1.0))
    return DayResult(
        scene=seed, lived_s=DAY_S, looks=tally.looks, faulty=tally.faulty, alarms=tally.alarms,
        verdicts=dict(tally.verdicts), program=by,
    )  # fmt: skip


# -- many of them -----------------------------------------------------------------------------------


def read(progress: Path) -> dict[int, DayResult]:
    """What is done already, by this model and method."""
    done: dict[int, DayResult] = {}
    if progress.exists():
        for line in progress.read_bytes().splitlines():
            try:
                one = msgspec.json.decode(line, type=DayResult)
            except msgspec.MsgspecError:
                continue  # of another method, or a line that was being written when it was stopped
            if one.program == program():
                done[one.scene] = one
    return done


def run(progress: Path, *, days: int, minutes: float | None, jobs: int) -> Iterator[DayResult]:
    """The days that are missing, until all are done or the time is over."""
    end = None if minutes is None else time.monotonic() + minutes * 60
    by, done = program(), read(progress)
    missing = iter([s for s in range(FIRST_SCENE, FIRST_SCENE + days) if s not in done])
    context = multiprocessing.get_context("spawn")  # OpenCV does not survive a fork
    progress.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(jobs, mp_context=context) as pool, progress.open("ab") as file:
        running: set[Future[DayResult]] = set()
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


def total(results: list[DayResult]) -> SoakResult:
    """The figures of what was lived."""
    alarms, verdicts = sum(r.alarms for r in results), Counter[str]()
    for result in results:
        verdicts.update(result.verdicts)
    years = sum(r.lived_s for r in results) / YEAR_S
    return SoakResult(
        days=len(results), looks=sum(r.looks for r in results), faulty=sum(r.faulty for r in results),
        alarms=alarms, camera_years=round(years, 3), verdicts=dict(verdicts),
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
