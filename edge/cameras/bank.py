"""The references of a camera, and a picture compared with them.

``Bank`` keeps a look at each reference and what they make of each other (each one against the rest):
so a camera whose good pictures differ much is judged more mildly than one that always looks the same.
``Bank.compare`` gives the numbers on which rules and model decide. Names: ``self_`` the picture alone,
``near_`` against the reference with the most similar light, ``over_`` and ``under_`` beyond the
highest and lowest of all references.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.kept import Kept, Support
from edge.cameras.look import (
    BLOCK,
    SMALL_WIDTH,
    Look,
    Plane,
    block_means,
    look_at,
    pool,
    quantiles,
    small_height,
)
from edge.cameras.pictures import Picture

#: More references say nothing new and cost time; the bank keeps the most different ones.
MAX_REFERENCES = 24
#: References whose light is nearest are asked about place.
_NEAREST = 3

_SPREAD: Final = (
    "mean", "std", "p5", "p50", "p99", "below_22", "above_245", "chroma", "chroma_spread",
    "chroma_share", "weakest_channel", "tint_green", "lowest_channel_p95", "sharp_01", "sharp_02",
    "sharp_12", "sharp_13", "sharp_best", "sharp_middle", "grain", "grain_middle", "dots", "lines",
    "edges", "flat_blocks", "entropy",
)  # fmt: skip
_NEAR: Final = (
    "mean", "above_245", "chroma_spread", "chroma_share", "sharp_01", "sharp_02", "sharp_12",
    "sharp_best",
    "sharp_middle", "grain", "edges", "flat_blocks", "std",
)  # fmt: skip


class Bank:
    """A camera's references, ready to compare with. Raises ``ValueError`` without any."""

    def __init__(
        self,
        references: Sequence[Picture | Look],
        known: Bank | None = None,
        pairs: NDArray[np.float32] | None = None,
    ) -> None:
        """``references``: pictures, or looks of one height. ``known``: another bank of the same camera,
        whose references are ours too. ``pairs``: ``Bank.pairs`` of these looks, where they were kept.
        """
        if not references and known is None:
            raise ValueError("no reference pictures")
        self.height: int = known.height if known is not None else _height_of(references)
        old = known.looks if known is not None else []
        self.looks: list[Look] = [
            *old, *(r if isinstance(r, Look) else look_at(r, self.height) for r in references)
        ]  # fmt: skip
        if len(self.looks) > MAX_REFERENCES:
            self.looks = _most_different(self.looks, MAX_REFERENCES)
        self.normals = np.stack([look.normal for look in self.looks])
        self.energy = np.stack([look.power for look in self.looks])
        self.luma = np.stack([look.blocks_luma for look in self.looks])
        self.template = np.asarray(self.normals.mean(axis=0), np.float32)
        self.texture = np.asarray(np.median(self.energy, axis=0), np.float32)
        self.window = cv2.createHanningWindow((SMALL_WIDTH, self.height), cv2.CV_32F)
        self._corner_cache: dict[int, tuple[NDArray[np.float32], NDArray[np.uint8]] | None] = {}
        self._low = {k: min(look.numbers[k] for look in self.looks) for k in _SPREAD}
        self._high = {k: max(look.numbers[k] for look in self.looks) for k in _SPREAD}
        self.kept = Kept(self.looks)
        self._weight = self.texture / (self.texture.sum() + 1e-6)
        textured = self.texture > max(float(np.quantile(self.texture, 0.35)), 0.05)
        self._textured = textured if textured.any() else np.ones_like(self.texture, bool)
        self._expected = np.quantile(np.stack([look.blocks_edges for look in self.looks]), 0.25, axis=0)
        #: how much of each reference's structure each other one shows, by block; −1 of itself
        self.pairs = pairs if pairs is not None else self._all_pairs(known)
        self._among = self._each_against_the_rest()

    def _all_pairs(self, known: Bank | None) -> NDArray[np.float32]:
        """(N, N, H/16, 20); what another bank has found already is taken from it."""
        count = len(self.looks)
        pairs = np.full((count, count, *self.texture.shape), -1.0, np.float32)
        place = {id(look): n for n, look in enumerate(known.looks)} if known is not None else {}
        old = [n for n, look in enumerate(self.looks) if id(look) in place]
        if known is not None and old:
            theirs = [place[id(self.looks[n])] for n in old]
            pairs[np.ix_(old, old)] = known.pairs[np.ix_(theirs, theirs)]
        done = list(old)
        for n in sorted(set(range(count)) - set(old)):
            if done:
                found = self._correlate(self.looks[n], done)
                pairs[n, done] = pairs[done, n] = found
            done.append(n)
        return pairs

    def _each_against_the_rest(self) -> dict[str, float]:
        """What good pictures of this camera score against each other; NaN for a single reference."""
        if len(self.looks) < 2:
            return {
                k: float("nan") for k in ("support", "support_low", "support_p10", "lost", "light_fit")
            }
        best = self.pairs.max(axis=1)
        seen = best[:, self._textured]
        support = [float((one * self._weight).sum()) for one in best]
        return {
            "support": float(np.mean(support)),
            "support_low": float(np.min(support)),
            "support_p10": float(np.mean([float(v) for v in np.quantile(seen, 0.1, axis=1)])),
            "lost": float(np.max([float((one < 0.3).mean()) for one in seen])),
            "light_fit": float(
                np.mean([self._light_fit(look, n)[0] for n, look in enumerate(self.looks)])
            ),
        }

    def _correlate(self, look: Look, which: Sequence[int] | slice = slice(None)) -> Plane:
        """By block, the correlation with these references' structure."""
        products = block_means(self.normals[which] * look.normal[None])
        return np.asarray(products / np.sqrt(look.power[None] * self.energy[which] + 0.003), np.float32)

    def _support(self, look: Look) -> Support:
        ncc = self._correlate(look)
        return Support(ncc.max(axis=0), ncc)

    def _place(self, look: Look, support: Support) -> dict[str, float]:
        """Where the references' structure is still to be seen, and where it is lost."""
        weight, textured = self._weight, self._textured
        seen = support.best[textured]
        totals = (support.by_reference * weight[None]).sum(axis=(1, 2))
        nearest = int(np.argmax(totals))
        ratio = (look.blocks_edges + 0.3) / (self._expected + 0.3)
        gone = textured & (support.best < 0.35) & (look.blocks_std < 12)
        empty = textured & (ratio < 0.35) & (support.best < 0.5)
        fit, residue = self._light_fit(look, None)
        lost_best, lost_size = _largest(gone | (support.best < 0.25) & textured)
        p10, p25, p50, p75, p90 = quantiles(seen, 0.1, 0.25, 0.5, 0.75, 0.9)
        ratio_p10, ratio_p50, ratio_p90 = quantiles(ratio[textured], 0.1, 0.5, 0.9)
        return {
            "support": float((support.best * weight).sum()),
            "support_p10": p10,
            "support_p25": p25,
            "support_p50": p50,
            "support_p75": p75,
            "support_p90": p90,
            "lost": float((support.best[textured] < 0.3).mean()),
            "gone": float(gone.sum() / textured.sum()),
            "empty": float(empty.sum() / textured.sum()),
            "lost_piece": lost_best,
            "lost_std": float(look.blocks_std[lost_size].mean()) if lost_size.any() else -1.0,
            "lost_fine": float(np.quantile(look.blocks_fine[lost_size], 0.8))
            if lost_size.any()
            else 0.0,
            "kept_fine": float(np.quantile(look.blocks_fine[~lost_size], 0.8))
            if not lost_size.all()
            else 0.0,
            "edge_ratio_p10": ratio_p10,
            "edge_ratio_p50": ratio_p50,
            "edge_ratio_p90": ratio_p90,
            "best_single": float(totals[nearest]),
            "light_fit": fit,
            "light_residue": residue,
            "nearest": float(nearest),
        }

    def _light_fit(self, look: Look, skip: int | None) -> tuple[float, float]:
        """The best correlation of coarse light with a reference; and what one line leaves over."""
        own = look.blocks_luma.ravel() - look.blocks_luma.mean()
        refs = self.luma.reshape(len(self.luma), -1)
        refs = refs - refs.mean(axis=1, keepdims=True)
        corr = (refs @ own) / (np.linalg.norm(refs, axis=1) * np.linalg.norm(own) + 1e-3)
        if skip is not None:
            corr[skip] = -1.0
        best = float(corr.max())
        return best, float(own.std() * np.sqrt(max(1 - best * best, 0)))

    def compare(self, picture: Picture) -> dict[str, float]:
        """The numbers of this picture against the bank."""
        return self.compare_look(look_at(picture, self.height))

    def compare_look(self, look: Look) -> dict[str, float]:
        """The same of a look that was taken already, at this bank's height."""
        numbers = {f"self_{k}": v for k, v in look.numbers.items()}
        support = self._support(look)
        place = self._place(look, support)
        near = self.looks[self._nearest_light(look)[0]].numbers
        for key in _SPREAD:
            value = look.numbers[key]
            numbers[f"over_{key}"] = max(value - self._high[key], 0.0)
            numbers[f"under_{key}"] = max(self._low[key] - value, 0.0)
        for key in _NEAR:
            numbers[f"near_{key}"] = look.numbers[key] - near[key]
        like = self.looks[int(place.pop("nearest"))].numbers
        for key in (
            "sharp_01",
            "sharp_02",
            "sharp_12",
            "sharp_best",
            "chroma_share",
            "chroma_spread",
            "mean",
        ):
            numbers[f"like_{key}"] = look.numbers[key] - like[key]
        numbers |= place
        for key, value in self._among.items():
            numbers[f"among_{key}"] = value
            own = key if key != "support_low" else "support"
            numbers[f"less_{key}"] = value - place[own]
        numbers |= self.kept.compare(look, support)
        numbers |= self._moved(look, place["support"])
        numbers |= self._coloured(look)
        numbers["reference_chroma"] = float(np.median([r.numbers["chroma_share"] for r in self.looks]))
        numbers["references"] = float(len(self.looks))
        return numbers

    def _nearest_light(self, look: Look) -> list[int]:
        def distance(index: int) -> float:
            other = self.looks[index].numbers
            return (
                abs(other["mean"] - look.numbers["mean"]) / 25
                + abs(other["std"] - look.numbers["std"]) / 15
                + abs(other["chroma_share"] - look.numbers["chroma_share"]) / 0.06
            )

        return sorted(range(len(self.looks)), key=distance)

    def _coloured(self, look: Look) -> dict[str, float]:
        """Does it look like a coloured reference, or like a grey one?"""
        own = look.blocks_luma.ravel() - look.blocks_luma.mean()
        best = {True: -1.0, False: -1.0}
        for other in self.looks:
            ref = other.blocks_luma.ravel() - other.blocks_luma.mean()
            value = float(ref @ own / (np.linalg.norm(ref) * np.linalg.norm(own) + 1e-3))
            kind = other.numbers["chroma_spread"] > 1.5
            best[kind] = max(best[kind], value)
        return {"like_coloured": best[True], "like_grey": best[False],
                "coloured_over_grey": best[True] - best[False]}  # fmt: skip

    def _moved(self, look: Look, support: float) -> dict[str, float]:
        """How far the picture lies beside the references, by phase correlation and by corners."""
        candidates = [self.looks[i].normal for i in self._nearest_light(look)[:_NEAREST]]
        candidates.append(self.template)
        found = [_displaced(c, look.normal, self.window) for c in candidates]
        (dx, dy), response = max(found, key=lambda f: f[1])
        shift = float(np.hypot(dx, dy))
        shifted = support
        if 1.0 < shift < SMALL_WIDTH * 0.6:
            back = cv2.warpAffine(
                look.normal,
                np.array([[1, 0, -dx], [0, 1, -dy]], np.float64),
                (SMALL_WIDTH, self.height),
            )
            best = self._support(_with_normal(look, back)).best
            inside = np.ones_like(look.normal)
            inside = pool(cv2.warpAffine(inside, np.array([[1, 0, -dx], [0, 1, -dy]], np.float64),
                                         (SMALL_WIDTH, self.height))) > 0.95  # fmt: skip
            weight = self.texture * inside
            shifted = float((best * weight).sum() / (weight.sum() + 1e-6)) if weight.sum() > 0 else 0.0
        corners = self._corners(look)
        return {
            "shift_px": shift, "shift_response": float(response),
            "shift_gain": shifted - support, "support_shifted": shifted, **corners,
        }  # fmt: skip

    def _corners(self, look: Look) -> dict[str, float]:
        """Local displacement of the four quarters against the template: tells turning and zooming."""
        h, w = self.height // 2, SMALL_WIDTH // 2
        window = self.window[::2, ::2]
        window = np.ascontiguousarray(window[:h, :w])
        moves, responses = [], []
        for y in (0, h):
            for x in (0, w):
                own = np.ascontiguousarray(look.normal[y : y + h, x : x + w])
                ref = np.ascontiguousarray(self.template[y : y + h, x : x + w])
                move, response = _displaced(ref, own, window)
                moves.append(float(np.hypot(move[0], move[1])))
                responses.append(float(response))
        order = np.argsort(moves)
        affine = _orb(self, look)
        return {
            "quarter_move_low": moves[order[0]], "quarter_move_second": moves[order[1]],
            "quarter_move_third": moves[order[2]], "quarter_response": float(np.mean(responses)),
            "quarter_response_best": max(responses), **affine,
        }  # fmt: skip


