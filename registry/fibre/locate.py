"""From losses back to the cut.

What is weighed is every risk that would alone explain some of the losses: digs, cables, closures and
other nodes, devices. With ``u`` the share of true losses that are not reported (or not yet) and ``f``
the share of reports that are false, a risk that predicts the set P of lost subjects scores

    hits · ln((1 − u) / f)  −  misses · ln((1 − f) / u)  +  ln(prior)

where hits are reported subjects in P, misses those of P that are heard and well. That is the log of how
much likelier the reports are if the risk has failed than if every report stands for itself (score 0).
Risks with the same P cannot be told apart by losses: they form one **section** and are ranked inside
it by their priors alone (a long span before a short one, a span before a closure). Only an OTDR tells
more.

Subjects nobody can say anything about (a camera behind a silent site) count neither way. A ring that is
cut once loses nobody, so nothing is found and nothing is told; cut twice, no single risk explains the
switches between the cuts, and the two sides of that stretch are given as one double cut.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from registry.fibre.geometry import Point, point_along
from registry.fibre.network import Ints, Network

#: Failures a year, all [M]: a city replaces them by its own record. Digs by the kilometre.
_DIG_PER_KM: Final = 0.3
_CABLE_PER_KM: Final = 0.03
_NODE_PER_YEAR: Final = {
    "pop": 0.5, "building": 0.5, "pole": 0.5, "cabinet": 0.05, "closure": 0.02, "manhole": 0.02,
    "odf": 0.02,
}  # fmt: skip
_DEVICE_PER_YEAR: Final = {
    "onu": 0.5, "converter": 0.5, "switch": 0.1, "olt": 0.1, "core": 0.05, "splitter": 0.005,
}  # fmt: skip
#: Failures this near in time look like one.
_WINDOW_H: Final = 1.0
_HOURS_PER_YEAR: Final = 8766.0
#: No span is shorter to an excavator.
_SHORTEST_KM: Final = 0.02
#: Sections given in one answer; those behind them have no weight left.
MAX_SECTIONS: Final = 10
#: Elements named of one section; a long chain of bare manholes has more.
MAX_ELEMENTS: Final = 50
#: Causes looked for in one set of losses, the strongest first.
MAX_CAUSES: Final = 8
#: A ring's stretch counts as lost when so large a share of what hangs on it is.
_STRETCH_LOST: Final = 0.5


@dataclass(frozen=True)
class Rates:
    """How far reports can be believed."""

    unreported: float = 0.10
    false: float = 0.02

    @property
    def hit(self) -> float:
        return math.log((1 - self.unreported) / self.false)

    @property
    def miss(self) -> float:
        return math.log((1 - self.false) / self.unreported)


DEFAULT_RATES: Final = Rates()


@dataclass(frozen=True)
class Section:
    """Elements that the losses cannot tell apart, the likeliest first, and how well they fit.

    ``confidence`` is the share of all that could explain the losses, chance included; ``point`` the
    middle of its likeliest dig (or node) as (lon, lat).
    """

    elements: tuple[str, ...]
    confidence: float
    score: float
    hits: int
    misses: int
    lost: int
    planned: bool
    point: Point | None
    #: the other side of a double cut in a ring
    and_elements: tuple[str, ...] = ()
    more_elements: int = 0
    #: the part of ``confidence`` that each of ``elements`` has by its prior
    shares: tuple[float, ...] = ()

    @property
    def cause(self) -> str:
        return self.elements[0]

    @property
    def digs(self) -> tuple[str, ...]:
        return tuple(e for e in self.elements if e.startswith(("trench:", "route:")))


@dataclass(frozen=True)
class Finding:
    """One cause: its sections, best first, and the subjects that the best one explains."""

    sections: tuple[Section, ...]
    explained: tuple[int, ...] = ()

    @property
    def best(self) -> Section | None:
        return self.sections[0] if self.sections else None


@dataclass
class Locator:
    """A network made ready for questions; ``compile`` once, ask often."""

    network: Network
    rates: Rates = field(default_factory=Rates)

    def compile(self) -> None:
        """Do now what the first question would wait for."""
        _ = self._sizes, self._prior, self._same

    # ---- what is known beforehand -------------------------------------------------------------

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return self.network.losers.lengths

    @cached_property
    def _same(self) -> NDArray[np.uint64]:
        """Equal for risks with the same losers (but for a chance of 1 in 2^64)."""
        marks = np.random.default_rng(20261121).integers(
            1, 2**63, size=len(self.network.subjects), dtype=np.uint64
        )
        losers = self.network.losers
        sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(marks[losers.items], dtype=np.uint64)))
        return np.asarray(sums[losers.starts[1:]] - sums[losers.starts[:-1]])

    @cached_property
    def _prior(self) -> NDArray[np.float64]:
        """ln of the chance that the risk fails within the window."""
        network, plant = self.network, self.network.plant
        per_year = np.full(len(network.risks), 1e-6)
        digs: dict[str, float] = {}
        for route in plant.routes.values():
            digs[route.unit] = max(digs.get(route.unit, _SHORTEST_KM), route.now.length_m / 1000)
        for unit, length_km in digs.items():
            per_year[network.risk(unit)] = _DIG_PER_KM * length_km
        for cable in plant.cables.values():
            length_km = max(cable.geographic_m / 1000, _SHORTEST_KM)
            per_year[network.risk(f"cable:{cable.id}")] = _CABLE_PER_KM * length_km
        for node in plant.nodes.values():
            per_year[network.risk(f"node:{node.id}")] = _NODE_PER_YEAR[node.kind]
        for name in network.vertices:
            kind = plant.equipment[name].kind
            per_year[network.risk(f"device:{name}")] = _DEVICE_PER_YEAR[kind]
        return np.log(per_year * _WINDOW_H / _HOURS_PER_YEAR)

    # ---- the question -------------------------------------------------------------------------

    def locate(
        self, lost: Collection[int], *, unknown: Collection[int] = (), planned: Collection[int] = ()
    ) -> Finding:
        """The likeliest single cause of these losses (numbers of subjects).

        ``unknown``: subjects nobody can say anything about now. ``planned``: risks that planned work
        touches at this time; they need no chance to fail.
        """
        reported = np.array(sorted(set(lost) - self.network.unconnected), np.int32)
        if not len(reported):
            return Finding(())
        risks, hits = _count(self.network.exposure, reported)
        sizes = self._sizes[risks] - self._unknown_in(risks, unknown, reported)
        misses = sizes - hits
        prior = self._prior[risks].copy()
        if planned:
            prior[np.isin(risks, list(planned))] = 0.0
        fit = hits * self.rates.hit - misses * self.rates.miss
        scores = fit + prior
        sections = self._sections(risks, scores, hits, misses, set(planned))
        double = self._double(reported, set(unknown), sections)
        if double is not None:
            sections = [double, *sections]
        explained = self._explained(sections[0], reported) if sections else ()
        return Finding(tuple(sections[:MAX_SECTIONS]), explained)

    def causes(
        self, lost: Collection[int], *, unknown: Collection[int] = (), planned: Collection[int] = ()
    ) -> list[Finding]:
        """Every cause that is likelier than chance, the strongest first; what is left is chance."""
        left, found = set(lost), list[Finding]()
        gone = set(unknown)
        while left and len(found) < MAX_CAUSES:
            finding = self.locate(left, unknown=gone, planned=planned)
            if finding.best is None or finding.best.score <= 0 or not finding.explained:
                break
            found.append(finding)
            left -= set(finding.explained)
            gone |= set(finding.explained)
        return found

    def _unknown_in(
        self, risks: Ints, unknown: Collection[int], reported: Ints
    ) -> NDArray[np.int64] | int:
        silent = np.array(sorted(set(unknown) - set(reported.tolist())), np.int32)
        if not len(silent):
            return 0
        those, counts = _count(self.network.exposure, silent)
        of_all = np.zeros(len(self.network.risks), np.int64)
        of_all[those] = counts
        return np.asarray(of_all[risks])

    def _sections(
        self, risks: Ints, scores: NDArray[Any], hits: NDArray[Any], misses: NDArray[Any],
        planned: set[int],
    ) -> list[Section]:  # fmt: skip
        """Risks with the same losers together; confidences over all of them and chance."""
        order = np.argsort(-scores, kind="stable")
        top = max(float(scores[order[0]]), 0.0)
        weights = np.exp(scores - top)
        total = float(weights.sum()) + math.exp(-top)
        groups: dict[int, list[int]] = {}
        for place in order[: _reach(scores[order])].tolist():
            key = int(self._same[risks[place]])
            if key in groups or len(groups) < MAX_SECTIONS:
                groups.setdefault(key, []).append(place)
        made = []
        for places in groups.values():
            first = places[0]
            names = [self.network.risks[risks[place]] for place in places]
            made.append(
                Section(
                    tuple(names[:MAX_ELEMENTS]), float(weights[places].sum()) / total,
                    float(scores[first] + math.log(np.exp(scores[places] - scores[first]).sum())),
                    int(hits[first]), int(misses[first]), int(self._sizes[risks[first]]),
                    any(int(risks[place]) in planned for place in places),
                    point_of(self.network, names), more_elements=max(0, len(names) - MAX_ELEMENTS),
                    shares=tuple((weights[places[:MAX_ELEMENTS]] / total).tolist()),
                )
            )  # fmt: skip
        return sorted(made, key=lambda section: -section.confidence)

    def _explained(self, section: Section, reported: Ints) -> tuple[int, ...]:
        if section.and_elements:
            failed = [
                self.network.risk(section.elements[0]),
                self.network.risk(section.and_elements[0]),
            ]
            losers = self.network.lost_subjects(failed)
        else:
            losers = self.network.losers.row(self.network.risk(section.cause))
        return tuple(np.intersect1d(losers, reported).tolist())

    # ---- rings --------------------------------------------------------------------------------

    def _double(self, reported: Ints, unknown: set[int], singles: Sequence[Section]) -> Section | None:
        """Two cuts around a stretch of a ring, where that fits better than any one cause."""
        stretch = self._stretch(reported, unknown)
        if not stretch:
            return None
        network = self.network
        boundary = [
            link
            for link in network.ring_links
            if (network.ends[link][0] in stretch) != (network.ends[link][1] in stretch)
        ]
        if len(boundary) != 2:
            return None
        sides = [self._side(link) for link in boundary]
        if not all(sides):
            return None
        pair = [network.risk(side[0]) for side in sides]
        losers = set(network.lost_subjects(pair).tolist())
        heard = losers - (unknown - set(reported.tolist()))
        hits = len(heard & set(reported.tolist()))
        misses = len(heard) - hits
        score = hits * self.rates.hit - misses * self.rates.miss + sum(self._prior[pair])
        best = singles[0].score if singles else 0.0
        if score <= max(best, 0.0):
            return None
        return Section(
            tuple(sides[0][:MAX_ELEMENTS]), 1 / (1 + math.exp(min(best - score, 0.0))), float(score),
            hits, misses, len(losers), False, point_of(network, sides[0]),
            and_elements=tuple(sides[1][:MAX_ELEMENTS]),
        )  # fmt: skip

    def _stretch(self, reported: Ints, unknown: set[int]) -> set[int]:
        """Ring vertices on which most of what is heard is lost."""
        lost, every = self._of_anchor(reported.tolist()), self._watched_of_anchor
        silent = self._of_anchor(unknown - set(reported.tolist()))
        return {
            vertex
            for vertex, count in lost.items()
            if vertex != self.network.root
            and count > _STRETCH_LOST * (every[vertex] - silent.get(vertex, 0))
        }

    def _of_anchor(self, subjects: Iterable[int]) -> dict[int, int]:
        counts: dict[int, int] = {}
        for number in subjects:
            vertex = int(self._anchors[number])
            counts[vertex] = counts.get(vertex, 0) + 1
        return counts

    @cached_property
    def _anchors(self) -> Ints:
        return self.network.anchors

    @cached_property
    def _watched_of_anchor(self) -> dict[int, int]:
        return self._of_anchor(range(len(self.network.subjects)))

    def _side(self, link: int) -> list[str]:
        """The digs and cables of one link, the likeliest first; a node would take more than that."""
        risks = sorted(self.network.link_risks.row(link).tolist(), key=lambda risk: -self._prior[risk])
        names = [self.network.risks[risk] for risk in risks]
        return [name for name in names if not name.startswith(("node:", "device:"))]


def _reach(falling: NDArray[Any]) -> int:
    """How many of the scores have any weight beside the best one: those within 30 nats of it."""
    return int(np.searchsorted(-falling, 30.0 - falling[0], side="right"))


def _count(exposure: Any, subjects: Ints) -> tuple[Ints, NDArray[np.int64]]:
    """Which risks the subjects are exposed to, and how many of them to each."""
    rows = [exposure.row(number) for number in subjects.tolist()]
    found, counts = np.unique(np.concatenate(rows), return_counts=True)
    return found.astype(np.int32), counts.astype(np.int64)


def point_of(network: Network, elements: Sequence[str]) -> Point | None:
    """Where to send people first: the middle of the first dig, else the first node or device."""
    plant = network.plant
    for element in elements:
        kind, _, name = element.partition(":")
        if kind in ("trench", "route"):
            routes = [plant.routes[route] for route in network.routes_of.get(element, ())]
            if routes:
                longest = max(routes, key=lambda route: route.now.length_m).now
                return point_along(longest.line, longest.length_m / 2)
        elif kind == "node":
            return plant.nodes[name].point
        elif kind == "device":
            return plant.nodes[plant.equipment[name].node].point
        elif kind == "cable":
            cable = plant.cables[name]
            return point_along(plant.line_of(cable), cable.geographic_m / 2)
    return None
