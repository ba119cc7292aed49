"""One way through the plant: from any strand or port to both its ends, hop by hop.

A mate is the mate of its mate and a piece has two ends, so a way that ever meets an end again meets
its own beginning first: that is a loop, found in at most as many steps as there are pieces. A splitter
is passed upwards, from an output to its input; downwards light goes everywhere, and the trace stops
there unless the far end is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from registry.fibre.colours import Colours
from registry.fibre.plant import FREE, Cable, Equipment, Plant
from registry.fibre.values import PlantError

HopKind = Literal["strand", "splice", "patch", "termination", "port", "device", "splitter"]
#: device: a device's port; splitter: its input, from where light goes to every output; open: an end
#: that nothing is joined to; loop: the way closes on itself.
Stop = Literal["device", "splitter", "open", "loop"]
AnomalyKind = Literal["loop", "dangling", "too_many"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One step. ``nodes``: where it is, for a strand where light comes from and goes to.

    ``length_m`` is what light travels, ``geographic_m`` the way on the map. ``loss_db`` is measured.
    """

    kind: HopKind
    ref: str
    nodes: tuple[str, ...]
    length_m: float = 0.0
    geographic_m: float = 0.0
    sheath_m: float = 0.0
    colours: Colours | None = None
    loss_db: float | None = None
    #: outputs of the splitter that is passed
    outputs: int = 0
    #: connectors that light passes here
    connectors: int = 0

    def reversed(self) -> Hop:
        return replace(self, nodes=self.nodes[::-1])


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that cannot be or leads nowhere; ``at`` is the end or splitter where it shows."""

    kind: AnomalyKind
    at: str
    detail: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A whole way from A to Z."""

    hops: tuple[Hop, ...]
    a_stop: Stop
    z_stop: Stop
    anomalies: tuple[Anomaly, ...] = ()

    @property
    def length_m(self) -> float:
        return sum(hop.length_m for hop in self.hops)

    @property
    def geographic_m(self) -> float:
        return sum(hop.geographic_m for hop in self.hops)

    @property
    def sheath_m(self) -> float:
        return sum(hop.sheath_m for hop in self.hops)

    def reversed(self) -> Trace:
        return Trace(
            tuple(hop.reversed() for hop in self.hops[::-1]), self.z_stop, self.a_stop, self.anomalies
        )


class Walk(NamedTuple):
    """From an end outwards: every end that is met, two by two (a joint's), and how it stopped."""

    ends: list[int]
    stop: Stop


def walk(plant: Plant, end: int) -> Walk:
    """From the end where light leaves a piece, to the first device, splitter or open end."""
    ends: list[int] = []
    at, mate, passing = end, plant.mate, plant.passing
    while True:
        other = mate[at]
        if other == FREE:
            return Walk(ends, "open")
        ends.append(at)
        ends.append(other)
        if not passing[other >> 1]:
            owner = plant.piece(other >> 1).owner
            splitter = isinstance(owner, Equipment) and owner.kind == "splitter"
            return Walk(ends, "splitter" if splitter else "device")
        at = other ^ 1
        if at == end:
            return Walk(ends, "loop")


def trace(plant: Plant, key: str, *, to: str | None = None) -> Trace:
    """The whole way that a strand's or port's end lies on, A being what its own end looks away from.

    ``key``: ``C12/47/A``, ``ONU3/1/front``. ``to`` names the far end where splitters fan out between.
    Raises ``PlantError`` for a key that is not there, or a ``to`` that this light does not reach.
    """
    start = plant.end(key)
    if to is None:
        return _both_ways(plant, start)
    far = _both_ways(plant, plant.end(to))
    near = _piece_ref(plant, start >> 1)
    refs = [hop.ref for hop in far.hops]
    if near in refs:
        there = far if refs.index(near) < refs.index(_piece_ref(plant, plant.end(to) >> 1)) else None
        return there or far.reversed()
    here = _both_ways(plant, start)
    target = _piece_ref(plant, plant.end(to) >> 1)
    if target not in [hop.ref for hop in here.hops]:
        raise PlantError("unknown", key, f"its light does not reach {to}")
    return here


def _both_ways(plant: Plant, start: int) -> Trace:
    piece = start >> 1
    middle = _hop_of_piece(plant, start ^ 1)
    owner, number = plant.piece(piece)
    up = isinstance(owner, Equipment) and owner.kind == "splitter" and number > 0
    if not plant.passing[piece] and not up:
        only = _outwards(plant, 2 * piece + 1)
        stop: Stop = (
            "splitter" if isinstance(owner, Equipment) and owner.kind == "splitter" else "device"
        )
        return Trace((middle, *only.hops), stop, only.stop, only.anomalies)
    # A lies beyond the end that was named; through a splitter's output light goes up to its input
    beyond = 2 * plant.equipment[owner.id].first_piece + 1 if up else start ^ 1
    z = _outwards(plant, beyond)
    if z.stop == "loop":
        return Trace((middle, *z.hops), "loop", "loop", z.anomalies)
    a = _outwards(plant, start)
    back = tuple(hop.reversed() for hop in a.hops[::-1])
    return Trace((*back, middle, *z.hops), a.stop, z.stop, (*a.anomalies, *z.anomalies))