def _displaced(there: Plane, here: Plane, window: Plane) -> tuple[tuple[float, float], float]:
    """How far one lies beside the other, and how surely.

    Of copies: where the size suits its transform, OpenCV puts the window on what it is given, and a
    reference would fade from look to look (a test holds it).
    """
    (dx, dy), response = cv2.phaseCorrelate(there.copy(), here.copy(), window)
    return (dx, dy), response


def _find_corners(normal: Plane) -> tuple[NDArray[np.float32], NDArray[np.uint8]] | None:
    """Places and descriptions of a picture's corners; None if it has too few."""
    orb = cv2.ORB.create(nfeatures=300, edgeThreshold=12, patchSize=20, fastThreshold=8)
    points, words = orb.detectAndCompute(_eight_bit(normal), None)
    if words is None or len(points) < 12:
        return None
    return np.array([p.pt for p in points], np.float32), np.asarray(words, np.uint8)


def _orb(bank: Bank, look: Look) -> dict[str, float]:
    """Matched corners: how many agree on one displacement, and which."""
    nothing = {
        "corners": 0.0,
        "corner_share": 0.0,
        "corner_move": -1.0,
        "corner_turn": 0.0,
        "corner_zoom": 0.0,
    }
    own = _find_corners(look.normal)
    if own is None:
        return nothing
    best = nothing
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    for index in bank._nearest_light(look)[:2]:
        if index not in bank._corner_cache:
            bank._corner_cache[index] = _find_corners(bank.looks[index].normal)
        ref = bank._corner_cache[index]
        if ref is None:
            continue
        pairs = [
            m[0] for m in matcher.knnMatch(own[1], ref[1], k=2)
            if len(m) == 2 and m[0].distance < 0.8 * m[1].distance
        ]  # fmt: skip
        if len(pairs) < 6:
            continue
        here = own[0][[m.queryIdx for m in pairs]]
        there = ref[0][[m.trainIdx for m in pairs]]
        cv2.setRNGSeed(7)
        matrix, inliers = cv2.estimateAffinePartial2D(there, here, ransacReprojThreshold=3.0)
        if matrix is None or inliers is None or inliers.sum() <= best["corners"]:
            continue
        centre = np.array([SMALL_WIDTH / 2, bank.height / 2, 1.0])
        best = {
            "corners": float(inliers.sum()), "corner_share": float(inliers.mean()),
            "corner_move": float(np.hypot(*(matrix @ centre - centre[:2]))),
            "corner_turn": float(abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))),
            "corner_zoom": float(abs(np.log(np.hypot(matrix[0, 0], matrix[1, 0]) + 1e-6))),
        }  # fmt: skip
    return best


