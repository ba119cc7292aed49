"""Every span of a plant cut in turn, and how often its cut is found.

A **span** is what one dig cuts: a trench or a route of its own. Three kinds are told apart: those that
many hang on (trunk), those that one subject hangs on (drop), and those whose cut loses nobody because a
ring holds (nothing must be found there). Losses are reported in three ways:

exact
    every loss is reported, and nothing else;
shares
    of each cut's losses 10 % are missing and 2 % are added from elsewhere, rounded to whole subjects;
chance
    each loss is missing with a chance of 10 %, and 2 % as many false ones come by chance.

By chance a cut may leave no report at all (a drop to one camera does in one case of ten): there is
nothing to find anything by, and such cuts are counted apart as ``silent``.

The answer ranks **sections**: elements that no losses can tell apart. ``first`` and ``in_three`` say
whether the true span lies in the best or the three best sections that hold a dig; ``strictly_first``
whether it was itself the first dig named, where the rest of its section is ranked by length alone.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from registry.fibre.locate import Finding, Locator

Noise = Literal["exact", "shares", "chance"]
NOISES: Final[tuple[Noise, ...]] = ("exact", "shares", "chance")
UNREPORTED: Final = 0.10
FALSE: Final = 0.02


@dataclass
class Score:
    """How the cuts of one kind of span went."""

    cuts: int = 0
    silent: int = 0
    first: int = 0
    in_three: int = 0
    strictly_first: int = 0
    strictly_in_three: int = 0
    alone: int = 0
    slowest_s: float = 0.0

    def share(self, what: str) -> float | None:
        """Of the cuts that left a report."""
        told = self.cuts - self.silent
        return getattr(self, what) / told if told else None


@dataclass
class Proof:
    """All cuts of a plant under one kind of noise. ``protected``: spans whose cut loses nobody."""

    noise: Noise
    trunk: Score
    drop: Score
    protected: int
    seconds: float

    @property
    def all(self) -> Score:
        total = Score()
        for score in (self.trunk, self.drop):
            for name, value in vars(score).items():
                both = max if name == "slowest_s" else int.__add__
                setattr(total, name, both(getattr(total, name), value))
        return total


def prove(
    locator: Locator, noise: Noise, *, seed: int = 1, spans: Iterable[str] | None = None,
    progress: Callable[[int], None] = lambda _done: None,
) -> Proof:  # fmt: skip
    """Cut every span (or those named) in turn."""
    network = locator.network
    locator.compile()
    chance = random.Random(f"{seed}/{noise}")  # noqa: S311  # a measurement, not a secret
    proof = Proof(noise, Score(), Score(), 0, 0.0)
    began = time.perf_counter()
    for done, span in enumerate(spans if spans is not None else network.routes_of):
        losers = network.losers.row(network.risk(span)).tolist()
        if not losers:
            proof.protected += 1
            continue
        score = proof.trunk if len(losers) > 1 else proof.drop
        score.cuts += 1
        reported = reports(losers, len(network.subjects), noise, chance)
        if not reported:
            score.silent += 1
            continue
        asked = time.perf_counter()
        finding = locator.locate(reported)
        score.slowest_s = max(score.slowest_s, time.perf_counter() - asked)
        _mark(score, finding, span)
        if done % 1000 == 0:
            progress(done)
    proof.seconds = time.perf_counter() - began
    return proof


def reports(losers: list[int], subjects: int, noise: Noise, chance: random.Random) -> list[int]:
    """The losses as they are reported."""
    if noise == "exact":
        return losers
    if noise == "shares":
        missing, false = round(UNREPORTED * len(losers)), round(FALSE * len(losers))
        kept = chance.sample(losers, len(losers) - missing)
    else:
        kept = [number for number in losers if chance.random() >= UNREPORTED]
        false = sum(chance.random() < FALSE for _ in losers)
    return [*kept, *(chance.randrange(subjects) for _ in range(false))]


def _mark(score: Score, finding: Finding, span: str) -> None:
    sections = [section for section in finding.sections if section.digs]
    place = next((n for n, section in enumerate(sections) if span in section.digs), None)
    if place is None:
        return
    score.first += place == 0
    score.in_three += place < 3
    ranked = [dig for section in sections for dig in section.digs]
    score.strictly_first += ranked[0] == span
    score.strictly_in_three += span in ranked[:3]
    score.alone += len(sections[place].digs) == 1
