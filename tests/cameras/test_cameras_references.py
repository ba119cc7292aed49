"""References: bounded on disk, learnt while all is well, and never from a fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edge.cameras.cli import app
from edge.cameras.pictures import Picture, decode
from edge.cameras.references import (
    BUCKETS,
    CANDIDATE_EVERY_S,
    GOOD_AFTER_S,
    GOOD_BEFORE_S,
    LEAST,
    MAX_ANCHORS,
    MAX_FILE_BYTES,
    PER_BUCKET,
    RENEW_S,
    References,
)
from edge.cameras.thumbnails import MAX_BYTES, thumbnail
from firmware_sim.camera.film import Shape, film
from firmware_sim.camera.server import Camera, Server

SHAPE = Shape(width=480, height=270, rate_fps=10, length_s=5)
DAY = 86_400.0
#: Some morning.
T = 2_000_000_000.0 - 2_000_000_000.0 % DAY + 8 * 3600


def _jpegs(fault: str | None = None) -> tuple[bytes, ...]:
    return film(replace(SHAPE, fault=fault)).jpegs


@pytest.fixture
def references(tmp_path: Path) -> References:
    made = References(tmp_path / "yard")
    for n, jpeg in enumerate(_jpegs()[:LEAST]):
        made.add_anchor(decode(jpeg), T + n)
    return made


def _learn(references: References, jpeg: bytes, at_s: float, **changes: object) -> bool:
    values: dict[str, object] = {"good_since_s": at_s - GOOD_BEFORE_S, "confidence": 0.99, **changes}
    references.offer(jpeg, at_s, **values)  # type: ignore[arg-type]
    return references.ripen(at_s + GOOD_AFTER_S)


def test_a_good_picture_is_learnt_for_its_part_of_the_day(references: References) -> None:
    assert _learn(references, _jpegs()[4], T + 5 * 3600)
    learnt = [kept for kept in references.files() if not kept.anchor]
    assert [kept.bucket for kept in learnt] == [13 * 60 * BUCKETS // 1440]
    assert references.judge() is not None


def test_what_is_not_well_for_long_before_and_after_is_not_learnt(references: References) -> None:
    jpeg = _jpegs()[4]
    assert not _learn(references, jpeg, T + 1e4, good_since_s=T + 1e4 - 60)
    assert not _learn(references, jpeg, T + 1e4, good_since_s=None)
    assert not _learn(references, jpeg, T + 1e4, confidence=0.6)
    references.offer(jpeg, T + 2e4, good_since_s=T, confidence=0.99)
    assert not references.ripen(T + 2e4 + GOOD_AFTER_S - 1)
    references.doubt()
    assert not references.ripen(T + 2e4 + 2 * GOOD_AFTER_S)
    assert all(kept.anchor for kept in references.files())


@pytest.mark.parametrize("fault", ["moved", "defocused", "noisy", "dark", "over_exposed"])
def test_a_fault_that_the_anchors_see_is_not_learnt_even_if_it_was_called_ok(
    references: References, fault: str
) -> None:
    if fault in ("dark", "over_exposed"):  # light that the anchors do not know needs the judge's word
        assert references.judge(anchors_only=True).judge(decode(_jpegs(fault)[0])).verdict == fault  # type: ignore[union-attr]
        return
    assert not _learn(references, _jpegs(fault)[0], T + 1e4)


def test_a_fault_that_grows_slowly_does_not_become_the_norm(references: References) -> None:
    picture: Picture = decode(_jpegs()[3])
    for step in range(1, 13):
        soft = cv2.GaussianBlur(picture, (0, 0), 0.35 * step)
        _, data = cv2.imencode(".jpg", soft)
        _learn(references, data.tobytes(), T + step * 2 * RENEW_S)
    judge = references.judge()
    assert judge is not None
    assert (
        judge.judge(np.asarray(cv2.GaussianBlur(picture, (0, 0), 4.2), np.uint8)).verdict == "defocused"
    )


def test_a_year_of_learning_stays_bounded(references: References) -> None:
    jpeg = _jpegs()[4]
    at_s = T
    for _ in range(120):
        at_s += max(CANDIDATE_EVERY_S * 11, RENEW_S / 20)
        _learn(references, jpeg, at_s)
    files = references.files()
    assert sum(not kept.anchor for kept in files) <= BUCKETS * PER_BUCKET
    assert sum(kept.path.stat().st_size for kept in files) < len(files) * MAX_FILE_BYTES
    assert max(kept.at_s for kept in files) > at_s - 2 * RENEW_S  # kept current


def test_anchors_are_bounded_and_never_replaced_by_learning(references: References) -> None:
    for n in range(20):
        references.add_anchor(decode(_jpegs()[n % 5]), T + 100 + n)
    assert sum(kept.anchor for kept in references.files()) == MAX_ANCHORS
    assert references.forget() == MAX_ANCHORS
    assert references.judge() is None


@pytest.mark.parametrize("value", [0, 255, 120])
def test_the_first_ones_are_not_taken_from_nothing(tmp_path: Path, value: int) -> None:
    fresh = References(tmp_path / "x")
    assert not fresh.first(np.full((270, 480, 3), value, np.uint8), T)
    assert fresh.first(decode(_jpegs()[0]), T)
    assert not fresh.first(decode(_jpegs()[1]), T + 5)
    assert fresh.first(decode(_jpegs()[1]), T + 30)


def test_a_thumbnail_is_small_whatever_it_shows() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1080, 1920, 3)).astype(np.uint8)
    for picture in (decode(_jpegs()[0]), noise, noise[:20, :16]):
        jpeg = thumbnail(picture)
        assert jpeg is not None and len(jpeg) <= MAX_BYTES
        assert decode(jpeg).shape[1] == 160


async def test_the_command_takes_good_pictures_and_says_when_none_comes(tmp_path: Path) -> None:
    import asyncio

    async with Server({"yard": Camera(SHAPE)}) as server:
        words = [
            "learn",
            server.url("yard"),
            "--to",
            str(tmp_path / "yard"),
            "--count",
            "2",
            "--every",
            "0",
        ]
        done = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert done.exit_code == 0, done.output
    assert len(References(tmp_path / "yard").files()) == 2
    words = ["learn", "rtsp://u:hush@127.0.0.1:9/x", "--to", str(tmp_path / "gate")]
    failed = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert (
        failed.exit_code == 1 and "refused: no picture" in failed.output and "hush" not in failed.output
    )


def test_what_was_made_of_the_pictures_is_kept_until_they_are_others(references: References) -> None:
    picture = decode(_jpegs()[LEAST])
    made = references.judge()
    (file,) = references.folder.glob("bank-*.npz")
    kept = references.judge()
    assert made is not None and kept is not None
    was, now = made.judge(picture), kept.judge(picture)
    assert now.verdict == was.verdict and now.confidence == pytest.approx(was.confidence, abs=0.01)

    file.write_bytes(b"no archive")
    assert references.judge() is not None  # made anew
    references.add_anchor(picture, T + 100)
    again = references.judge()
    assert again is not None and len(again.bank.looks) == LEAST + 1
    assert len(list(references.folder.glob("bank-*"))) == 1
    references.forget()
    assert list(references.folder.glob("bank-*")) == []