def _eight_bit(normal: Plane) -> NDArray[np.uint8]:
    return np.asarray(np.clip(normal * 50 + 128, 0, 255), np.uint8)


def _with_normal(look: Look, normal: Plane) -> Look:
    normal = np.asarray(normal, np.float32)
    return replace(look, normal=normal, power=block_means(normal[None] ** 2)[0])


def _height_of(references: Sequence[Picture | Look]) -> int:
    """The height at which they are compared: of their looks, or the one most pictures have."""
    heights = [r.height if isinstance(r, Look) else small_height(r) for r in references]
    return int(np.median([h // BLOCK for h in heights])) * BLOCK


def _largest(mask: NDArray[np.bool_]) -> tuple[float, NDArray[np.bool_]]:
    """The largest connected piece: its share of all blocks, and where it is."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return 0.0, np.zeros(mask.shape, bool)
    piece = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return float(stats[piece, cv2.CC_STAT_AREA] / mask.size), np.asarray(labels == piece)


def _most_different(looks: list[Look], count: int) -> list[Look]:
    """Far apart in light, so that night, noon and infrared all stay."""
    vectors = np.array(
        [
            [v.numbers["mean"] / 40, v.numbers["std"] / 20, v.numbers["chroma_share"] / 0.1]
            for v in looks
        ]
    )
    kept = [0]
    while len(kept) < count:
        distance = np.min(np.linalg.norm(vectors[:, None] - vectors[kept][None], axis=2), axis=1)
        distance[kept] = -1
        kept.append(int(np.argmax(distance)))
    return [looks[i] for i in sorted(kept)]
