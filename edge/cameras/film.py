"""A film of one camera: is it alive, or does it show the same again and again?

Three kinds of standing still. No pictures come (``stream`` says so). The same compressed picture comes
again (its bytes are equal, or the decoded pictures are). A stuck sensor stands behind a live encoder:
then no two pictures are equal and a clock may tick, but what changes is only the encoder's own work.
At each keyframe an encoder starts anew and then refines; a living sensor's grain changes all the time.
So within a group of pictures the changes of a stuck one fade to nothing, those of a living one stay.

``Changes`` takes pictures one by one (luma, no more than 320 wide); blocks where a clock ticks or
someone walks do not count, because the quiet half of the blocks decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.errors import CameraError
from edge.cameras.glance import planes
from edge.cameras.judge import Judge, Judgement
from edge.cameras.pictures import MAX_PIXELS, find, read
from edge.cameras.trees import shipped

#: Pictures of one film that are looked at; two minutes at 25 a second.
MAX_PICTURES: Final = 3000
#: Blocks of luma compared from picture to picture.
_BLOCK: Final = 16
#: A group must have this many pictures to have a late part.
_MIN_GROUP: Final = 8


@dataclass(slots=True)
class Changes:
    """Pictures of one film as they come; ``evidence`` sums up."""

    pictures: int = 0
    equal: int = 0
    #: mean change per block since the picture before, by place in the group of pictures
    _early: list[NDArray[np.float32]] = field(default_factory=list)
    _late: list[NDArray[np.float32]] = field(default_factory=list)
    _group: list[NDArray[np.float32]] = field(default_factory=list)
    _last: NDArray[np.int16] | None = None
    _key_means: list[NDArray[np.float32]] = field(default_factory=list)
    groups: int = 0

    def add(self, luma: NDArray[np.uint8], *, keyframe: bool) -> None:
        """The next picture, its luma at full size."""
        now = luma.astype(np.int16)
        self.pictures += 1
        if keyframe:
            self._close_group()
            self._key_means.append(_blocks(now.astype(np.float32)))
        if self._last is not None and self._last.shape == now.shape:
            change = np.abs(now - self._last)
            self.equal += not change.any()
            if not keyframe:
                self._group.append(_blocks((change > 0).astype(np.float32)))
        self._last = now

    def _close_group(self) -> None:
        if len(self._group) >= _MIN_GROUP:
            part = len(self._group) // 4
            self._early.append(np.mean(self._group[:part], axis=0))
            self._late.append(np.mean(self._group[-part:], axis=0))
            self.groups += 1
        self._group = []

    def evidence(self) -> dict[str, float]:
        """Numbers: shares of changed pixels early and late in a group, in the quiet half of the
        blocks."""
        self._close_group()
        numbers = {
            "pictures": float(self.pictures), "groups": float(self.groups),
            "equal_share": self.equal / max(self.pictures - 1, 1),
        }  # fmt: skip
        if self.groups:
            early, late = np.mean(self._early, axis=0), np.mean(self._late, axis=0)
            numbers |= {
                "early_change": float(np.median(early)), "late_change": float(np.median(late)),
                "late_over_early": float((np.median(late) + 1e-4) / (np.median(early) + 1e-3)),
                "still_blocks": float((late < 0.002).mean()),
                "late_p75": float(np.quantile(late, 0.75)),
                "late_p90": float(np.quantile(late, 0.9)),
            }  # fmt: skip
        if len(self._key_means) > 1:
            keys = np.stack(self._key_means)
            step = np.abs(np.diff(keys, axis=0))
            drift = np.abs(keys[-1] - keys[0])
            numbers["key_step"] = float(np.median(step))
            numbers["key_step_p75"] = float(np.quantile(step, 0.75))
            numbers["key_step_p90"] = float(np.quantile(step, 0.9))
            numbers["key_drift_p75"] = float(np.quantile(drift, 0.75))
        return numbers


def _blocks(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    size = (max(plane.shape[1] // _BLOCK, 1), max(plane.shape[0] // _BLOCK, 1))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def frozen(numbers: dict[str, float]) -> tuple[str, float] | None:
    """The kind of freeze and how sure; None for a living film.

    Limits from clips of the tuning seeds (``proving.clips``); see ``docs/cameras.md``.
    """
    if numbers["pictures"] >= 5 and numbers["equal_share"] > 0.9:
        return "repeated", 0.99
    if numbers.get("groups", 0) < 2:
        return None
    if numbers["late_over_early"] < LATE_OVER_EARLY and numbers["late_p75"] < LATE_CHANGE:
        return "stuck", 0.9
    if numbers["equal_share"] > EQUAL_SHARE and numbers["late_p75"] < LATE_CHANGE / 2:
        return "stuck", 0.8
    return None


#: A simple encoder leaves out pictures that are like the one before: grain never lets that happen so
#: often. Pictures that a camera merely doubles (half of them equal) change in the other half.
EQUAL_SHARE: Final = 0.4
#: A stuck sensor's pictures change late in a group less than this share of what they change early.
LATE_OVER_EARLY: Final = 0.45
#: And late in a group at most this share of pixels changes, in three quarters of its blocks.
LATE_CHANGE: Final = 0.11


def judge_film(path: Path, reference: Path | None = None) -> Judgement:
    """Frozen first, then what most of a few pictures show. Raises ``CameraError``."""
    changes, shown = Changes(), []
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise CameraError(path.name, "it has no video")
            for number, frame in enumerate(_frames(container)):
                changes.add(planes(frame)[0], keyframe=bool(frame.key_frame))
                if number % 50 == 0:
                    shown.append(frame.to_ndarray(format="bgr24"))
                if number >= MAX_PICTURES:
                    break
    except (av.FFmpegError, OSError):
        if not changes.pictures:
            raise CameraError(path.name, "not a film that can be read") from None
    numbers = changes.evidence()
    evidence = {k: round(v, 4) for k, v in numbers.items()}
    kind = frozen(numbers)
    if kind is not None:
        return Judgement(
            verdict="frozen", confidence=kind[1], evidence={**evidence, f"frozen_{kind[0]}": 1.0}
        )
    if reference is None:
        alive = numbers.get("groups", 0) >= 2 or numbers["equal_share"] < 0.5
        return Judgement(
            verdict="ok" if alive else "unknown", confidence=0.8 if alive else 0.0, evidence=evidence
        )
    good = [read(p) for p in find(reference)]
    if not good:
        raise CameraError("--reference", "no picture in the folder")
    judge = Judge(good, shipped())
    said = [judge.judge(p) for p in shown[:: max(len(shown) // 7, 1)][:7]]
    words = [s.verdict for s in said]
    word = max(set(words), key=words.count)
    best = max((s for s in said if s.verdict == word), key=lambda s: s.confidence)
    return Judgement(verdict=word, confidence=best.confidence, evidence={**evidence, **best.evidence})


def _frames(container: Any) -> Any:
    stream = container.streams.video[0]
    if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
        raise CameraError("film", "its pictures are larger than any camera's")
    return container.decode(stream)
