"""Films: the same bytes again, a stuck sensor behind a live encoder, an empty night that lives."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from edge.cameras.errors import CameraError
from edge.cameras.film import Changes, frozen, judge_film
from edge.cameras.proving.clips import Clip, clips, measure_clip, pictures
from firmware_sim.camera.film import Shape, film


def _file(tmp_path: Path, shape: Shape) -> Path:
    """The simulator's film as a raw H.264 file."""
    path = tmp_path / "clip.h264"
    path.write_bytes(b"".join(b"\0\0\0\1" + nal for unit in film(shape).units for nal in unit.nals))
    return path


@pytest.mark.parametrize("night", [False, True])
@pytest.mark.parametrize("stuck", [False, True])
def test_a_stuck_sensor_is_told_from_a_living_one_with_a_clock_in_both(
    stuck: bool, night: bool
) -> None:
    numbers = measure_clip(Clip(seed=9, stuck=stuck, night=night, rate_kbps=1024))

    assert (frozen(numbers) is not None) == stuck
    assert numbers["groups"] >= 2


def test_the_simulators_stuck_sensor_is_found_and_its_living_one_is_not(tmp_path: Path) -> None:
    living = Shape(
        width=480, height=270, rate_fps=12, gop_s=2.0, length_s=6, bitrate_kbps=800, night=True
    )

    assert judge_film(_file(tmp_path, replace(living, stuck=True))).verdict == "frozen"
    assert judge_film(_file(tmp_path, living)).verdict == "ok"


def test_equal_pictures_are_frozen_without_any_group() -> None:
    changes = Changes()
    picture = pictures(Clip(seed=1, stuck=True, night=True, rate_kbps=512))[0][..., 0]
    for _ in range(10):
        changes.add(picture, keyframe=False)

    assert frozen(changes.evidence()) == ("repeated", 0.99)


def test_a_film_too_short_to_tell_is_not_called_frozen() -> None:
    changes = Changes()
    for number, picture in enumerate(
        pictures(Clip(seed=3, stuck=False, night=False, rate_kbps=512))[:5]
    ):
        changes.add(picture[..., 0], keyframe=number == 0)
    assert frozen(changes.evidence()) is None


def test_clips_that_tune_and_clips_that_test_never_meet() -> None:
    assert not {c.seed for c in clips("tuning")} & {c.seed for c in clips("held_out")}


def test_what_is_no_film_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"nothing" * 100)
    with pytest.raises(CameraError, match=r"x\.mp4: not a film"):
        judge_film(tmp_path / "x.mp4")
    done = subprocess.run(
        [sys.executable, "-m", "utaa.cli", "cameras", "judge-video", str(tmp_path / "x.mp4")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (2, "utaa: x.mp4: not a film that can be read\n")


def test_the_command_judges_a_film(tmp_path: Path) -> None:
    path = _file(tmp_path, Shape(width=320, height=240, rate_fps=10, gop_s=1.5, length_s=5, stuck=True))
    done = subprocess.run(
        [sys.executable, "-m", "utaa.cli", "cameras", "judge-video", str(path), "--json"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert msgspec.json.decode(done.stdout)["verdict"] == "frozen"
