"""What of its references' detail and colour a picture keeps, block by block.

Fog, snow and dusk take contrast and colour from all of a picture, and of detail as much from the coarse
as from the fine; a lens out of focus takes the fine alone, paint on the glass takes some places alone,
a lost colour leaves the contrast. So each block is set against the same block of the references whose
structure it shows, and what is common to the whole picture is taken out. ``Kept.compare`` gives numbers
named ``kept_…``; logarithms of ratios, and shares of blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.cameras.look import Look, Plane, quantiles

#: Of the references those that show the same structure best are asked.
_ASKED = 4
#: A block whose structure correlates this well is the same place, seen as well as it goes.
_SAME = 0.45
#: Colours of a block below this are none.
_CHROMA_FLOOR = 1.0


@dataclass(frozen=True, slots=True)
class Support:
    """How much of the references' structure a picture shows, by block."""

    best: Plane
    by_reference: NDArray[np.float32]


class Kept:
    """Maps of the references, ready to compare with."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self._detail = np.stack([np.log(look.blocks_bands) for look in looks])
        self._contrast = np.stack([np.log(look.blocks_std + 1.0) for look in looks])
        self._colour = np.stack([look.blocks_colour for look in looks])
        self._luma = np.stack([look.blocks_luma for look in looks])

    def compare(self, look: Look, support: Support) -> dict[str, float]:
        """The numbers of this picture; NaN where nothing can be said."""
        order = np.argsort(-support.by_reference.mean(axis=(1, 2)))[:_ASKED]
        return (
            self._focus(look, support, order)
            | self._contrasts(look, order)
            | self._colours(look, order)
        )

    def _focus(self, look: Look, support: Support, order: NDArray[np.intp]) -> dict[str, float]:
        """Fine detail against coarse, where the same structure is seen: the most lenient reference."""
        own = np.log(look.blocks_bands)
        rows = []
        for index in order:
            seen = support.by_reference[index] > _SAME
            # blocks with some coarse detail in both: the others have no sharpness to lose
            seen &= (own[..., 2] > -0.7) & (self._detail[index, ..., 2] > -0.7)
            if seen.sum() < 8:
                continue
            change = (own - self._detail[index])[seen]
            fine, middle = change[:, 0] - change[:, 2], change[:, 1] - change[:, 2]
            rows.append(
                [
                    *quantiles(fine, 0.25, 0.5, 0.75),
                    *quantiles(middle, 0.25, 0.5, 0.75),
                    float(seen.mean()),
                ]
            )
        names = ("fine_p25", "fine_p50", "fine_p75", "middle_p25", "middle_p50", "middle_p75", "seen")
        if not rows:
            return {f"kept_{name}": float("nan") for name in names}
        table = np.array(rows)
        best = table[int(np.argmax(table[:, 1] + table[:, 4]))]
        return {f"kept_{name}": float(v) for name, v in zip(names, best, strict=True)}

    def _contrasts(self, look: Look, order: NDArray[np.intp]) -> dict[str, float]:
        """Places that lost far more of their contrast than the picture as a whole."""
        own = np.log(look.blocks_std + 1.0)
        loss = np.max(own[None] - self._contrast[order], axis=0)
        textured = np.max(self._contrast[order], axis=0) > np.log(5.0)
        if textured.sum() < 12:
            textured = np.ones_like(textured)
        whole = float(np.quantile(loss[textured], 0.7))
        beside = np.minimum(loss - whole, 0.0)
        low = (beside < -0.9) & textured
        rows = np.arange(low.shape[0])[:, None] >= low.shape[0] // 2
        near = textured & rows
        same = self._shading(look, order)
        beside_p10, beside_p25 = quantiles(beside[textured], 0.1, 0.25)
        near_p10, near_p25 = quantiles(loss[near], 0.1, 0.25) if near.any() else (0.0, 0.0)
        return {
            "kept_contrast": whole,
            "kept_contrast_p10": beside_p10,
            "kept_contrast_p25": beside_p25,
            "kept_contrast_low": float(low.sum() / textured.sum()),
            "kept_contrast_low_near": float(low[near].mean()) if near.any() else 0.0,
            "kept_contrast_near_p10": near_p10,
            "kept_contrast_near_p25": near_p25,
            "kept_low_shade": float(np.median(same[low])) if low.any() else 0.0,
            "kept_low_tint": _tint_spread(look, low),
        }

    def _shading(self, look: Look, order: NDArray[np.intp]) -> NDArray[np.float32]:
        """By block: how much its light differs from what a straight line from a reference gives."""
        best = None
        own = look.blocks_luma
        for index in order:
            ref = self._luma[index]
            slope = float(np.cov(ref.ravel(), own.ravel())[0, 1] / (ref.var() + 1.0))
            residue = np.abs(own - own.mean() - slope * (ref - ref.mean()))
            best = residue if best is None else np.minimum(best, residue)
        assert best is not None
        return np.asarray(best, np.float32)

    def _colours(self, look: Look, order: NDArray[np.intp]) -> dict[str, float]:
        """How much of a coloured reference's colours is there, beside how much of its contrast."""
        own = look.blocks_colour - look.blocks_colour.mean(axis=(0, 1))
        own_light = look.blocks_luma - look.blocks_luma.mean()
        best = (float("nan"), float("nan"), float("nan"), float("nan"))
        for index in order:
            ref = self._colour[index] - self._colour[index].mean(axis=(0, 1))
            power = float((ref**2).mean())
            if power < _CHROMA_FLOOR:
                continue
            slope = float((own * ref).mean() / power)
            light = self._luma[index] - self._luma[index].mean()
            gain = float((own_light * light).mean() / ((light**2).mean() + 1.0))
            tie = float((own * ref).sum() / (np.linalg.norm(own) * np.linalg.norm(ref) + 1.0))
            if not slope <= best[0]:
                best = (slope, slope / max(gain, 0.15), tie, power)
        names = ("colour", "colour_beside_light", "colour_tie", "colour_power")
        return {f"kept_{n}": float(v) for n, v in zip(names, best, strict=True)}


def _tint_spread(look: Look, where: NDArray[np.bool_]) -> float:
    """Do the places have one colour and light of their own? Paint has, a dark wall has not."""
    if where.sum() < 3:
        return -1.0
    return float(look.blocks_luma[where].std() + look.blocks_colour[where].std(axis=0).sum())
