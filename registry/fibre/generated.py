"""Cities that do not exist, to measure and to show: the same number and seed give the same plant.

POPs stand on a grid and are joined by a backbone ring; two of them hold the city's core devices. From
each POP four arms of trenches go out, node after node. Most nodes are cabinets with a 1:32 splitter
whose feeder runs back along the arm; some are bare manholes, where nothing tells one span from the
next. Each cabinet serves two side streets of four closures with four cameras each. Along two arms at a
time runs an access ring of switches for sites and organisations; its ducts lie in the trenches of the
feeders. At every fifth POP one ring goes out and back in one trench: redundant on paper only.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Final

from registry.fibre.plant import Cable, Plant

_CENTRE: Final = (106.9057, 47.9185)
_METRE_LAT: Final = 1 / 111_200
_METRE_LON: Final = _METRE_LAT / math.cos(math.radians(_CENTRE[1]))
_POP_SPACING_M: Final = 7_500.0
_ARM_SPACING_M: Final = 230.0
_CLOSURE_SPACING_M: Final = 62.0
_DROP_M: Final = (12.0, 45.0)
_PER_CLOSURE: Final = 4
_CLOSURES: Final = 4
_SPLIT: Final = 32
_CABINETS_PER_POP: Final = 55
_BARE_SHARE: Final = 0.1
_ARMS: Final = (("N", 0.0, 1.0), ("E", 1.0, 0.0), ("S", 0.0, -1.0), ("W", -1.0, 0.0))
#: Every so many nodes of an arm a switch of the access ring stands in the cabinet.
_SWITCH_EVERY: Final = 3
_FLAT_EVERY: Final = 5
#: Cables are laid with a little more sheath than the map's way, and a loop at the far end.
_SPARE_PART: Final = 1.015
_LOOP_M: Final = 8.0


@dataclass
class City:
    """A plant and what was meant when it was made."""

    plant: Plant
    pops: list[str] = field(default_factory=list)
    #: trenches that hold both sides of a ring
    traps: list[str] = field(default_factory=list)
    cameras: int = 0


@dataclass
class _Arm:
    """Nodes outwards, the routes between them, and which nodes are cabinets."""

    pop: str
    name: str
    dx: float
    dy: float
    nodes: list[str] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    ring_routes: list[str] = field(default_factory=list)
    cabinets: list[int] = field(default_factory=list)
    switches: list[tuple[int, str]] = field(default_factory=list)


def city_of(cameras: int, *, seed: int = 1) -> City:
    """A city with so many connected cameras."""
    return _Builder(cameras, seed).build()


class _Builder:
    def __init__(self, cameras: int, seed: int) -> None:
        self.random = random.Random(f"{seed}/{cameras}")  # noqa: S311  # a model, not a secret
        self.plant = Plant()
        self.city = City(self.plant)
        self.wanted = cameras
        self.cabinets = math.ceil(cameras / _SPLIT)
        self.free_strand: dict[str, int] = {}
        self.free_port: dict[str, int] = {}

    def build(self) -> City:
        for tubes, strands in ((1, 2), (1, 12), (2, 12), (4, 12)):
            self.plant.add_type(f"G652-{tubes * strands}", tubes, strands, helix=1.01)
        pops = max(3, round(self.cabinets / _CABINETS_PER_POP))
        side = math.ceil(math.sqrt(pops))
        for number in range(pops):
            row, column = divmod(number, side)
            column = side - 1 - column if row % 2 else column  # a snake, so that neighbours are near
            self._pop(f"P{number}", column * _POP_SPACING_M, row * _POP_SPACING_M, pops)
        self._backbone(pops)
        left = self.cabinets
        for number in range(pops):
            share = math.ceil(left / (pops - number))
            self._arms(number, share)
            left -= share
        self.city.cameras = sum(each.kind == "camera" for each in self.plant.endpoints)
        return self.city

    # ---- POPs and backbone --------------------------------------------------------------------

    def _pop(self, name: str, x: float, y: float, pops: int) -> None:
        self._node(name, "pop", x, y)
        self.plant.add_equipment(f"{name}-ODF", name, "odf", 288)
        self.plant.add_equipment(f"{name}-SW", name, "switch", 48, provider="city-net")
        self.plant.add_equipment(f"{name}-OLT", name, "olt", 128, provider="city-net")
        self._patch(f"{name}-OLT", f"{name}-SW")
        if name in ("P0", f"P{pops // 2}"):
            self.plant.add_equipment(f"{name}-CORE", name, "core", 16)
            self._patch(f"{name}-CORE", f"{name}-SW")
        self.plant.add_endpoint("pop", name, f"{name}-SW", criticality=1)
        self.city.pops.append(name)

    def _backbone(self, pops: int) -> None:
        for number in range(pops):
            a, b = f"P{number}", f"P{(number + 1) % pops}"
            routes = self._way(f"BB{number}", a, b, pieces=4)
            cable = self._cable(f"BB{number}", "G652-48", a, routes)
            self._strand_between(cable, f"{a}-SW", f"{b}-SW", a, b)

    def _way(self, name: str, a: str, b: str, *, pieces: int) -> list[str]:
        """Routes over bare manholes."""
        start, end = self.plant.nodes[a], self.plant.nodes[b]
        at, routes = a, []
        for step in range(1, pieces + 1):
            part = step / pieces
            node = b
            if step < pieces:
                node = f"{name}-M{step}"
                self.plant.add_node(
                    node, "manhole", start.lon + (end.lon - start.lon) * part + 1e-4,
                    start.lat + (end.lat - start.lat) * part + 1e-4,
                )  # fmt: skip
            route = f"R-{name}-{step}"
            self.plant.add_route(route, at, node, trench=f"T-{name}-{step}")
            routes.append(route)
            at = node
        return routes

    # ---- arms ---------------------------------------------------------------------------------

    def _arms(self, number: int, cabinets: int) -> None:
        pop = f"P{number}"
        arms = []
        for place, (name, dx, dy) in enumerate(_ARMS):
            mine = cabinets // 4 + (place < cabinets % 4)
            arms.append(self._arm(pop, name, dx, dy, mine))
        for arm in arms:
            for index in arm.cabinets:
                self._cabinet(arm, index)
        self._ring(pop, arms[0], arms[1], flat=False)
        self._ring(pop, arms[2], arms[3], flat=number % _FLAT_EVERY == 1)

    def _arm(self, pop: str, name: str, dx: float, dy: float, cabinets: int) -> _Arm:
        arm = _Arm(pop, name, dx, dy)
        origin, at = self._xy(pop), pop
        index = 0
        while len(arm.cabinets) < cabinets:
            bare = index > 0 and self.random.random() < _BARE_SHARE
            reach = (index + 1) * _ARM_SPACING_M
            jitter = self.random.uniform(-25, 25)
            node = f"{pop}-{name}{index}"
            self._node(
                node, "manhole" if bare else "cabinet",
                origin[0] + dx * reach + dy * jitter, origin[1] + dy * reach + dx * jitter,
            )  # fmt: skip
            trench = f"T-{pop}-{name}{index}"
            arm.routes.append(f"R-{pop}-{name}{index}a")
            arm.ring_routes.append(f"R-{pop}-{name}{index}b")
            self.plant.add_route(arm.routes[-1], at, node, trench=trench, duct="a")
            self.plant.add_route(arm.ring_routes[-1], at, node, trench=trench, duct="b")
            arm.nodes.append(node)
            if not bare:
                arm.cabinets.append(index)
            at, index = node, index + 1
        return arm

    def _cabinet(self, arm: _Arm, index: int) -> None:
        node = arm.nodes[index]
        splitter = f"{node}-S"
        self.plant.add_equipment(splitter, node, "splitter", _SPLIT)
        self.plant.add_tray(f"{node}-T", node, 96)
        feeder = self._cable(f"F-{node}", "G652-12", arm.pop, arm.routes[: index + 1])
        port = self._next_port(f"{arm.pop}-ODF")
        olt = self._next_port(f"{arm.pop}-OLT")
        self.plant.patch(f"{arm.pop}-OLT/{olt}/front", f"{arm.pop}-ODF/{port}/front", length_m=5)
        self.plant.join("termination", f"{arm.pop}-ODF/{port}/back", f"{feeder.id}/1/A")
        self.plant.splice(f"{feeder.id}/1/B", f"{splitter}/0/front", tray=f"{node}-T")
        for side in (0, 1):
            self._street(arm, node, splitter, side)

    def _street(self, arm: _Arm, node: str, splitter: str, side: int) -> None:
        """Four closures with four drops each; strands go on from closure to closure."""
        x, y = self._xy(node)
        sign = 1 if side else -1
        at, lit = node, list[tuple[int, str]]()
        first = 1 + side * _CLOSURES * _PER_CLOSURE
        count = min(_CLOSURES * _PER_CLOSURE, self.wanted - self.city.cameras)
        outputs = range(first, first + count)
        ends = {output: f"{splitter}/{output}/front" for output in outputs}
        trays = {node: f"{node}-T"}
        for step in range(_CLOSURES):
            if step * _PER_CLOSURE >= count:
                return
            closure = f"{node}-{'EW'[side]}{step}"
            reach = (step + 1) * _CLOSURE_SPACING_M * sign
            self._node(closure, "closure", x + arm.dy * reach, y + arm.dx * reach)
            self.plant.add_route(f"R-{closure}", at, closure, trench=f"T-{closure}")
            cable = self._cable(
                f"D-{closure}", "G652-24" if step == 0 else "G652-12", at, [f"R-{closure}"]
            )
            lit = [(output, ends[output]) for output in outputs[step * _PER_CLOSURE :]]
            for strand, (output, end) in enumerate(lit, 1):
                self.plant.splice(end, f"{cable.id}/{strand}/A", tray=trays[at])
                ends[output] = f"{cable.id}/{strand}/B"
            trays[closure] = f"{closure}-T"
            self.plant.add_tray(trays[closure], closure, 24)
            for output in outputs[step * _PER_CLOSURE : (step + 1) * _PER_CLOSURE]:
                self._drop(closure, output, ends[output], trays[closure], (x, y, reach), arm)
            at = closure

    def _drop(
        self, closure: str, output: int, end: str, tray: str,
        at: tuple[float, float, float], arm: _Arm,
    ) -> None:  # fmt: skip
        x, y, reach = at
        away = self.random.uniform(*_DROP_M) * (1 if output % 2 else -1)
        shift = self.random.uniform(-20, 20)
        pole, onu = f"{closure}-{output}", f"O-{closure}-{output}"
        along = reach + shift
        self._node(pole, "pole", x + arm.dy * along + arm.dx * away, y + arm.dx * along + arm.dy * away)
        self.plant.add_route(f"R-{pole}", closure, pole, install="aerial")
        cable = self._cable(f"L-{pole}", "G652-2", closure, [f"R-{pole}"])
        self.plant.add_equipment(onu, pole, "onu", 1)
        self.plant.splice(end, f"{cable.id}/1/A", tray=tray)
        self.plant.join("termination", f"{cable.id}/1/B", f"{onu}/1/front")
        self.plant.add_endpoint("camera", f"c-{closure}-{output}", onu)
        self.city.cameras += 1

    # ---- rings --------------------------------------------------------------------------------

    def _ring(self, pop: str, out: _Arm, back: _Arm, *, flat: bool) -> None:
        """Switches along one arm, over to the other and home; flat: back in the same trenches."""
        stops = self._switches(out)
        if not stops:  # too short an arm for a ring
            return
        if flat:
            ways = self._legs(out, stops)
            last = stops[-1][0]
            home = (stops[-1][1], f"{pop}-SW", out.nodes[last], out.ring_routes[: last + 1][::-1])
            ways.append(home)
            self.city.traps += [f"T-{pop}-{out.name}{step}" for step in range(last + 1)]
        else:
            others = self._switches(back)
            if not others:
                return
            ways = self._legs(out, stops)
            across = self._way(
                f"X-{pop}-{out.name}", out.nodes[stops[-1][0]], back.nodes[others[-1][0]], pieces=2
            )
            ways.append((stops[-1][1], others[-1][1], out.nodes[stops[-1][0]], across))
            ways += self._legs(back, others)
            stops = [*stops, *others]
        for number, (a, b, node, routes) in enumerate(ways):
            cable = self._cable(f"RING-{pop}-{out.name}-{number}", "G652-12", node, routes)
            self._strand_between(cable, a, b, cable.a, cable.b)
        for number, (_, switch) in enumerate(stops):
            self._customers(switch, number)

    def _switches(self, arm: _Arm) -> list[tuple[int, str]]:
        made = []
        for index in arm.cabinets[_SWITCH_EVERY - 1 :: _SWITCH_EVERY]:
            switch = f"{arm.nodes[index]}-SW"
            self.plant.add_equipment(switch, arm.nodes[index], "switch", 24, provider="city-net")
            made.append((index, switch))
        return made

    def _legs(self, arm: _Arm, stops: list[tuple[int, str]]) -> list[tuple[str, str, str, list[str]]]:
        """From the POP from switch to switch outwards."""
        legs, before, at, node = [], f"{arm.pop}-SW", -1, arm.pop
        for index, switch in stops:
            legs.append((before, switch, node, arm.ring_routes[at + 1 : index + 1]))
            before, at, node = switch, index, arm.nodes[index]
        return legs

    def _customers(self, switch: str, number: int) -> None:
        """A site with its homes, and an organisation, at each switch of a ring."""
        node = self.plant.equipment[switch].node
        x, y = self._xy(node)
        for kind, shift in (("site", 30.0), ("organisation", -30.0)):
            building = f"{node}-{kind}"
            self._node(building, "building", x + shift, y + shift)
            self.plant.add_route(f"R-{building}", node, building, trench=f"T-{building}")
            cable = self._cable(f"L-{building}", "G652-2", node, [f"R-{building}"])
            self.plant.add_equipment(f"O-{building}", building, "converter", 1)
            self._strand_between(cable, switch, f"O-{building}", cable.a, cable.b)
            if kind == "site":
                homes = self.random.randint(20, 120)
                self.plant.add_endpoint("site", f"s-{node.lower()}", f"O-{building}", homes=homes)
            else:
                level = 1 if number % 4 == 0 else 2
                self.plant.add_endpoint("organisation", f"o-{node}", f"O-{building}", criticality=level)

    # ---- small things -------------------------------------------------------------------------

    def _node(self, name: str, kind: str, x: float, y: float) -> None:
        lon, lat = _CENTRE[0] + x * _METRE_LON, _CENTRE[1] + y * _METRE_LAT
        self.plant.add_node(name, kind, round(lon, 7), round(lat, 7))  # type: ignore[arg-type]  # ours

    def _xy(self, node: str) -> tuple[float, float]:
        at = self.plant.nodes[node]
        return (at.lon - _CENTRE[0]) / _METRE_LON, (at.lat - _CENTRE[1]) / _METRE_LAT

    def _cable(self, name: str, kind: str, a: str, routes: list[str]) -> Cable:
        length = sum(self.plant.routes[route].now.length_m for route in routes)
        sheath = round(length * _SPARE_PART + _LOOP_M, 1)
        return self.plant.add_cable(name, kind, a, routes, sheath_m=sheath, provider="city-net")

    def _strand_between(self, cable: Cable, a: str, b: str, a_node: str, b_node: str) -> None:
        """The cable's next strand from device to device; over the ODF at a POP."""
        strand = self.free_strand.get(cable.id, 1)
        self.free_strand[cable.id] = strand + 1
        for device, node, side in ((a, a_node, "A"), (b, b_node, "B")):
            port = f"{device}/{self._next_port(device)}/front"
            end = f"{cable.id}/{strand}/{side}"
            if f"{node}-ODF" in self.plant.equipment:
                panel = self._next_port(f"{node}-ODF")
                self.plant.join("termination", f"{node}-ODF/{panel}/back", end)
                self.plant.patch(port, f"{node}-ODF/{panel}/front", length_m=5)
            else:
                self.plant.join("termination", end, port)

    def _patch(self, a: str, b: str) -> None:
        self.plant.patch(
            f"{a}/{self._next_port(a)}/front", f"{b}/{self._next_port(b)}/front", length_m=2
        )

    def _next_port(self, device: str) -> int:
        number = self.free_port.get(device, 1)
        self.free_port[device] = number + 1
        return number
