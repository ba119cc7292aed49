"""A small trained model: boosted trees in a JSON file, read and walked with numpy alone.

The file is made by ``utaa cameras train``; its card is in ``docs/cameras.md``. Missing numbers (NaN) go
the way each node says. ``Trees.probabilities`` takes numbers by name and gives a share for each
verdict.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

MODEL_FILE = Path(__file__).with_name("model.json")


class TreeFile(msgspec.Struct, frozen=True, kw_only=True):
    """One tree: parallel lists by node; ``feature`` −1 is a leaf."""

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    missing_left: list[int]
    value: list[float]


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """The artefact: names of numbers and verdicts, a start score per verdict, and rounds of trees."""

    made_by: str
    tuned_on: str
    verdicts: list[str]
    features: list[str]
    start: list[float]
    #: a verdict other than ok needs at least this share against ok
    fault_threshold: float
    #: [round][verdict]
    trees: list[list[TreeFile]]


class Trees:
    """The model, ready to walk."""

    def __init__(self, file: ModelFile) -> None:
        self.verdicts = file.verdicts
        self.features = file.features
        self.start = np.array(file.start)
        self.fault_threshold = file.fault_threshold
        self.tuned_on = file.tuned_on
        flat = [tree for turn in file.trees for tree in turn]
        self._class = np.array([i % len(self.verdicts) for i in range(len(flat))])
        offsets = np.cumsum([0, *(len(t.feature) for t in flat)])
        self._roots = offsets[:-1]
        base = np.repeat(offsets[:-1], [len(t.feature) for t in flat])

        def join(name: str, kind: Any) -> NDArray[Any]:
            return np.array([v for t in flat for v in getattr(t, name)], dtype=kind)

        self._feature = join("feature", np.int64)
        self._threshold = join("threshold", np.float64)
        self._left = join("left", np.int64) + base
        self._right = join("right", np.int64) + base
        self._missing = join("missing_left", bool)
        self._value = join("value", np.float64)

    def probabilities(self, numbers: dict[str, float]) -> dict[str, float]:
        """A share for each verdict; they add up to one."""
        x = np.array([numbers.get(name, np.nan) for name in self.features])
        at = self._roots.copy()
        while True:
            feature = self._feature[at]
            inner = feature >= 0
            if not inner.any():
                break
            value = x[np.where(inner, feature, 0)]
            left = np.where(np.isnan(value), self._missing[at], value <= self._threshold[at])
            at = np.where(inner, np.where(left, self._left[at], self._right[at]), at)
        scores = self.start + np.bincount(
            self._class, weights=self._value[at], minlength=len(self.verdicts)
        )
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        return {name: float(share) for name, share in zip(self.verdicts, shares, strict=True)}


@lru_cache(maxsize=1)
def shipped() -> Trees:
    """The model that comes with this version."""
    return Trees(msgspec.json.decode(MODEL_FILE.read_bytes(), type=ModelFile))
