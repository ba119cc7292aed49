"""The judge: is this picture what a healthy camera would send, and if not, what is wrong with it?

Cast: ``Judge`` (a bank of references and the rules or the model), ``Judgement`` (verdict, confidence,
evidence). One picture at a time, nothing is remembered; persistence is the business of ``states``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from edge.cameras.bank import Bank
from edge.cameras.look import Look, look_at
from edge.cameras.pictures import Picture
from edge.cameras.rules import rule
from edge.cameras.trees import Trees, shipped

Verdict = Literal[
    "ok", "dark", "over_exposed", "covered", "defocused", "moved", "noisy", "colour_lost", "frozen",
    "unknown",
]  # fmt: skip

#: The numbers that a person would look at, by verdict; the rest stays inside.
_SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "ok": ("support", "among_support", "shift_px", "self_mean"),
    "dark": ("self_mean", "self_p99", "self_below_22", "under_mean"),
    "over_exposed": ("self_mean", "self_above_245", "over_above_245"),
    "covered": ("support", "among_support", "lost", "lost_piece", "empty", "edge_ratio_p50"),
    "defocused": ("self_sharp_12", "under_sharp_12", "under_sharp_02", "under_sharp_best", "support"),
    "moved": ("shift_px", "shift_response", "support", "support_shifted", "corner_move", "corner_turn",
              "corner_zoom", "corners"),
    "noisy": ("self_grain", "over_grain", "self_dots", "over_dots", "self_lines"),
    "colour_lost": ("self_chroma_spread", "under_chroma_share", "self_weakest_channel",
    "reference_chroma"),
    "unknown": ("support", "self_mean"),
}  # fmt: skip


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge says of one picture. ``evidence``: the numbers behind it, by name.

    Names: ``self_`` the picture alone; ``over_``/``under_`` beyond the highest/lowest of the
    references;
    ``support`` the share of the references' structure that is seen (1 all of it), ``among_support``
    what
    good pictures of this camera score; distances in pixels of a picture 320 wide, turns in degrees.
    """

    verdict: Verdict
    confidence: float
    evidence: dict[str, float]


class Judge:
    """A camera's judge. ``model`` None: rules alone. Raises ``ValueError`` without references."""

    def __init__(
        self, references: Sequence[Picture | Look], model: Trees | None, known: Bank | None = None
    ) -> None:
        """``known``: the bank of a judge of the same camera, beside which these are the recent ones."""
        self.bank = Bank(references, known)
        self.model = model
        #: looks at the pictures of the last minutes, where there are any
        self._recent = self.bank.looks[len(known.looks) :] if known is not None else []

    @classmethod
    def trained(cls, references: Sequence[Picture | Look]) -> Judge:
        """With the model that comes with this version."""
        return cls(references, shipped())

    @classmethod
    def of_bank(cls, bank: Bank) -> Judge:
        """The same, with a bank that was kept."""
        judge = cls.__new__(cls)
        judge.bank, judge.model, judge._recent = bank, shipped(), []
        return judge

    def beside(self, recent: Sequence[Picture | Look]) -> Judge:
        """The same judge, who has also seen these good pictures of the last minutes."""
        return Judge(recent, self.model, self.bank)

    def look(self, picture: Picture) -> Look:
        """A look at a picture, for ``judge_look``: of this judge and of those ``beside`` it."""
        return look_at(picture, self.bank.height)

    def judge(self, picture: Picture, *, threshold: float | None = None) -> Judgement:
        """Look at one picture. ``threshold``: what a fault needs against ok, if not the model's own."""
        return self.judge_look(self.look(picture), threshold=threshold)

    def judge_look(self, look: Look, *, threshold: float | None = None) -> Judgement:
        """The same of a look that was taken already."""
        said = decide(self.bank.compare_look(look), self.model, threshold)
        if said.verdict == "ok" and self._recent:
            gone = blank(look, self._recent)
            if gone > BLANK:
                evidence = {"gone_since": round(gone, 4)}
                return Judgement(verdict="covered", confidence=round(gone, 4), evidence=evidence)
        return said


#: Nothing but a cover takes the structure from so much of a picture within minutes.
BLANK: Final = 0.6
#: A block has structure above this spread of luma; it is gone below this share of it.
_STRUCTURE: Final = 8.0
_GONE: Final = 0.35


def blank(look: Look, recent: Sequence[Look]) -> float:
    """Of the blocks that had structure minutes ago, the share that has none now; 0 if few had any."""
    shares = []
    for before in recent:
        had = before.blocks_std > _STRUCTURE
        if had.mean() < 0.25:
            return 0.0
        shares.append(float((look.blocks_std < _GONE * before.blocks_std)[had].mean()))
    return min(shares, default=0.0)


def decide(numbers: dict[str, float], model: Trees | None, threshold: float | None = None) -> Judgement:
    """The judgement on the numbers of ``Bank.compare``."""
    if model is None:
        verdict, sure = rule(numbers)
        return _said(verdict, sure, numbers)
    shares = model.probabilities(numbers)
    ok = shares["ok"]
    fault, share = max(((k, v) for k, v in shares.items() if k != "ok"), key=lambda kv: kv[1])
    if 1 - ok < (model.fault_threshold if threshold is None else threshold):
        return _said("ok", ok, numbers, {fault: share} if share > 0.05 else {})
    return _said(fault, share, numbers)


def _said(
    verdict: str, sure: float, numbers: dict[str, float], more: dict[str, float] | None = None
) -> Judgement:
    evidence = {k: round(numbers[k], 4) for k in _SHOWN[verdict] if not math.isnan(numbers[k])}
    for name, value in (more or {}).items():
        evidence[f"suspicion_{name}"] = round(value, 4)
    return Judgement(
        verdict=verdict,  # type: ignore[arg-type]  # one of them, by the model file's check in the tests
        confidence=round(min(max(sure, 0.0), 1.0), 4),
        evidence=evidence,
    )
