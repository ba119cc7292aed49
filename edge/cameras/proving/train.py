"""Train the small model on the tuning part and on photographs that come by package: ``utaa cameras
train``. Needs scikit-learn.

Trees are grown by histogram gradient boosting with a fixed seed; the threshold between ok and fault is
set from decisions on scenes that each fold has not seen, so that at most the stated share of healthy
pictures is called faulty. The held-out part is never read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.cameras.errors import need
from edge.cameras.proving.measure import Measured
from edge.cameras.proving.plan import VERDICTS, fingerprint
from edge.cameras.trees import ModelFile, TreeFile

#: Of healthy pictures of the tuning part, decided out of fold, at most this share is called faulty.
FALSE_ALARMS: Final = 0.002
ROUNDS: Final = 220
_FOLDS: Final = 3
_OPTIONS: Final[dict[str, Any]] = {
    "learning_rate": 0.06, "max_leaf_nodes": 10, "min_samples_leaf": 12, "l2_regularization": 2.0,
    "max_features": 0.3, "early_stopping": False, "random_state": 5, "max_bins": 96,
}  # fmt: skip
#: What a picture has by itself says as much about the place as about a fault: a lawn is all grain. Only
#: light may be judged absolutely; the rest counts against the references (``over_``, ``near_``, …).
_ABSOLUTE: Final = frozenset(
    f"self_{name}" for name in ("mean", "std", "p1", "p5", "p25", "p50", "p75", "p95", "p99",
    "below_22",
                                "above_245", "above_225")
)  # fmt: skip
_LEFT_OUT: Final = frozenset({"best_single", "kept_fine", "lost_fine", "reference_chroma"})


def used(name: str) -> bool:
    """Whether the model may see this number."""
    return name not in _LEFT_OUT and (not name.startswith("self_") or name in _ABSOLUTE)


def train(measured: Sequence[Measured]) -> ModelFile:
    """The model of these cases: the same ones give the same model, however many cores there are."""
    with need("threadpoolctl").threadpool_limits(1):  # sums in one order
        return _train(measured)


def _train(measured: Sequence[Measured]) -> ModelFile:
    names = sorted(name for name in measured[0].numbers if used(name))
    x = np.array([[m.numbers[n] for n in names] for m in measured])
    y = np.array([VERDICTS.index(m.truth) for m in measured])
    groups = np.array([m.scene for m in measured])
    threshold = _threshold(x, y, groups)
    model = _fit(x, y)
    return ModelFile(
        made_by="utaa cameras train", tuned_on=fingerprint("tuning"), verdicts=list(VERDICTS),
        features=names, start=[round(float(v), 5) for v in np.ravel(model._baseline_prediction)],
        fault_threshold=threshold, trees=[[_tree(p) for p in turn] for turn in model._predictors],
    )  # fmt: skip


def write(model: ModelFile) -> bytes:
    """The artefact's bytes; the same cases give the same bytes."""
    return msgspec.json.encode(model) + b"\n"


def _fit(x: NDArray[np.float64], y: NDArray[np.int64]) -> Any:
    ensemble = need("sklearn.ensemble")
    weight = np.where(y == 0, 1.5, 1.0)
    return ensemble.HistGradientBoostingClassifier(max_iter=ROUNDS, **_OPTIONS).fit(
        x, y, sample_weight=weight
    )


def _threshold(x: NDArray[np.float64], y: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    """The share of not-ok above which a picture is called faulty, from out-of-fold decisions."""
    seeds = np.unique(groups)
    fault = np.zeros(len(y))
    for fold in range(_FOLDS):
        test = np.isin(groups, seeds[fold::_FOLDS])
        fault[test] = 1 - _fit(x[~test], y[~test]).predict_proba(x[test])[:, 0]
    return float(np.clip(round(float(np.quantile(fault[y == 0], 1 - FALSE_ALARMS)), 4), 0.5, 0.97))


def _limit(threshold: float) -> float:
    """Six digits; a split by missing numbers alone has an infinite limit, which JSON does not know."""
    return float(f"{min(max(float(threshold), -1e300), 1e300):.6g}")


def _tree(predictor: Any) -> TreeFile:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    return TreeFile(
        feature=[-1 if end else int(f) for end, f in zip(leaf, nodes["feature_idx"], strict=True)],
        threshold=[0.0 if end else _limit(t) for end, t in
                   zip(leaf, nodes["num_threshold"], strict=True)],
        left=[int(v) for v in nodes["left"]],
        right=[int(v) for v in nodes["right"]],
        missing_left=[int(v) for v in nodes["missing_go_to_left"]],
        value=[float(f"{v:.5g}") if end else 0.0 for end, v in zip(leaf, nodes["value"], strict=True)],
    )  # fmt: skip
