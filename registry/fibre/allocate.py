"""A free way from A to B: which strands to splice, and what light would lose on them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from registry.fibre.budget import Budget, Losses, judge
from registry.fibre.network import CARRYING
from registry.fibre.plant import FREE, Cable, Plant
from registry.fibre.values import PlantError


@dataclass(frozen=True, slots=True)
class Leg:
    """One free strand of the way, from node to node."""

    cable: str
    strand: int
    a: str
    b: str
    length_m: float


@dataclass(frozen=True)
class FreeWay:
    """The legs in order, splices between them, and the loss with a connector at each end."""

    legs: tuple[Leg, ...]
    budget: Budget


def free_way(
    plant: Plant, a: str, b: str, *, wavelength_nm: int = 1310, target_db: float | None = None,
    losses: Losses | None = None,
) -> FreeWay:  # fmt: skip
    """The way of least loss over strands that nothing is joined to.

    Splices where one cable ends and the next begins; terminated at both ends. Raises ``PlantError``
    where there is none.
    """
    use = losses or Losses()
    for node in (a, b):
        if node not in plant.nodes:
            raise PlantError("unknown", f"node {node[:64]}", "there is none of this name")
    per_m = use.attenuation_db_km(wavelength_nm) / 1000
    cables = _cheapest(plant, a, b, per_m, use.of("splice_db"))
    legs, at = list[Leg](), a
    for cable, strand in cables:
        there = cable.b if at == cable.a else cable.a
        legs.append(Leg(cable.id, strand, at, there, cable.optical_m))
        at = there
    return FreeWay(tuple(legs), _budget(legs, wavelength_nm, target_db, use))


def _cheapest(plant: Plant, a: str, b: str, per_m: float, splice: float) -> list[tuple[Cable, int]]:
    at: dict[str, list[tuple[Cable, int]]] = {}
    for cable in plant.cables.values():
        strand = free_strand(plant, cable)
        if strand is not None and cable.status in CARRYING and cable.status != "damaged":
            at.setdefault(cable.a, []).append((cable, strand))
            at.setdefault(cable.b, []).append((cable, strand))
    best: dict[str, float] = {a: 0.0}
    came: dict[str, tuple[str, Cable, int]] = {}
    waiting = [(0.0, a)]
    while waiting:
        cost, node = heapq.heappop(waiting)
        if node == b:
            break
        if cost > best[node]:
            continue
        for cable, strand in at.get(node, ()):
            other = cable.b if node == cable.a else cable.a
            further = cost + cable.optical_m * per_m + splice
            if further < best.get(other, float("inf")):
                best[other], came[other] = further, (node, cable, strand)
                heapq.heappush(waiting, (further, other))
    if b not in came:
        raise PlantError("unknown", f"way from {a} to {b}", "no free strands lead there")
    way, node = list[tuple[Cable, int]](), b
    while node != a:
        node, cable, strand = came[node]
        way.append((cable, strand))
    return way[::-1]


def free_strand(plant: Plant, cable: Cable) -> int | None:
    """The first strand that is free at both ends and neither reserved nor faulty."""
    for number in range(cable.type.strands):
        piece = cable.first_piece + number
        if plant.mate[2 * piece] == plant.mate[2 * piece + 1] == FREE and piece not in plant.said:
            return number + 1
    return None


def _budget(legs: list[Leg], wavelength_nm: int, target_db: float | None, use: Losses) -> Budget:
    length = sum(leg.length_m for leg in legs)
    splices = len(legs) + 1  # between the legs, and a pigtail at each end
    target = use.of("gpon_b_plus_db") if target_db is None else target_db
    fibre = length / 1000 * use.attenuation_db_km(wavelength_nm)
    splice, connector = splices * use.of("splice_db"), 2 * use.of("connector_db")
    margin = use.of("margin_db")
    return Budget(
        wavelength_nm, length, splices, 2, (), fibre, splice, connector, 0.0, target, margin,
        judge(fibre + splice + connector, target, margin),
    )  # fmt: skip
