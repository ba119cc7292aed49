"""The plant in memory: what is built and what joins it, refusing what cannot be.

What light passes is a **piece**: a strand, an ODF's port, a device's port. Each piece has two **ends**,
numbered ``2 * piece`` (A, back) and ``2 * piece + 1`` (B, front); a device's port is met at its front
alone. A **joint** joins two ends, and an end has at most one joint. Ends, mates and joints are compact
arrays, so that a city of 70,000 endpoints fits into memory; what has a name is an object.

An end's key is how people write it: ``C12/47/A`` (cable, strand, end), ``ODF1/3/back``.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeVar, get_args

from registry.fibre.colours import Colours, colours_of, schemes
from registry.fibre.geometry import Line, Point, between_m, check_point, line_length_m
from registry.fibre.values import (
    CABLE_STATUSES,
    ENDPOINT_KINDS,
    EQUIPMENT_KINDS,
    INSTALLS,
    JOINT_KINDS,
    NODE_KINDS,
    CableStatus,
    EndpointKind,
    EquipmentKind,
    Install,
    JointKind,
    NodeKind,
    PlantError,
    Refusal,
    StrandState,
)

_Made = TypeVar("_Made")
Side = Literal["A", "B", "back", "front"]
SIDES: Final[tuple[Side, ...]] = get_args(Side)
FREE: Final = -1
#: A name stands in keys between slashes and on labels.
MAX_NAME: Final = 64
#: The largest cables made have 6,912 strands; the largest chassis has fewer ports.
MAX_STRANDS: Final = 6912
MAX_PORTS: Final = 4096
#: A line may miss its node by this much: a surveyor's two looks at one manhole.
MEETS_WITHIN_M: Final = 25.0
#: Lengths are written in whole decimetres; no cable is called short for the rounding.
_ROUNDING_M: Final = 0.1


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    kind: NodeKind
    lon: float
    lat: float

    @property
    def point(self) -> Point:
        return (self.lon, self.lat)


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a route; the newest is the last."""

    line: tuple[Point, ...]
    length_m: float
    install: Install
    trench: str | None = None
    duct: str | None = None
    contractor: str = ""
    accepted_us: int | None = None
    note: str = ""


@dataclass(slots=True)
class Route:
    id: str
    a: str
    b: str
    revisions: tuple[Revision, ...]

    @property
    def now(self) -> Revision:
        return self.revisions[-1]

    @property
    def unit(self) -> str:
        """What one dig cuts: the trench, which may hold other routes too, or the route by itself."""
        return f"trench:{self.now.trench}" if self.now.trench else f"route:{self.id}"


@dataclass(frozen=True, slots=True)
class CableType:
    id: str
    tubes: int
    strands_per_tube: int
    scheme: str = "tia-598"
    helix: float = 1.0
    maker: str = ""

    @property
    def strands(self) -> int:
        return self.tubes * self.strands_per_tube


@dataclass(slots=True)
class Cable:
    """``geographic_m`` along its routes ≤ ``sheath_m`` ≤ ``optical_m`` (what light travels)."""

    id: str
    type: CableType
    a: str
    b: str
    routes: tuple[str, ...]
    geographic_m: float
    sheath_m: float
    optical_m: float
    status: CableStatus
    provider: str | None
    first_piece: int

    def colours(self, number: int) -> Colours:
        return colours_of(number, self.type.strands_per_tube, self.type.scheme)


@dataclass(frozen=True, slots=True)
class Equipment:
    """``ports`` without a splitter's input, which is its port 0."""

    id: str
    node: str
    kind: EquipmentKind
    ports: int
    provider: str | None
    first_piece: int

    @property
    def lowest(self) -> int:
        return 0 if self.kind == "splitter" else 1

    @property
    def pieces(self) -> int:
        return self.ports + 1 - self.lowest


@dataclass(slots=True)
class Tray:
    id: str
    node: str
    capacity: int
    used: int = 0


