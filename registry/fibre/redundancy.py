"""Who hangs on a single way, what it is, and the shortest extra route that would give a second one.

A single point is a risk that alone takes a connection. Two cables in one trench are no second way: the
trench is a risk of its own. The subject's own device and the node it stands in are left out: nothing
but a second device mends those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import rustworkx

from registry.fibre.geometry import between_m
from registry.fibre.network import Network, Subject
from registry.fibre.plant import Plant
from registry.fibre.values import PlantError

#: Metres of a new cable in a trench that is there already, against a metre of new trench: digging in
#: the city costs many times the cable [M].
_PULL_PER_DIG = 0.01


@dataclass(frozen=True, slots=True)
class Single:
    """A subject and the risks each of which alone takes it, by name."""

    subject: Subject
    risks: tuple[str, ...]
    #: it has two ways that share a risk: redundant on paper only
    shares: bool


@dataclass(frozen=True)
class Redundancy:
    """The whole plant's: subjects on a single way, and what takes somebody when it fails alone."""

    subjects: int
    single: tuple[Single, ...]
    #: trenches and routes whose cut takes somebody, with how many
    bridges: dict[str, int]
    #: nodes and devices whose failure takes somebody else than who stands there, with how many
    articulations: dict[str, int]
    unconnected: tuple[str, ...]


def redundancy(network: Network, *, kinds: tuple[str, ...] | None = None) -> Redundancy:
    """Of every subject, or of those of these kinds (``organisation``, ``camera``, …)."""
    exposure, single, own = network.exposure, list[Single](), 0
    counted = np.zeros(len(network.risks), np.int64)
    for number, subject in enumerate(network.subjects):
        if kinds and not subject.key.startswith(tuple(f"{kind}:" for kind in kinds)):
            continue
        own += 1
        risks = _foreign(network, subject, exposure.row(number))
        counted[risks] += 1
        if len(risks):
            names = tuple(network.risks[risk] for risk in risks)
            single.append(Single(subject, names, _shares(network, subject)))
    single.sort(key=lambda each: (each.subject.criticality, each.subject.key))
    hit = {network.risks[risk]: int(counted[risk]) for risk in np.flatnonzero(counted).tolist()}
    return Redundancy(
        own,
        tuple(single),
        {name: count for name, count in hit.items() if name.startswith(("trench:", "route:"))},
        {name: count for name, count in hit.items() if name.startswith(("node:", "device:"))},
        tuple(network.subjects[number].key for number in sorted(network.unconnected)),
    )


def _foreign(network: Network, subject: Subject, risks: np.ndarray) -> list[int]:
    own = {risk for vertex in subject.vertices for risk in network.risks_of_vertex(vertex)}
    return [risk for risk in risks.tolist() if risk not in own]


def _shares(network: Network, subject: Subject) -> bool:
    """Whether it has two ways, at its own device or where that hangs, that one dig cuts."""
    if len(subject.vertices) > 1:
        return True
    anchor = network.anchor(subject.vertices[0])
    risks = network.ring_risks.get(anchor, set())
    return any(network.risks[risk].startswith(("trench:", "route:")) for risk in risks)


@dataclass(frozen=True, slots=True)
class SecondWay:
    """The cheapest second way: ``dig_m`` of new trench between two nodes, ``pull_m`` through old ones.

    ``nodes``: from the subject's node to where the network is reached. ``dig`` is None where trenches
    are there already and only a cable is missing.
    """

    subject: str
    nodes: tuple[str, ...]
    dig: tuple[str, str] | None
    dig_m: float
    pull_m: float
    avoids: tuple[str, ...]


def second_way(network: Network, key: str) -> SecondWay:
    """The shortest new route that gives a subject a way past all its single trenches and closures.

    Raises ``PlantError`` for somebody who is not there, has a second way already, or cannot get one.
    """
    number = network.number_of.get(key)
    if number is None:
        raise PlantError("unknown", key[:140], "nobody of the plant is called so")
    subject, plant = network.subjects[number], network.plant
    single = [network.risks[risk] for risk in _foreign(network, subject, network.exposure.row(number))]
    avoid = {name for name in single if name.startswith(("trench:", "route:"))}
    if not avoid:
        raise PlantError("in_use", key, "it has two ways already that share no trench")
    device = next(name for name, v in network.vertices.items() if v == subject.vertices[0])
    home = plant.equipment[device].node
    goals = {e.node for e in plant.equipment.values() if e.kind == "core"}
    closed = {name.partition(":")[2] for name in single if name.startswith("node:")} - goals - {home}
    return _cheapest(network, key, home, goals, avoid, closed)


