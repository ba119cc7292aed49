"""The judge: bounded input, any size and colour, each fault of a generated camera, the shipped
model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge.cameras.judge import Judge, decide
from edge.cameras.pictures import BadPicture, claimed_size, decode
from edge.cameras.proving.faults import FAULTS
from edge.cameras.proving.plan import FROZEN, SCENES, VERDICTS, fingerprint
from edge.cameras.proving.scenes import Moment, View, draw_scene
from edge.cameras.proving.score import score, wilson_upper
from edge.cameras.proving.weather import camera_output, see
from edge.cameras.trees import ModelFile, TreeFile, Trees, shipped

HOURS = (9.0, 11.5, 14.0, 16.5, 22.0, 2.0)
#: A scene of neither part.
SEED = 5


@pytest.fixture(scope="module")
def street() -> tuple[Judge, dict[float, np.ndarray]]:
    scene = draw_scene(SEED)
    seen = {}
    for n, hour in enumerate(HOURS):
        moment = Moment(hour=hour, seed=n, infrared=not 6 < hour < 20)
        seen[hour] = camera_output(scene, see(scene, moment), moment)
    return Judge.trained(list(seen.values())), seen


def _picture(
    hour: float, fault: str | None = None, view: View | None = None, **weather: float
) -> np.ndarray:
    scene = draw_scene(SEED)
    moment = Moment(hour=hour, seed=99, infrared=not 6 < hour < 20, **weather)  # type: ignore[arg-type]
    picture = see(scene, moment, view or View())
    if fault is not None:
        picture = FAULTS[fault](np.random.default_rng(3), picture)
    return camera_output(scene, picture, moment)


@pytest.mark.parametrize("fault", list(FAULTS))
def test_each_fault_by_day_is_named(street: tuple[Judge, object], fault: str) -> None:
    said = street[0].judge(_picture(13.0, fault))  # type: ignore[arg-type]

    assert said.verdict == fault
    assert 0.3 < said.confidence <= 1
    assert said.evidence


@pytest.mark.parametrize(
    "view", [View(dx=70), View(dy=45), View(roll_deg=8), View(zoom=1.3), View(dx=150, dy=-40)]
)
def test_a_turned_camera_is_moved(street: tuple[Judge, object], view: View) -> None:
    assert street[0].judge(_picture(12.0, view=view)).verdict == "moved"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "weather",
    [
        {},
        {"fog": 0.3},
        {"snow_cover": 0.8},
        {"snowfall": 0.6, "snow_cover": 0.4},
        {"rain": 0.7},
        {"traffic": 6},
    ],
)
@pytest.mark.parametrize("hour", [12.0, 23.0])
def test_weather_night_and_infrared_are_normal_life(
    street: tuple[Judge, object], weather: dict[str, float], hour: float
) -> None:
    assert street[0].judge(_picture(hour, **weather)).verdict == "ok"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "size", [(64, 48), (177, 144), (333, 999), (4000, 300), (1920, 1080), (17, 16)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_any_size_and_colour_get_a_verdict(size: tuple[int, int], channels: int) -> None:
    rng = np.random.default_rng(1)
    shape = (size[1], size[0], 3) if channels == 3 else (size[1], size[0])
    _, data = cv2.imencode(".png", rng.integers(0, 255, shape, dtype=np.uint8))
    picture = decode(data.tobytes())

    said = Judge.trained([picture]).judge(picture)
    assert said.verdict in VERDICTS


@pytest.mark.parametrize("value", [0, 255, 128])
def test_pictures_without_any_structure_do_not_break_it(value: int) -> None:
    flat = np.full((360, 640, 3), value, np.uint8)
    said = Judge.trained([flat, flat]).judge(flat)

    assert said.verdict in VERDICTS
    assert all(np.isfinite(v) for v in said.evidence.values())


def test_more_references_than_are_kept_leave_the_most_different(
    street: tuple[Judge, dict[float, np.ndarray]],
) -> None:
    day, night = street[1][11.5], street[1][2.0]
    judge = Judge.trained([day] * 40 + [night])  # type: ignore[list-item]

    assert len(judge.bank.looks) == 24
    assert (
        min(look.numbers["mean"] for look in judge.bank.looks) < judge.bank.looks[0].numbers["mean"] + 1
    )
    assert judge.judge(night).verdict == "ok"  # type: ignore[arg-type]


def test_a_judge_needs_a_reference() -> None:
    with pytest.raises(ValueError, match="no reference"):
        Judge.trained([])


def test_a_hundred_megapixels_are_refused_before_they_are_decoded() -> None:
    from firmware_sim.camera.server import huge_png

    assert claimed_size(huge_png()) == (10_000, 10_000)
    with pytest.raises(BadPicture, match="too_large"):
        decode(huge_png())


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"hello" * 100, b"BM" + bytes(40)]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadPicture, match="not_a_picture"):
        decode(data)


def test_a_jpeg_says_its_size() -> None:
    _, data = cv2.imencode(".jpg", np.zeros((120, 200, 3), np.uint8))
    assert claimed_size(data.tobytes()) == (200, 120)
    assert claimed_size(data.tobytes()[:6]) is None


def test_trees_walk_to_the_leaf_that_the_numbers_choose() -> None:
    tree = TreeFile(feature=[0, -1, -1], threshold=[2.0, 0, 0], left=[1, 0, 0], right=[2, 0, 0],
                    missing_left=[0, 0, 0], value=[0.0, 3.0, -3.0])  # fmt: skip
    flat = TreeFile(feature=[-1], threshold=[0.0], left=[0], right=[0], missing_left=[0], value=[0.0])
    model = Trees(ModelFile(made_by="", tuned_on="", verdicts=["ok", "dark"], features=["x"],
    start=[0.0, 0.0],
                            fault_threshold=0.5, trees=[[tree, flat]]))  # fmt: skip

    assert model.probabilities({"x": 2.0})["ok"] > 0.9
    assert model.probabilities({"x": 2.1})["ok"] < 0.1
    assert model.probabilities({})["ok"] < 0.1  # a missing number goes right here
    assert sum(model.probabilities({"x": 0.0}).values()) == pytest.approx(1.0)


def test_the_shipped_model_knows_the_verdicts_and_what_it_was_tuned_on() -> None:
    model = shipped()

    assert tuple(model.verdicts) == VERDICTS
    assert model.tuned_on == FROZEN["tuning"]
    assert 0.5 <= model.fault_threshold < 1


def test_the_parts_never_meet() -> None:
    assert not set(SCENES["tuning"]) & set(SCENES["held_out"])


@pytest.mark.soak
def test_the_parts_are_what_they_were_when_they_were_frozen() -> None:
    assert {part: fingerprint(part) for part in FROZEN} == FROZEN


def test_rules_alone_decide_too(street: tuple[Judge, object]) -> None:
    numbers = street[0].bank.compare(_picture(13.0, "dark"))  # type: ignore[arg-type]
    assert decide(numbers, None).verdict == "dark"


def test_scores_are_counted_by_hand() -> None:
    pairs = [("ok", "ok")] * 8 + [("ok", "dark"), ("ok", "unknown"), ("dark", "dark"), ("dark", "ok")]
    got = score(pairs, ("ok", "dark"))

    assert (got.false_positives, got.healthy, got.unknown) == (1, 10, 1)
    assert got.recall == {"ok": 0.8, "dark": 0.5}
    assert got.macro_f1 == pytest.approx((16 / 19 + 0.5) / 2, abs=1e-4)
    assert wilson_upper(0, 100) == pytest.approx(0.037, abs=0.001)


def test_the_command_judges_a_folder_and_says_what_it_left_out(tmp_path: Path) -> None:
    good, judged = tmp_path / "good", tmp_path / "judged"
    good.mkdir(), judged.mkdir()
    for n, hour in enumerate((9.0, 12.0, 15.0)):
        cv2.imwrite(str(good / f"{n}.jpg"), _picture(hour))
    (good / "notes.jpg").write_text("no picture")
    cv2.imwrite(str(judged / "a.png"), _picture(13.0))
    cv2.imwrite(str(judged / "b.jpg"), _picture(13.0, "dark"))
    (judged / "c.jpg").write_bytes(b"\xff\xd8 broken")
    done = subprocess.run(
        [sys.executable, "-m", "utaa.cli", "cameras", "judge", "--reference", str(good),
         "--pictures", str(judged), "--json"],
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip

    lines = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert [(row["file"], row["verdict"]) for row in lines] == [
        ("a.png", "ok"),
        ("b.jpg", "dark"),
        ("c.jpg", "unknown"),
    ]
    assert all(set(row) == {"file", "verdict", "confidence", "evidence"} for row in lines)
    assert done.stderr.startswith("utaa: notes.jpg: left out, not_a_picture")
    assert done.returncode == 0


def test_an_empty_folder_of_references_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "utaa.cli", "cameras", "judge", "--reference", str(tmp_path),
        "--pictures", str(tmp_path)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "--reference" in done.stderr


@pytest.mark.parametrize("size", [(640, 480), (352, 288), (640, 360)])
def test_references_do_not_fade_with_the_looks(size: tuple[int, int]) -> None:
    """OpenCV's phaseCorrelate writes on what it is given where the size suits its transform."""
    good = [cv2.resize(_picture(h), size) for h in (10.0, 12.0, 14.0)]
    judge = Judge.trained(good)  # type: ignore[arg-type]
    before, first = judge.bank.normals.copy(), judge.judge(good[1])  # type: ignore[arg-type]
    look = judge.look(good[1])  # type: ignore[arg-type]
    kept = look.normal.copy()
    for _ in range(3):
        judge.judge_look(look)
    assert np.array_equal(judge.bank.normals, before) and np.array_equal(look.normal, kept)
    assert judge.judge_look(look) == first


def test_recent_pictures_are_set_beside_the_others_as_if_they_were_all_new(
    street: tuple[Judge, dict[float, np.ndarray]],
) -> None:
    judge, seen = street
    recent = [_picture(12.2, traffic=3), _picture(12.3, traffic=1)]
    beside = judge.beside(recent)  # type: ignore[arg-type]
    anew = Judge.trained([*seen.values(), *recent])  # type: ignore[list-item]
    now = _picture(12.4)
    assert beside.bank.compare(now) == pytest.approx(anew.bank.compare(now), nan_ok=True)  # type: ignore[arg-type]