@dataclass(frozen=True, slots=True)
class Slack:
    cable: str
    node: str
    length_m: float


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who hangs on a piece of equipment. ``homes``: households that lose it too."""

    kind: EndpointKind
    ref: str
    equipment: str
    criticality: int = 3
    homes: int = 0

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.ref}"


class Joint(NamedTuple):
    """A joint as asked for: ``loss_db`` None where nothing was measured."""

    id: str
    kind: JointKind
    node: str
    tray: str | None
    loss_db: float | None
    length_m: float
    ends: tuple[int, int]


class PieceOf(NamedTuple):
    """Whose piece it is, and which."""

    owner: Cable | Equipment
    number: int


class Plant:
    """Built up call by call; each refuses with ``PlantError`` what cannot be, and changes nothing."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.routes: dict[str, Route] = {}
        self.types: dict[str, CableType] = {}
        self.cables: dict[str, Cable] = {}
        self.equipment: dict[str, Equipment] = {}
        self.trays: dict[str, Tray] = {}
        self.slack: list[Slack] = []
        self.endpoints: list[Endpoint] = []
        #: what has been said of strands, by piece: reserved or faulty
        self.said: dict[int, StrandState] = {}
        #: grows with every change
        self.version = 0
        self._starts = array("i")
        self._owners: list[Cable | Equipment] = []
        self._pieces = 0
        #: by end: the end it is joined with, and the joint; FREE where there is none
        self.mate = array("i")
        self.joint_at = array("i")
        #: by piece: 1 where light goes on at the other end (strands, an ODF's ports)
        self.passing = bytearray()
        self._joints_of_name: dict[str, int] = {}
        self._joint_names: list[str | None] = []
        self._joint_kind = array("b")
        self._joint_end = array("i")
        self._joint_node: list[str] = []
        self._joint_tray: list[str | None] = []
        self._joint_loss = array("d")
        self._joint_length = array("f")
        self._endpoint_keys: set[tuple[str, str]] = set()

    # ---- what is built ------------------------------------------------------------------------

    def add_node(self, id: str, kind: NodeKind, lon: float, lat: float) -> Node:
        self._new(id, self.nodes, "node")
        _known(kind, NODE_KINDS, id)
        try:
            check_point(lon, lat)
        except ValueError as error:
            raise PlantError("bad_place", f"node {id}", str(error)) from None
        node = Node(id, kind, lon, lat)
        self.nodes[id] = node
        return self._changed(node)

    def add_route(
        self, id: str, a: str, b: str, line: Sequence[Point] | None = None, *,
        install: Install = "ducted", trench: str | None = None, duct: str | None = None,
        contractor: str = "", accepted_us: int | None = None, length_m: float | None = None,
    ) -> Route:  # fmt: skip
        """A route between two nodes; without ``line`` it runs straight."""
        self._new(id, self.routes, "route")
        revision = self._revision(
            f"route {id}", a, b, line, install, trench, duct, contractor, accepted_us, length_m, ""
        )
        route = Route(id, a, b, (revision,))
        self.routes[id] = route
        return self._changed(route)

    def revise_route(
        self, id: str, line: Sequence[Point] | None = None, *, install: Install, trench: str | None,
        duct: str | None = None, contractor: str = "", accepted_us: int | None = None, note: str = "",
    ) -> Route:  # fmt: skip
        """The route as rebuilt: one more revision; the older ones stay."""
        route = _get(self.routes, id, "route")
        revision = self._revision(
            f"route {id}", route.a, route.b, line, install, trench, duct, contractor, accepted_us, None,
            note,
        )  # fmt: skip
        longer = revision.length_m - route.now.length_m
        for cable in self.cables.values():
            if id in cable.routes and cable.geographic_m + longer > cable.sheath_m + _ROUNDING_M:
                raise PlantError(
                    "too_short", f"cable {cable.id}",
                    f"its sheath of {cable.sheath_m:.1f} m does not reach along the new line of {id}",
                )  # fmt: skip
        for cable in self.cables.values():
            if id in cable.routes:
                cable.geographic_m += longer
        route.revisions = (*route.revisions, revision)
        return self._changed(route)

    def _revision(
        self, what: str, a: str, b: str, line: Sequence[Point] | None, install: Install,
        trench: str | None, duct: str | None, contractor: str, accepted_us: int | None,
        length_m: float | None, note: str,
    ) -> Revision:  # fmt: skip
        start, end = _get(self.nodes, a, "node"), _get(self.nodes, b, "node")
        if a == b:
            raise PlantError("wrong_kind", what, f"it begins and ends at {a}")
        _known(install, INSTALLS, what)
        points: tuple[Point, ...] = (start.point, end.point)
        if line is not None:
            points = tuple((float(lon), float(lat)) for lon, lat in line)
            self._check_line(what, points, start, end)
        length = line_length_m(points) if length_m is None else length_m
        return Revision(points, length, install, trench, duct, contractor, accepted_us, note)

    def _check_line(self, what: str, points: Line, start: Node, end: Node) -> None:
        if len(points) < 2:
            raise PlantError("bad_place", what, "a line has at least two points")
        try:
            for lon, lat in points:
                check_point(lon, lat)
        except ValueError as error:
            raise PlantError("bad_place", what, str(error)) from None
        for node, point in ((start, points[0]), (end, points[-1])):
            if (off := between_m(node.point, point)) > MEETS_WITHIN_M:
                raise PlantError(
                    "line_does_not_meet", what,
                    f"its line ends {off:.0f} m from {node.id}; at most {MEETS_WITHIN_M:.0f} m",
                )  # fmt: skip

    def add_type(
        self, id: str, tubes: int, strands_per_tube: int, *, scheme: str = "tia-598",
        helix: float = 1.0, maker: str = "",
    ) -> CableType:  # fmt: skip
        self._new(id, self.types, "cable type")
        if min(tubes, strands_per_tube) < 1 or tubes * strands_per_tube > MAX_STRANDS:
            raise PlantError("bad_number", f"cable type {id}", f"expected 1 to {MAX_STRANDS} strands")
        if not 1.0 <= helix <= 1.2:
            raise PlantError("bad_number", f"cable type {id}", "helix: expected 1.0 to 1.2")
        if scheme not in schemes():
            raise PlantError(
                "unknown", f"cable type {id}", f"scheme: expected one of {', '.join(schemes())}"
            )
        made = CableType(id, tubes, strands_per_tube, scheme, helix, maker)
        self.types[id] = made
        return self._changed(made)

    def add_cable(
        self, id: str, type_id: str, a: str, routes: Sequence[str], *, sheath_m: float | None = None,
        optical_m: float | None = None, status: CableStatus = "active", provider: str | None = None,
    ) -> Cable:  # fmt: skip
        """A cable from node ``a`` along routes that meet; ``sheath_m`` None: as long as they."""
        self._new(id, self.cables, "cable")
        what = f"cable {id}"
        made = _get(self.types, type_id, "cable type")
        _known(status, CABLE_STATUSES, what)
        b, geographic = self._along(what, a, routes)
        sheath = geographic if sheath_m is None else sheath_m
        if sheath + _ROUNDING_M < geographic:
            raise PlantError(
                "too_short", what, f"{sheath:.1f} m of sheath along {geographic:.1f} m of routes"
            )
        optical = sheath * made.helix if optical_m is None else optical_m
        if optical + _ROUNDING_M < sheath:
            raise PlantError("too_short", what, f"{optical:.1f} m of light in {sheath:.1f} m of sheath")
        cable = Cable(
            id, made, a, b, tuple(routes), geographic, sheath, optical, status, provider, self._pieces
        )
        self._take_pieces(cable, made.strands)
        self.cables[id] = cable
        return self._changed(cable)

    def _along(self, what: str, a: str, routes: Sequence[str]) -> tuple[str, float]:
        """Where routes lead from ``a``, and how long they are."""
        at, length = _get(self.nodes, a, "node").id, 0.0
        if not routes:
            raise PlantError("routes_do_not_meet", what, "it lies in no route")
        for route_id in routes:
            route = _get(self.routes, route_id, "route")
            if at not in (route.a, route.b):
                raise PlantError("routes_do_not_meet", what, f"route {route_id} does not begin at {at}")
            at = route.b if at == route.a else route.a
            length += route.now.length_m
        return at, length

    def add_equipment(
        self, id: str, node: str, kind: EquipmentKind, ports: int, *, provider: str | None = None
    ) -> Equipment:
        self._new(id, self.equipment, "equipment")
        _known(kind, EQUIPMENT_KINDS, id)
        _get(self.nodes, node, "node")
        if not 1 <= ports <= MAX_PORTS:
            raise PlantError("bad_number", f"equipment {id}", f"expected 1 to {MAX_PORTS} ports")
        made = Equipment(id, node, kind, ports, provider, self._pieces)
        self._take_pieces(made, made.pieces)
        self.equipment[id] = made
        return self._changed(made)

    def add_tray(self, id: str, node: str, capacity: int) -> Tray:
        self._new(id, self.trays, "tray")
        _get(self.nodes, node, "node")
        if not 1 <= capacity <= MAX_PORTS:
            raise PlantError("bad_number", f"tray {id}", f"expected 1 to {MAX_PORTS} splices")
        self.trays[id] = Tray(id, node, capacity)
        return self._changed(self.trays[id])

    def add_slack(self, cable: str, node: str, length_m: float) -> Slack:
        """Cable coiled up at a node: it must be in the sheath beside the routes' length."""
        lying = _get(self.cables, cable, "cable")
        if node not in self.nodes_of(lying):
            raise PlantError("elsewhere", f"slack of {cable}", f"{node} is not on its way")
        coiled = sum(each.length_m for each in self.slack if each.cable == cable) + length_m
        if length_m <= 0 or lying.geographic_m + coiled > lying.sheath_m + _ROUNDING_M:
            raise PlantError(
                "too_short", f"cable {cable}",
                f"{lying.sheath_m:.1f} m of sheath leave no {coiled:.1f} m of slack",
            )  # fmt: skip
        made = Slack(cable, node, length_m)
        self.slack.append(made)
        return self._changed(made)

    def add_endpoint(
        self, kind: EndpointKind, ref: str, equipment: str, *, criticality: int = 3, homes: int = 0
    ) -> Endpoint:
        _known(kind, ENDPOINT_KINDS, ref)
        _get(self.equipment, equipment, "equipment")
        made = Endpoint(kind, ref, equipment, criticality, homes)
        if (made.key, equipment) in self._endpoint_keys:
            raise PlantError("name_taken", f"endpoint {made.key}", f"it hangs on {equipment} already")
        self._endpoint_keys.add((made.key, equipment))
        self.endpoints.append(made)
        return self._changed(made)

    def say_strand(self, cable: str, number: int, state: StrandState) -> None:
        """Reserve a strand, call it faulty, or free it."""
        piece = self.strand(cable, number)
        if state == "free":
            self.said.pop(piece, None)
        elif state in ("reserved", "faulty"):
            self.said[piece] = state
        self._changed(None)

    # ---- what joins it ------------------------------------------------------------------------

    def splice(
        self, a: str | int, b: str | int, *, tray: str | None = None, loss_db: float | None = None,
        id: str | None = None,
    ) -> str:  # fmt: skip
        """Fuse two strands, or a strand and a port's pigtail."""
        return self.join("splice", a, b, tray=tray, loss_db=loss_db, id=id)

    def patch(
        self, a: str | int, b: str | int, *, length_m: float = 0.0, loss_db: float | None = None,
        id: str | None = None,
    ) -> str:  # fmt: skip
        """A cord between the fronts of two ports."""
        return self.join("patch", a, b, length_m=length_m, loss_db=loss_db, id=id)

    def join(
        self, kind: JointKind, a: str | int, b: str | int, *, tray: str | None = None,
        loss_db: float | None = None, length_m: float = 0.0, id: str | None = None,
    ) -> str:  # fmt: skip
        """Join two ends. Returns the joint's id."""
        _known(kind, JOINT_KINDS, id or kind)
        first = self.end(a) if isinstance(a, str) else a
        second = self.end(b) if isinstance(b, str) else b
        name = f"{kind} {id}" if id else f"{kind} of {self.key(first)} with {self.key(second)}"
        if id is not None and (id in self._joints_of_name or not _good_name(id)):
            raise PlantError("name_taken" if _good_name(id) else "bad_name", name, "take another name")
        if first >> 1 == second >> 1:
            raise PlantError("joined_to_itself", name, "both ends are of one strand or port")
        self._check_kind(kind, first, second, name)
        for end in (first, second):
            self._check_free(end, name)
        node = self._node_of_joint(first, second, name)
        if tray is not None:
            self._check_tray(tray, node, name)
        return self._write_joint(kind, first, second, node, tray, loss_db, length_m, id)

    def _check_kind(self, kind: JointKind, first: int, second: int, name: str) -> None:
        strands = sum(isinstance(self.piece(end >> 1).owner, Cable) for end in (first, second))
        if kind == "patch" and strands:
            raise PlantError("wrong_kind", name, "a patch cord joins the fronts of two ports")
        if kind == "termination" and strands != 1:
            raise PlantError("wrong_kind", name, "a termination joins one strand and one port")
        if kind == "splice" and not strands:
            raise PlantError("wrong_kind", name, "a splice has a strand at one side at least")

    def _check_free(self, end: int, name: str) -> None:
        if self.mate[end] != FREE:
            owner = self.piece(end >> 1).owner
            reason: Refusal = "end_in_use" if isinstance(owner, Cable) else "port_in_use"
            raise PlantError(
                reason, name, f"{self.key(end)} is joined with {self.key(self.mate[end])} already"
            )
        if self.said.get(end >> 1) == "faulty":
            raise PlantError("strand_faulty", name, f"{self.key(end)} is faulty")
        owner = self.piece(end >> 1).owner
        if isinstance(owner, Cable) and owner.status == "removed":
            raise PlantError("bad_life", name, f"cable {owner.id} is removed")

    def _node_of_joint(self, first: int, second: int, name: str) -> str:
        here, there = self.node_of_end(first), self.node_of_end(second)
        if here != there:
            raise PlantError(
                "elsewhere", name, f"{self.key(first)} is at {here}, {self.key(second)} at {there}"
            )
        return here

    def _check_tray(self, tray: str, node: str, name: str) -> None:
        held = _get(self.trays, tray, "tray")
        if held.node != node:
            raise PlantError("tray_elsewhere", name, f"tray {tray} is at {held.node}, not at {node}")
        if held.used >= held.capacity:
            raise PlantError("tray_full", name, f"tray {tray} holds {held.capacity} splices")

    def _write_joint(
        self, kind: JointKind, first: int, second: int, node: str, tray: str | None,
        loss_db: float | None, length_m: float, id: str | None,
    ) -> str:  # fmt: skip
        number = len(self._joint_kind)
        self._joint_kind.append(JOINT_KINDS.index(kind))
        self._joint_end.append(first)
        self._joint_node.append(node)
        self._joint_tray.append(tray)
        self._joint_loss.append(float("nan") if loss_db is None else loss_db)
        self._joint_length.append(length_m)
        self._joint_names.append(id)
        if id is not None:
            self._joints_of_name[id] = number
        if tray is not None:
            self.trays[tray].used += 1
        self.mate[first], self.mate[second] = second, first
        self.joint_at[first] = self.joint_at[second] = number
        self._changed(None)
        return id or f"J{number}"

    def part(self, a: str | int) -> None:
        """Undo the joint at an end."""
        end = self.end(a) if isinstance(a, str) else a
        other = self.mate[end]
        if other == FREE:
            raise PlantError("unknown", self.key(end), "nothing is joined there")
        number = self.joint_at[end]
        tray = self._joint_tray[number]
        if tray is not None:
            self.trays[tray].used -= 1
        if (name := self._joint_names[number]) is not None:
            del self._joints_of_name[name]
        self._joint_end[number] = FREE
        for each in (end, other):
            self.mate[each] = self.joint_at[each] = FREE
        self._changed(None)

    # ---- looking up ---------------------------------------------------------------------------

    def strand(self, cable: str, number: int) -> int:
        """The piece of a cable's strand, counted from 1."""
        lying = _get(self.cables, cable, "cable")
        if not 1 <= number <= lying.type.strands:
            raise PlantError(
                "bad_number", f"strand {cable}/{number}", f"the cable has 1 to {lying.type.strands}"
            )
        return lying.first_piece + number - 1

    def port(self, equipment: str, number: int) -> int:
        """The piece of a port; a splitter's input is 0."""
        held = _get(self.equipment, equipment, "equipment")
        if not held.lowest <= number <= held.ports:
            raise PlantError(
                "bad_number", f"port {equipment}/{number}",
                f"it has {held.lowest} to {held.ports}",
            )  # fmt: skip
        return held.first_piece + number - held.lowest

    def end(self, key: str) -> int:
        """The end of a key such as ``C12/47/A`` or ``ODF1/3/back``."""
        name, _, rest = key.partition("/")
        text, _, side = rest.partition("/")
        if not (text.isascii() and text.isdigit() and len(text) <= 5) or side not in SIDES:
            raise PlantError(
                "bad_name", key[:140], "expected CABLE/STRAND/A or B, or EQUIPMENT/PORT/back or front"
            )
        if side in ("A", "B"):
            return 2 * self.strand(name, int(text)) + (side == "B")
        piece = self.port(name, int(text))
        if side == "back" and self.equipment[name].kind != "odf":
            raise PlantError("wrong_kind", key, "only an ODF's port has a back")
        return 2 * piece + (side == "front")

    def key(self, end: int) -> str:
        """An end as people write it."""
        owner, number = self.piece(end >> 1)
        sides = ("A", "B") if isinstance(owner, Cable) else ("back", "front")
        return f"{owner.id}/{number}/{sides[end & 1]}"

    def piece(self, piece: int) -> PieceOf:
        """Whose piece it is."""
        owner = self._owners[bisect_right(self._starts, piece) - 1]
        lowest = 1 if isinstance(owner, Cable) else owner.lowest
        return PieceOf(owner, piece - owner.first_piece + lowest)

    def node_of_end(self, end: int) -> str:
        owner = self._owners[bisect_right(self._starts, end >> 1) - 1]
        if isinstance(owner, Cable):
            return owner.b if end & 1 else owner.a
        return owner.node

    def joint(self, number: int) -> Joint:
        """The joint with this number, as ``joint_at`` has it."""
        first = self._joint_end[number]
        loss = self._joint_loss[number]
        return Joint(
            self._joint_names[number] or f"J{number}", JOINT_KINDS[self._joint_kind[number]],
            self._joint_node[number], self._joint_tray[number], None if loss != loss else loss,
            self._joint_length[number], (first, self.mate[first]),
        )  # fmt: skip

    def joints(self) -> Iterator[Joint]:
        """All joints, in the order they were made."""
        for number, end in enumerate(self._joint_end):
            if end != FREE:
                yield self.joint(number)

    def joint_named(self, id: str) -> Joint:
        """Raises ``PlantError`` for a joint that is not there."""
        number = self._joints_of_name.get(id)
        if number is None and id.startswith("J") and id[1:].isdigit():
            number = int(id[1:])
        if number is None or number >= len(self._joint_end) or self._joint_end[number] == FREE:
            raise PlantError("unknown", f"joint {id[:MAX_NAME]}", "there is none of this name")
        return self.joint(number)

    def strand_state(self, cable: str, number: int) -> StrandState:
        """free, reserved, used (something is joined to it) or faulty."""
        piece = self.strand(cable, number)
        said = self.said.get(piece)
        if said == "faulty":
            return said
        if self.mate[2 * piece] != FREE or self.mate[2 * piece + 1] != FREE:
            return "used"
        return said or "free"

    def nodes_of(self, cable: Cable) -> list[str]:
        """The nodes a cable passes, from its a end."""
        at, nodes = cable.a, [cable.a]
        for route_id in cable.routes:
            route = self.routes[route_id]
            at = route.b if at == route.a else route.a
            nodes.append(at)
        return nodes

    def line_of(self, cable: Cable) -> list[Point]:
        """The cable's line from its a end."""
        at, points = cable.a, list[Point]()
        for route_id in cable.routes:
            route = self.routes[route_id]
            forwards = at == route.a
            line = route.now.line if forwards else route.now.line[::-1]
            points += line[1:] if points else line
            at = route.b if forwards else route.a
        return points

    @property
    def pieces(self) -> int:
        return self._pieces

    # ---- small things -------------------------------------------------------------------------

    def _take_pieces(self, owner: Cable | Equipment, count: int) -> None:
        self._starts.append(self._pieces)
        self._owners.append(owner)
        self._pieces += count
        free = array("i", (FREE,)) * (2 * count)
        self.mate.extend(free)
        self.joint_at.extend(free)
        passing = isinstance(owner, Cable) or owner.kind == "odf"
        self.passing.extend(bytes((passing,)) * count)

    def _new(self, id: str, there: Mapping[str, object], what: str) -> None:
        if not _good_name(id):
            raise PlantError(
                "bad_name", f"{what} {id[:MAX_NAME]!r}",
                f"expected 1 to {MAX_NAME} characters without slash, colon or blanks at its ends",
            )  # fmt: skip
        if id in there:
            raise PlantError("name_taken", f"{what} {id}", "there is one of this name")
        other = self.equipment if there is self.cables else self.cables
        if what in ("cable", "equipment") and id in other:
            raise PlantError("name_taken", f"{what} {id}", "a cable or equipment is called so")

    def _changed(self, made: _Made) -> _Made:
        self.version += 1
        return made


def _good_name(name: str) -> bool:
    return (
        0 < len(name) <= MAX_NAME
        and name == name.strip()
        and name.isprintable()
        and "/" not in name
        and ":" not in name
    )


def _get(there: Mapping[str, _Made], id: str, what: str) -> _Made:
    found = there.get(id)
    if found is None:
        raise PlantError("unknown", f"{what} {id[:MAX_NAME]}", "there is none of this name")
    return found


def _known(word: str, words: Sequence[str], what: str) -> None:
    if word not in words:
        raise PlantError("wrong_kind", what, f"{word!r}; expected one of {', '.join(words)}")
