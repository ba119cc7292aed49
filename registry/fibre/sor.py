"""An OTDR's file (SOR, Telcordia SR-4731 version 2) and its distance as a point on the map.

An OTDR measures what light travels. On the map that is less: strands lie in a helix, cords lie in
cabinets, and coils of slack lie at nodes. ``point_at`` takes those off, hop by hop.
"""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass
from typing import Any, Final

import otdrparser  # type: ignore[import-untyped]  # it has no types

from registry.fibre.geometry import Point, point_along
from registry.fibre.plant import Cable, Plant
from registry.fibre.trace import trace
from registry.fibre.values import PlantError

#: The longest traces of long-haul instruments have some hundred thousand points of two bytes.
MAX_FILE_BYTES: Final = 4 << 20
#: No instrument looks further; a larger distance is a broken file.
_FARTHEST_M: Final = 500_000.0


class SorError(ValueError):
    """The file is none that can be read; one line that says why."""


@dataclass(frozen=True)
class SorEvent:
    """Something the instrument saw. ``distance_m``: of light in the strand, from the instrument."""

    distance_m: float
    loss_db: float
    end_of_strand: bool
    reflective: bool


@dataclass(frozen=True)
class SorFile:
    """What is used of a SOR file."""

    cable: str
    strand: str
    wavelength_nm: float
    refraction: float
    events: tuple[SorEvent, ...]

    @property
    def end_m(self) -> float | None:
        """Where the strand ends, or is cut: the event marked as its end, else the last one."""
        ends = [event.distance_m for event in self.events if event.end_of_strand]
        if ends:
            return ends[-1]
        return self.events[-1].distance_m if self.events else None


def read_sor(content: bytes) -> SorFile:
    """Read a SOR file. Raises ``SorError``."""
    if len(content) > MAX_FILE_BYTES:
        raise SorError(f"{len(content)} bytes; a SOR file has at most {MAX_FILE_BYTES}")
    try:
        blocks: dict[str, Any] = otdrparser.parse2(io.BytesIO(content))
        return _file(blocks)
    except SorError:
        raise
    except otdrparser.OTDRParserError as error:
        raise SorError(f"no readable SOR file: {str(error)[:200]}") from None
    except (struct.error, IndexError, KeyError, ValueError, ArithmeticError) as error:
        raise SorError(f"no readable SOR file: {type(error).__name__}") from None


def _file(blocks: dict[str, Any]) -> SorFile:
    fixed, general = blocks["FxdParams"], blocks.get("GenParams", {})
    events = tuple(
        SorEvent(
            float(event["distance_of_travel"]),
            float(event["splice_loss"]),
            event["event_type_details"]["note"] in ("end-of-fiber", "modified-end-of-fiber"),
            event["event_type_details"]["event"] != "non-reflective",
        )
        for event in blocks.get("KeyEvents", {}).get("events", [])
    )
    for event in events:
        if not (math.isfinite(event.distance_m) and 0 <= event.distance_m <= _FARTHEST_M):
            raise SorError(f"an event at {event.distance_m:.0f} m; expected 0 to {_FARTHEST_M:.0f}")
    return SorFile(
        str(general.get("cable_id", ""))[:100], str(general.get("fiber_id", ""))[:100],
        float(fixed["wavelength"]), float(fixed["index_of_refraction"]), events,
    )  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A distance on the map: the point, what it lies in, and how far along the named route."""

    point: Point
    cable: str | None
    #: the dig it lies in, such as ``trench:T1``; None at a node
    unit: str | None
    node: str | None
    #: beyond the last hop by so much (0: inside): the length in the register is too short
    beyond_m: float


def point_at(plant: Plant, key: str, distance_m: float) -> Place:
    """Where light is that has gone so far from this end (``C12/47/A``, ``ODF1/3/front``).

    Raises ``PlantError`` for an end that is not there.
    """
    if not 0 <= distance_m <= _FARTHEST_M:
        raise PlantError("bad_number", key[:140], f"a distance of {distance_m:.0f} m")
    left, way = distance_m, trace(plant, key)
    start = plant.piece(plant.end(key) >> 1)
    ref = f"{start.owner.id}/{start.number}"
    begin = next(number for number, hop in enumerate(way.hops) if hop.ref == ref)
    last: Place | None = None
    for hop in way.hops[begin:]:
        if hop.kind == "strand":
            cable = plant.cables[hop.ref.partition("/")[0]]
            if left <= cable.optical_m:
                return _inside(plant, cable, left, forwards=hop.nodes[0] == cable.a)
        elif left <= hop.length_m:
            return Place(plant.nodes[hop.nodes[0]].point, None, None, hop.nodes[0], 0.0)
        left -= hop.length_m
        node = hop.nodes[-1]
        last = Place(plant.nodes[node].point, None, None, node, left)
    assert last is not None  # a way has one hop at least
    return last


def _inside(plant: Plant, cable: Cable, light_m: float, *, forwards: bool) -> Place:
    """Along one cable: helix, coils and the give of the sheath taken off."""
    left = light_m * cable.sheath_m / cable.optical_m
    coils: dict[str, float] = {}
    for slack in plant.slack:
        if slack.cable == cable.id:
            coils[slack.node] = coils.get(slack.node, 0.0) + slack.length_m
    stretch = (cable.sheath_m - sum(coils.values())) / cable.geographic_m
    nodes, routes = plant.nodes_of(cable), list(cable.routes)
    if not forwards:
        nodes, routes = nodes[::-1], routes[::-1]
    for node, route_id in zip(nodes, routes, strict=False):
        coil = coils.get(node, 0.0)
        if left <= coil and coil:
            return Place(plant.nodes[node].point, cable.id, None, node, 0.0)
        left -= coil
        route = plant.routes[route_id]
        sheath = route.now.length_m * stretch
        if left <= sheath:
            line = route.now.line if node == route.a else route.now.line[::-1]
            return Place(point_along(line, left / stretch), cable.id, route.unit, None, 0.0)
        left -= sheath
    return Place(plant.nodes[nodes[-1]].point, cable.id, None, nodes[-1], 0.0)
