"""The references of a camera, and a picture compared with them.

``Bank`` keeps a look at each reference and what they make of each other (each one against the rest):
so a camera whose good pictures differ much is judged more mildly than one that always looks the same.
``Bank.compare`` gives the numbers on which rules and model decide. Names: ``self_`` the picture alone,
``near_`` against the reference with the most similar light, ``over_`` and ``under_`` beyond the
highest and lowest of all references.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.kept import Kept, Support
from edge.cameras.look import BLOCK, SMALL_WIDTH, Look, Plane, look_at, pool, small_height
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

    def __init__(self, references: Sequence[Picture], known: Sequence[Look] = ()) -> None:
        """``known``: looks at further references, of another bank of the same camera."""
        if not references and not known:
            raise ValueError("no reference pictures")
        self.height = (
            known[0].luma.shape[0] if known
            else int(np.median([small_height(p) // BLOCK for p in references])) * BLOCK
        )  # fmt: skip
        self.looks = [*known, *(look_at(p, self.height) for p in references)]
        if len(self.looks) > MAX_REFERENCES:
            self.looks = _most_different(self.looks, MAX_REFERENCES)
        self.normals = np.stack([look.normal for look in self.looks])
        self.energy = np.stack([_pool_all(n[None] ** 2)[0] for n in self.normals])
        self.luma = np.stack([look.blocks_luma for look in self.looks])
        self.edges = np.stack([pool(look.edges) for look in self.looks])
        self.template = np.asarray(self.normals.mean(axis=0), np.float32)
        self.texture = np.asarray(np.median(self.energy, axis=0), np.float32)
        self.window = cv2.createHanningWindow((SMALL_WIDTH, self.height), cv2.CV_32F)
        self._corner_cache: dict[int, tuple[NDArray[np.float32], NDArray[np.uint8]] | None] = {}
        self._low = {k: min(look.numbers[k] for look in self.looks) for k in _SPREAD}
        self._high = {k: max(look.numbers[k] for look in self.looks) for k in _SPREAD}
        self.kept = Kept(self.looks)
        self._among = self._each_against_the_rest()

    def _each_against_the_rest(self) -> dict[str, float]:
        """What good pictures of this camera score against each other; NaN for a single reference."""
        if len(self.looks) < 2:
            return {
                k: float("nan") for k in ("support", "support_low", "support_p10", "lost", "light_fit")
            }
        rows = [self._place(look, skip=i) for i, look in enumerate(self.looks)]
        return {
            "support": float(np.mean([r["support"] for r in rows])),
            "support_low": float(np.min([r["support"] for r in rows])),
            "support_p10": float(np.mean([r["support_p10"] for r in rows])),
            "lost": float(np.max([r["lost"] for r in rows])),
            "light_fit": float(np.mean([r["light_fit"] for r in rows])),
        }

    def _support(self, look: Look, skip: int | None) -> Support:
        products = _pool_all(self.normals * look.normal[None])
        own = _pool_all(look.normal[None] ** 2)[0]
        ncc = products / np.sqrt(own[None] * self.energy + 0.003)
        if skip is not None:
            ncc[skip] = -1.0
        return Support(ncc.max(axis=0), ncc)

    def _place(self, look: Look, skip: int | None = None) -> dict[str, float]:
        """Where the references' structure is still to be seen, and where it is lost."""
        support = self._support(look, skip)
        weight = self.texture / (self.texture.sum() + 1e-6)
        textured = self.texture > max(float(np.quantile(self.texture, 0.35)), 0.05)
        if not textured.any():
            textured = np.ones_like(self.texture, bool)
        seen = support.best[textured]
        totals = (support.by_reference * weight[None]).sum(axis=(1, 2))
        nearest = int(np.argmax(totals))
        own_edges = pool(look.edges)
        expected = np.quantile(self.edges, 0.25, axis=0)
        ratio = (own_edges + 0.3) / (expected + 0.3)
        gone = textured & (support.best < 0.35) & (look.blocks_std < 12)
        empty = textured & (ratio < 0.35) & (support.best < 0.5)
        fit, residue = self._light_fit(look, skip)
        lost_best, lost_size = _largest(gone | (support.best < 0.25) & textured)
        return {
            "support": float((support.best * weight).sum()),
            "support_p10": float(np.quantile(seen, 0.1)),
            "support_p25": float(np.quantile(seen, 0.25)),
            "support_p50": float(np.quantile(seen, 0.5)),
            "support_p75": float(np.quantile(seen, 0.75)),
            "support_p90": float(np.quantile(seen, 0.9)),
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
            "edge_ratio_p10": float(np.quantile(ratio[textured], 0.1)),
            "edge_ratio_p50": float(np.quantile(ratio[textured], 0.5)),
            "edge_ratio_p90": float(np.quantile(ratio[textured], 0.9)),
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
        look = look_at(picture, self.height)
        numbers = {f"self_{k}": v for k, v in look.numbers.items()}
        place = self._place(look)
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
        numbers |= self.kept.compare(look, self._support(look, None))
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
        found = [cv2.phaseCorrelate(c, look.normal, self.window) for c in candidates]
        (dx, dy), response = max(found, key=lambda f: f[1])
        shift = float(np.hypot(dx, dy))
        shifted = support
        if 1.0 < shift < SMALL_WIDTH * 0.6:
            back = cv2.warpAffine(
                look.normal,
                np.array([[1, 0, -dx], [0, 1, -dy]], np.float64),
                (SMALL_WIDTH, self.height),
            )
            best = self._support(_with_normal(look, back), None).best
            inside = np.ones_like(look.luma)
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
                move, response = cv2.phaseCorrelate(ref, own, window)
                moves.append(float(np.hypot(move[0], move[1])))
                responses.append(float(response))
        order = np.argsort(moves)
        affine = _orb(self, look)
        return {
            "quarter_move_low": moves[order[0]], "quarter_move_second": moves[order[1]],
            "quarter_move_third": moves[order[2]], "quarter_response": float(np.mean(responses)),
            "quarter_response_best": max(responses), **affine,
        }  # fmt: skip


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
    return Look(
        look.luma, np.asarray(normal, np.float32), look.chroma, look.edges, look.blocks_luma,
        look.blocks_std, look.blocks_fine, look.blocks_bands, look.blocks_colour, look.numbers,
    )  # fmt: skip


def _pool_all(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    count, height, width = planes.shape
    parts = planes.reshape(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return np.asarray(parts.mean(axis=(2, 4)), np.float32)


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