def _cheapest(
    network: Network, key: str, home: str, goals: set[str], avoid: set[str], closed: set[str]
) -> SecondWay:
    plant = network.plant
    graph, index = _open_routes(plant, avoid, closed)
    near = dict(rustworkx.dijkstra_shortest_path_lengths(graph, index[home], float))
    near[index[home]] = 0.0
    reach: dict[int, float] = {}
    for goal in goals & index.keys():
        reach[index[goal]] = 0.0
        for at, cost in rustworkx.dijkstra_shortest_path_lengths(graph, index[goal], float).items():
            reach[at] = min(reach.get(at, float("inf")), cost)
    if not reach:
        raise PlantError("unknown", key, "there is no core device a second way could lead to")
    names = {place: name for name, place in index.items()}
    if index[home] in reach:
        goal = min(goals & index.keys(), key=lambda name: near.get(index[name], float("inf")))
        nodes = _path(graph, names, index[home], index[goal])
        return SecondWay(key, nodes, None, 0.0, near[index[goal]], tuple(sorted(avoid)))
    start, end, dig_m = _closest(plant, names, near, reach)
    goal_at = min(
        (index[goal] for goal in goals & index.keys()),
        key=lambda place: _length(graph, end, place),
    )
    nodes = (*_path(graph, names, index[home], start), *_path(graph, names, end, goal_at))
    dig = (names[start], names[end])
    return SecondWay(key, nodes, dig, dig_m, near[start] + reach[end], tuple(sorted(avoid)))


def _open_routes(
    plant: Plant, avoid: set[str], closed: set[str]
) -> tuple[rustworkx.PyGraph[str, float], dict[str, int]]:
    """The routes a second cable may lie in."""
    graph: rustworkx.PyGraph[str, float] = rustworkx.PyGraph()
    index = {name: graph.add_node(name) for name in plant.nodes if name not in closed}
    graph.add_edges_from(
        [
            (index[route.a], index[route.b], route.now.length_m)
            for route in plant.routes.values()
            if route.unit not in avoid and route.a in index and route.b in index
        ]
    )
    return graph, index


def _closest(
    plant: Plant, names: dict[int, str], near: dict[int, float], reach: dict[int, float]
) -> tuple[int, int, float]:
    """Between which node here and which there the new trench is cheapest, and its length."""
    there = np.array(list(reach))
    points = np.array([plant.nodes[names[place]].point for place in there.tolist()])
    pulled = np.array([reach[place] for place in there.tolist()]) * _PULL_PER_DIG
    best = (float("inf"), 0, 0)
    for here, cost in near.items():
        lon, lat = plant.nodes[names[here]].point
        metres = _flat_m(points, lon, lat) + pulled + cost * _PULL_PER_DIG
        at = int(np.argmin(metres))
        best = min(best, (float(metres[at]), here, int(there[at])))
    _, start, end = best
    return start, end, between_m(plant.nodes[names[start]].point, plant.nodes[names[end]].point)


def _flat_m(points: np.ndarray, lon: float, lat: float) -> np.ndarray:
    """Distances in a plane that touches the earth here: to rank neighbours, not to measure."""
    metre = 111_320.0
    east = (points[:, 0] - lon) * metre * np.cos(np.radians(lat))
    return np.asarray(np.hypot(east, (points[:, 1] - lat) * metre))


def _path(
    graph: rustworkx.PyGraph[str, float], names: dict[int, str], start: int, end: int
) -> tuple[str, ...]:
    if start == end:
        return (names[start],)
    found = rustworkx.dijkstra_shortest_paths(graph, start, end, weight_fn=float)
    return tuple(names[place] for place in found[end])


def _length(graph: rustworkx.PyGraph[str, float], start: int, end: int) -> float:
    if start == end:
        return 0.0
    found = rustworkx.dijkstra_shortest_path_lengths(graph, start, float, goal=end)
    return float(found[end]) if end in found else float("inf")
