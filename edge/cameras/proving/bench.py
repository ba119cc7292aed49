"""``bench cameras``: the judge's figures on held-out scenes, on real pictures and on films, and speed.

``cameras(...)`` gives plain data; every figure of ``docs/cameras.md`` comes from here.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import cv2
import msgspec

from edge.cameras.bank import Bank
from edge.cameras.film import frozen
from edge.cameras.judge import decide
from edge.cameras.proving.clips import clips, measure_clip
from edge.cameras.proving.measure import Measured, measure, spread
from edge.cameras.proving.plan import FROZEN, VERDICTS, cases_of, fingerprint, picture_of, reference_of
from edge.cameras.proving.real import measure_place, places
from edge.cameras.proving.scenes import draw_scene
from edge.cameras.proving.score import Score, score
from edge.cameras.trees import shipped


def cameras(
    *, scenes: int | None = None, opencv_samples: Path | None = None, workers: int | None = None
) -> dict[str, Any]:
    """All figures. ``scenes`` limits the held-out part (None: all of it)."""
    workers = workers or os.cpu_count() or 1
    held = measure("held_out", scenes=scenes, workers=workers)
    every = places(opencv_samples)
    real = spread(measure_place, [p for p in every if p.name.startswith("opencv/")], workers)
    films = clips("held_out")
    film_numbers = spread(measure_clip, films, workers)
    return {
        "frozen_by_hash": {part: fingerprint(part) == FROZEN[part] for part in FROZEN},
        "model_tuned_on": shipped().tuned_on,
        "held_out_scenes": compare(held),
        # empty without OpenCV's samples: the other photographs tuned the model
        "real_pictures": compare([m for group in real for m in group]) if real else None,
        "frozen_films": _films(films, film_numbers),
        "speed": speed(),
    }


def compare(measured: list[Measured]) -> dict[str, Any]:
    """Rules and model on the same decisions; what is wrong by weather."""
    model = shipped()
    said = [decide(m.numbers, model).verdict for m in measured]
    by_weather: dict[str, list[tuple[str, str]]] = {}
    for m, verdict in zip(measured, said, strict=True):
        by_weather.setdefault(m.weather, []).append((m.truth, verdict))
    rules = score(((m.truth, decide(m.numbers, None).verdict) for m in measured), VERDICTS)
    whole = score(((m.truth, v) for m, v in zip(measured, said, strict=True)), VERDICTS)
    return {
        "model": msgspec.to_builtins(whole),
        "rules": {"macro_f1": rules.macro_f1, "false_positive_share": rules.false_positive_share},
        "by_weather": {k: _short(score(v, VERDICTS)) for k, v in sorted(by_weather.items())},
    }


def _short(s: Score) -> dict[str, float]:
    right = sum(row.get(truth, 0) for truth, row in s.confusion.items())
    return {
        "decisions": s.decisions, "right": round(right / max(s.decisions, 1), 4),
        "false_positives": s.false_positives, "healthy": s.healthy,
    }  # fmt: skip


def _films(films: list[Any], numbers: list[dict[str, float]]) -> dict[str, Any]:
    result: dict[str, dict[str, int]] = {}
    for clip, evidence in zip(films, numbers, strict=True):
        row = result.setdefault(
            f"{clip.rate_kbps} kb/s", {"stuck": 0, "found": 0, "alive": 0, "alive_night": 0, "false": 0}
        )
        found = frozen(evidence) is not None
        row["stuck"] += clip.stuck
        row["found"] += clip.stuck and found
        row["alive"] += not clip.stuck
        row["alive_night"] += not clip.stuck and clip.night
        row["false"] += not clip.stuck and found
    return result


def speed(seconds: float = 4.0) -> dict[str, float]:
    """Full looks a second on one core, at 640x360 and 1920x1080, and so cameras at one look in 10
    min."""
    cv2.setNumThreads(1)
    cases = cases_of(9000)
    scene = draw_scene(9000)
    scene.size = (640, 360)
    bank = Bank([reference_of(scene, m) for m in cases.references[:8]])
    picture = picture_of(scene, cases.cases[0])
    result: dict[str, float] = {}
    for width, height in ((640, 360), (1920, 1080)):
        sized = cv2.resize(picture, (width, height))
        model = shipped()
        count, began = 0, time.process_time()
        while time.process_time() - began < seconds / 2:
            decide(bank.compare(sized), model)  # type: ignore[arg-type]  # an array of bytes
            count += 1
        rate = count / (time.process_time() - began)
        result[f"looks_per_core_s_{height}p"] = round(rate, 1)
    return result