class _Way(NamedTuple):
    hops: tuple[Hop, ...]
    stop: Stop
    anomalies: tuple[Anomaly, ...]


def _outwards(plant: Plant, end: int) -> _Way:
    """From an end outwards, through splitters upwards."""
    hops: list[Hop] = []
    passed: set[str] = set()
    while True:
        way = walk(plant, end)
        hops += _hops(plant, way.ends)
        if way.stop == "loop":
            found = Anomaly("loop", plant.key(end), "the way closes on itself")
            return _Way(tuple(hops), "loop", (found,))
        if way.stop == "open":
            last = way.ends[-1] ^ 1 if way.ends else end
            return _Way(tuple(hops), "open", _dangling(plant, last, bool(way.ends)))
        if way.stop == "device":
            return _Way(tuple(hops), "device", ())
        owner, number = plant.piece(way.ends[-1] >> 1)
        assert isinstance(owner, Equipment)
        if number == 0:
            return _Way(tuple(hops), "splitter", ())
        if owner.id in passed:
            found = Anomaly("loop", owner.id, "the way comes through this splitter twice")
            return _Way(tuple(hops), "loop", (found,))
        passed.add(owner.id)
        end = 2 * owner.first_piece + 1


def _dangling(plant: Plant, end: int, joined: bool) -> tuple[Anomaly, ...]:
    if not joined or isinstance(plant.piece(end >> 1).owner, Equipment):
        return ()  # a strand nobody uses, or a port that waits for its patch cord
    return (Anomaly("dangling", plant.key(end), "light comes here and nothing takes it on"),)


def _hops(plant: Plant, ends: list[int]) -> Iterator[Hop]:
    """The hops of a walk: joint, piece, joint, piece, …"""
    for place in range(0, len(ends), 2):
        left, right = ends[place], ends[place + 1]
        joint = plant.joint(plant.joint_at[left])
        yield Hop(joint.kind, joint.id, (joint.node,), joint.length_m, loss_db=joint.loss_db)
        yield _hop_of_piece(plant, right ^ 1)


def _piece_ref(plant: Plant, piece: int) -> str:
    owner, number = plant.piece(piece)
    return f"{owner.id}/{number}"


def _hop_of_piece(plant: Plant, leaving: int) -> Hop:
    """The piece as light that leaves by this end passes it."""
    owner, number = plant.piece(leaving >> 1)
    ref = f"{owner.id}/{number}"
    if isinstance(owner, Cable):
        nodes = (owner.a, owner.b) if leaving & 1 else (owner.b, owner.a)
        return Hop(
            "strand", ref, nodes, owner.optical_m, owner.geographic_m, owner.sheath_m,
            owner.colours(number),
        )  # fmt: skip
    if owner.kind == "odf":
        return Hop("port", ref, (owner.node,), connectors=1)
    if owner.kind == "splitter":
        return Hop("splitter", ref, (owner.node,), outputs=owner.ports if number else 0)
    return Hop("device", ref, (owner.node,), connectors=1)


def anomalies(plant: Plant) -> list[Anomaly]:
    """Every loop and dangling end of the plant, each once.

    A spare strand that only lies there, or is only terminated on a port, is none.
    """
    found: dict[tuple[str, str], Anomaly] = {}
    seen = bytearray(2 * plant.pieces)
    for cable in plant.cables.values():
        for piece in range(cable.first_piece, cable.first_piece + cable.type.strands):
            if seen[2 * piece] or (plant.mate[2 * piece] == FREE and plant.mate[2 * piece + 1] == FREE):
                continue
            for each in _of_chain(plant, piece, seen):
                found[(each.kind, each.at)] = each
    for splitter in (e for e in plant.equipment.values() if e.kind == "splitter"):
        for each in _outwards(plant, 2 * splitter.first_piece + 1).anomalies:
            if each.kind == "loop":
                found[(each.kind, each.at)] = each
    return sorted(found.values(), key=lambda each: (each.kind, each.at))


def _of_chain(plant: Plant, piece: int, seen: bytearray) -> Iterator[Anomaly]:
    """Marks every end of the chain as seen; what is wrong with it, if anything."""
    ways = [walk(plant, 2 * piece), walk(plant, 2 * piece + 1)]
    members = [2 * piece, *ways[0].ends, *ways[1].ends]
    for end in members:
        seen[end] = seen[end ^ 1] = 1
    if ways[0].stop == "loop":
        at = min(plant.key(end) for end in members)
        yield Anomaly("loop", at, "the way closes on itself")
        return
    for way, other, begin in ((ways[0], ways[1], 2 * piece), (ways[1], ways[0], 2 * piece + 1)):
        if way.stop != "open":
            continue
        last = way.ends[-1] ^ 1 if way.ends else begin
        spliced = any(
            isinstance(plant.piece(end >> 1).owner, Cable)
            for end in (*way.ends[1::2], *other.ends[1::2])
        )
        reaches = other.stop in ("device", "splitter")
        if isinstance(plant.piece(last >> 1).owner, Cable) and (spliced or reaches):
            yield Anomaly("dangling", plant.key(last), "light comes here and nothing takes it on")
