"""Figures from decisions: confusion, precision, recall, macro-F1, false positives."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a list of decisions. ``confusion``: truth → verdict → how many."""

    decisions: int
    macro_f1: float
    #: share of healthy pictures called faulty; unknown is no alarm and counted apart
    false_positive_share: float
    false_positives: int
    healthy: int
    unknown: int
    #: upper end of the 95 % interval of the false-positive share (Wilson)
    false_positive_upper: float
    precision: dict[str, float]
    recall: dict[str, float]
    confusion: dict[str, dict[str, int]]


def score(pairs: Iterable[tuple[str, str]], verdicts: Sequence[str]) -> Score:
    """Score (truth, verdict) pairs."""
    counts = Counter(pairs)
    confusion = {t: {v: counts[t, v] for v in [*verdicts, "unknown"] if counts[t, v]} for t in verdicts}
    precision, recall, f1 = {}, {}, []
    for word in verdicts:
        hit = counts[word, word]
        said = sum(n for (_, v), n in counts.items() if v == word)
        true = sum(n for (t, _), n in counts.items() if t == word)
        if not true:
            continue
        precision[word] = round(hit / said, 4) if said else 0.0
        recall[word] = round(hit / true, 4)
        f1.append(2 * hit / (said + true))
    healthy = sum(n for (t, _), n in counts.items() if t == "ok")
    false = sum(n for (t, v), n in counts.items() if t == "ok" and v not in ("ok", "unknown"))
    return Score(
        decisions=sum(counts.values()), macro_f1=round(sum(f1) / max(len(f1), 1), 4),
        false_positive_share=round(false / max(healthy, 1), 5), false_positives=false, healthy=healthy,
        unknown=sum(n for (_, v), n in counts.items() if v == "unknown"),
        false_positive_upper=round(wilson_upper(false, healthy), 5),
        precision=precision, recall=recall, confusion=confusion,
    )  # fmt: skip


def wilson_upper(hits: int, total: int, z: float = 1.96) -> float:
    """Upper end of Wilson's interval for a share."""
    if not total:
        return 1.0
    p = hits / total
    centre = p + z * z / (2 * total)
    spread = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return (centre + spread) / (1 + z * z / total)
