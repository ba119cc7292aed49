"""``utaa bench fibre``: a generated city, every span cut in turn, and how long the answers take."""

from __future__ import annotations

import random
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from registry.fibre.generated import City, city_of
from registry.fibre.impact import impact
from registry.fibre.locate import Locator
from registry.fibre.network import Network
from registry.fibre.proving import NOISES, Proof, Score, prove
from registry.fibre.redundancy import redundancy
from registry.fibre.trace import trace
from utaa.bench.report import Report, Teller

#: Traces and impacts that are timed, chosen by chance.
_ASKED = 2000
_LOCATE_AIM_S = {True: "≤ 1", False: "≤ 5"}
_SMALL_CITY = 10_000


def run_fibre(*, cameras: int, seed: int, teller: Teller) -> Report:
    """Measure one city."""
    report = Report("fibre", {"cameras": cameras, "seed": seed})
    took_s, city = _timed(lambda: city_of(cameras, seed=seed))
    plant = city.plant
    teller.say(
        f"a city of {city.cameras} cameras, {len(plant.cables)} cables, {len(plant.routes)} routes"
    )
    compiled_s, network = _timed(lambda: Network(plant))
    exposed_s, _ = _timed(lambda: network.losers)
    locator = Locator(network)
    ready_s, _ = _timed(locator.compile)
    report.figures = {
        "plant": {
            "nodes": len(plant.nodes), "routes": len(plant.routes), "spans": len(network.routes_of),
            "cables": len(plant.cables), "strands_and_ports": plant.pieces,
            "endpoints": len(plant.endpoints),
        },
        "build_cpu_s": took_s,
        "compile_cpu_s": compiled_s + exposed_s + ready_s,
        **_asked(city, network, seed),
    }  # fmt: skip
    for noise in NOISES:
        teller.say(f"cutting every span, losses reported: {noise}")
        report.figures[noise] = _shown(prove(locator, noise, seed=seed))
    report.figures["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report.targets = _targets(cameras)
    return report


def _asked(city: City, network: Network, seed: int) -> dict[str, Any]:
    """How long traces, impacts and the redundancy of all take."""
    chance = random.Random(seed)  # noqa: S311  # a measurement, not a secret
    ends = [f"{each.equipment}/1/front" for each in city.plant.endpoints if each.kind == "camera"]
    traces = [_timed(lambda: trace(city.plant, chance.choice(ends)))[0] for _ in range(_ASKED)]
    spans = list(network.routes_of)
    hit = [chance.choice(spans) for _ in range(_ASKED // 10)] + [f"node:{pop}" for pop in city.pops]
    impacts = [_timed(partial(impact, network, [element]))[0] for element in hit]
    all_s, found = _timed(lambda: redundancy(network))
    return {
        "trace": _percentiles_ms(traces),
        "impact": _percentiles_ms(impacts),
        "redundancy_all_cpu_s": all_s,
        "on_a_single_way": len(found.single),
        "redundant_on_paper_only": sum(each.shares for each in found.single),
    }


def _shown(proof: Proof) -> dict[str, Any]:
    return {
        "protected_spans": proof.protected,
        "seconds": proof.seconds,
        **{name: _score(getattr(proof, name)) for name in ("all", "trunk", "drop")},
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        "cuts": score.cuts, "silent": score.silent,
        "section_first": _percent(score, "first"), "section_in_three": _percent(score, "in_three"),
        "span_first": _percent(score, "strictly_first"),
        "span_in_three": _percent(score, "strictly_in_three"),
        "section_is_one_span": _percent(score, "alone"),
        "slowest_s": score.slowest_s,
    }  # fmt: skip


def _percent(score: Score, what: str) -> float | None:
    share = score.share(what)
    return None if share is None else round(100 * share, 2)


def _targets(cameras: int) -> dict[str, str]:
    aims = {"trace.p99_ms": "≤ 10", "impact.p99_ms": "≤ 200", "redundancy_all_cpu_s": "≤ 10"}
    for noise in NOISES:
        aims[f"{noise}.all.section_first"] = aims[f"{noise}.all.span_first"] = "≥ 95"
        aims[f"{noise}.all.section_in_three"] = aims[f"{noise}.all.span_in_three"] = "≥ 99"
        aims[f"{noise}.all.slowest_s"] = _LOCATE_AIM_S[cameras < _SMALL_CITY]
    return aims


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of this process, and what came of it."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def _percentiles_ms(took_s: list[float]) -> dict[str, float]:
    ordered = sorted(took_s)
    return {
        "p50_ms": 1000 * statistics.median(ordered),
        "p99_ms": 1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        "worst_ms": 1000 * ordered[-1],
    }
