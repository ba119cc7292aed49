"""The simulated year: the model's own figures, resuming, and a short run of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from utaa.accept_alarms import GerResult, accept, finished, live, program_of, report
from utaa.ger_year import GROWTH_S, Fire, home, year


@pytest.mark.parametrize(("kind", "by_s"), [("slow", 300.0), ("medium", 200.0), ("fast", 120.0)])
def test_a_flaming_fire_fills_a_ger_with_smoke_as_its_growth_says(kind: str, by_s: float) -> None:
    od, _, warmth = Fire(kind).adds(by_s)
    assert od > 2.5
    assert warmth > 10.0
    # heat release at the class's own time is 1,055 kW: the last second burns 1,055 kJ of wood
    last_g = 1055.0 / 13.0
    grown = Fire(kind).adds(GROWTH_S[kind])[0] - Fire(kind).adds(GROWTH_S[kind] - 1.0)[0]
    assert grown == pytest.approx(4.343 * 8.7 * last_g * 0.015 * 0.5 / 60.0, rel=0.03)


def test_a_smouldering_fire_gives_more_co_for_its_smoke_than_a_flaming_one() -> None:
    smouldering, flaming = Fire("smouldering", 0.1).adds(1200.0), Fire("medium").adds(150.0)
    assert smouldering[1] / smouldering[0] > flaming[1] / flaming[0]


def test_a_ger_breathes_the_co_it_was_given_and_never_freezes_or_cooks() -> None:
    rng = np.random.default_rng(5)
    one = home(rng)
    days = list(year(one, rng, 200))
    mean_ppm = float(np.mean([day.co_ppm.mean() for day in days]))
    assert mean_ppm == pytest.approx(one.co_mean_ppm, rel=0.3)
    assert max(float(day.temperature_c.max()) for day in days) < 46.0


def test_three_weeks_of_a_ger_raise_nothing_and_its_fire_is_found() -> None:
    result = live(3, 21, 11)
    assert result.decisions > 21 * 1440 * 0.95
    assert {kind for kind in result.raised if kind in ("smoke", "co", "heat")} == set()
    assert result.fire_s is not None


def test_a_run_is_resumed_where_it_ended_and_a_torn_line_is_lived_again(tmp_path: Path) -> None:
    progress, out = tmp_path / "progress.jsonl", tmp_path / "out.md"
    options = {"days": 2, "jobs": 1, "minutes": 0, "progress": progress, "out": out, "seed": 4}
    accept(gers=2, **options)  # type: ignore[arg-type]
    whole = out.read_text()
    lines = progress.read_bytes().splitlines(keepends=True)
    progress.write_bytes(lines[0] + lines[1][:20])
    assert len(finished(progress, 2, program_of(4))) == 1
    accept(gers=2, **options)  # type: ignore[arg-type]
    assert out.read_text() == whole
    assert "2 of 2 gers" in whole


def test_lines_of_another_program_or_length_are_not_resumed(tmp_path: Path) -> None:
    progress = tmp_path / "progress.jsonl"
    line = GerResult(0, 365, 1, {}, [], "slow", program="other")
    progress.write_bytes(msgspec.json.encode(line) + b"\n")
    assert finished(progress, 365, "this") == {}
    assert finished(progress, 10, "other") == {}
    assert list(finished(progress, 365, "other")) == [0]


def test_the_report_counts_missed_fires_and_false_alarms() -> None:
    found = GerResult(0, 365, 10, {"smoke": 2, "low_battery": 1}, ["day 1"], "fast", 60.0, "smoke", 1.0)
    missed = GerResult(1, 365, 10, {}, [], "fast")
    text = report([found, missed], 5)
    assert "2 of 5 gers" in text
    assert "smoke, CO, heat): 2, 1.000 per" in text
    assert "2 injected, 1 missed" in text
