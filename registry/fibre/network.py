"""The plant as a network: ways of light folded into links between devices, and what each one hangs on.

A **vertex** is a device or a splitter. A **link** is a way of light between two of them. A **risk**
is anything that can fail as one: a dig (a trench with all routes in it, or a single route), a cable, a
node (its closure opened, its power gone), a device. Two cables in one trench are two links with one
risk, which is why bridges of the bare graph are not asked.

Core devices are where the city is; they count as one vertex, the **root**. Most vertices hang on the
rest by a single link; they are peeled off, again and again, until only rings are left. A peeled vertex
is lost with its link, with what it hangs on, or by itself. Rings are searched risk by risk. So who is
lost by which single risk (``exposure``) is known for the whole city after one pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from registry.fibre.plant import Cable, Endpoint, Equipment, Plant
from registry.fibre.trace import walk
from registry.fibre.values import PlantError

Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
#: What light needs to go on: a cable that is planned or removed carries none.
CARRYING: Final = ("built", "accepted", "active", "damaged")
RISK_KINDS: Final = ("trench", "route", "cable", "node", "device")
_NONE: Final = -1


@dataclass(frozen=True, slots=True)
class Subject:
    """Somebody who hangs on the plant, by one device or several (lost when all of them are)."""

    key: str
    vertices: tuple[int, ...]
    criticality: int
    homes: int


@dataclass(frozen=True)
class Rows:
    """Many lists of numbers in two arrays: row ``i`` is ``items[starts[i]:starts[i + 1]]``."""

    starts: NDArray[np.int64]
    items: Ints

    def row(self, number: int) -> Ints:
        return self.items[self.starts[number] : self.starts[number + 1]]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def any_in(self, mask: Bools) -> Bools:
        """Per row: whether any of its numbers is set in the mask."""
        hits = np.concatenate(([0], np.cumsum(mask[self.items])))
        return np.asarray(hits[self.starts[1:]] > hits[self.starts[:-1]])

    def turned(self, columns: int) -> Rows:
        """The rows in which each number stands."""
        order = np.argsort(self.items, kind="stable")
        rows = np.repeat(np.arange(len(self), dtype=np.int32), self.lengths)[order]
        counts = np.bincount(self.items, minlength=columns)
        return Rows(np.concatenate(([0], np.cumsum(counts))), rows)


def rows_of(lists: Iterable[Collection[int]]) -> Rows:
    """The lists as arrays."""
    kept = list(lists)
    starts = np.zeros(len(kept) + 1, dtype=np.int64)
    np.cumsum([len(each) for each in kept], out=starts[1:])
    flat = (number for each in kept for number in each)
    return Rows(starts, np.fromiter(flat, dtype=np.int32, count=int(starts[-1])))


class Network:
    """A plant compiled for questions about who loses what. It does not follow later changes."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.version = plant.version
        self._risk_of: dict[str, int] = {}
        #: every risk's name, such as ``trench:T1``, by its number
        self.risks: list[str] = []
        #: the routes that one dig cuts, by its name
        self.routes_of: dict[str, list[str]] = {}
        self.vertices: dict[str, int] = {}
        self._vertex_risks: list[tuple[int, ...]] = []
        self._root_members: set[int] = set()
        self._gather_vertices()
        self.link_a, self.link_b, self.link_risks = self._gather_links()
        self.subjects = self._gather_subjects()
        self._peel()

    # ---- reading the plant --------------------------------------------------------------------

    def risk(self, name: str) -> int:
        """The number of a risk. Raises ``PlantError`` for a name that is none."""
        number = self._risk_of.get(name)
        if number is None:
            raise PlantError("unknown", name[:140], "nothing of the plant is called so")
        return number

    def _risk(self, name: str) -> int:
        number = self._risk_of.setdefault(name, len(self.risks))
        if number == len(self.risks):
            self.risks.append(name)
        return number

    def _gather_vertices(self) -> None:
        for route in self.plant.routes.values():
            self._risk(route.unit)
            self.routes_of.setdefault(route.unit, []).append(route.id)
        for node in self.plant.nodes:
            self._risk(f"node:{node}")
        for held in self.plant.equipment.values():
            if held.kind == "odf":
                continue
            number = self.vertices[held.id] = len(self._vertex_risks)
            self._vertex_risks.append(
                (self._risk(f"device:{held.id}"), self._risk(f"node:{held.node}"))
            )
            if held.kind == "core":
                self._root_members.add(number)

    def _gather_links(self) -> tuple[Ints, Ints, Rows]:
        units = {route.id: self._risk_of[route.unit] for route in self.plant.routes.values()}
        of_cable: dict[str, list[int] | None] = {}
        for cable in self.plant.cables.values():
            lies = [self._risk(f"cable:{cable.id}"), *dict.fromkeys(units[r] for r in cable.routes)]
            of_cable[cable.id] = lies if cable.status in CARRYING else None
        ends_a, ends_b, risks = list[int](), list[int](), list[Collection[int]]()
        for held in self.plant.equipment.values():
            if held.kind == "odf":
                continue
            for piece in range(held.first_piece, held.first_piece + held.pieces):
                found = self._link(piece, of_cable)
                if found is not None:
                    ends_a.append(self.vertices[held.id])
                    ends_b.append(found[0])
                    risks.append(found[1])
        return np.array(ends_a, np.int32), np.array(ends_b, np.int32), rows_of(risks)

    def _link(
        self, piece: int, of_cable: dict[str, list[int] | None]
    ) -> tuple[int, Collection[int]] | None:
        """The device at the far end of a port's light and the risks on the way; once per link."""
        way = walk(self.plant, 2 * piece + 1)
        if way.stop not in ("device", "splitter") or way.ends[-1] >> 1 < piece:
            return None
        risks: dict[int, None] = {}
        for place in range(0, len(way.ends), 2):
            joined = way.ends[place]
            risks[self._risk_of[f"node:{self.plant.node_of_end(joined)}"]] = None
            owner = self.plant.piece(joined >> 1).owner
            if isinstance(owner, Cable):
                lies = of_cable[owner.id]
                if lies is None:
                    return None
                risks.update(dict.fromkeys(lies))
        far = self.plant.piece(way.ends[-1] >> 1).owner
        assert isinstance(far, Equipment)
        return self.vertices[far.id], risks

    def _gather_subjects(self) -> list[Subject]:
        found: dict[str, list[Endpoint]] = defaultdict(list)
        for endpoint in self.plant.endpoints:
            if endpoint.equipment in self.vertices:
                found[endpoint.key].append(endpoint)
        return [
            Subject(
                key, tuple(self.vertices[each.equipment] for each in several),
                min(each.criticality for each in several), max(each.homes for each in several),
            )
            for key, several in found.items()
        ]  # fmt: skip

    # ---- peeling ------------------------------------------------------------------------------

    def _peel(self) -> None:
        """Fold the core devices into the root, then take away what hangs by a single link."""
        count = len(self._vertex_risks)
        self.root = count
        fold = np.arange(count + 1, dtype=np.int32)
        for member in self._root_members:
            fold[member] = self.root
        self._a, self._b = fold[self.link_a], fold[self.link_b]
        links_of: list[list[int]] = [[] for _ in range(count + 1)]
        for link, (a, b) in enumerate(zip(self._a.tolist(), self._b.tolist(), strict=True)):
            if a != b:
                links_of[a].append(link)
                links_of[b].append(link)
        degree = [len(links) for links in links_of]
        #: by vertex: the link it hangs by and the vertex it hangs on; _NONE in the rings
        self.parent_link = np.full(count + 1, _NONE, np.int32)
        self.parent = np.full(count + 1, _NONE, np.int32)
        self.peeled: list[int] = []
        gone = bytearray(len(self._a))
        waiting = [v for v in range(count) if degree[v] == 1]
        while waiting:
            vertex = waiting.pop()
            if degree[vertex] != 1:
                continue
            link = next(link for link in links_of[vertex] if not gone[link])
            other = int(self._a[link] if self._b[link] == vertex else self._b[link])
            gone[link] = 1
            degree[vertex] -= 1
            degree[other] -= 1
            self.parent_link[vertex], self.parent[vertex] = link, other
            self.peeled.append(vertex)
            if degree[other] == 1 and other != self.root:
                waiting.append(other)
        self.core = [v for v in range(count + 1) if degree[v] > 0 or v == self.root]
        self._core_links = np.flatnonzero(np.frombuffer(gone, np.uint8) == 0).astype(np.int32)
        self._core_of: dict[int, list[tuple[int, int]]] = {vertex: [] for vertex in self.core}
        for link in self._core_links.tolist():
            a, b = int(self._a[link]), int(self._b[link])
            if a != b and a in self._core_of and b in self._core_of:
                self._core_of[a].append((b, link))
                self._core_of[b].append((a, link))

    @cached_property
    def ring_vertices(self) -> frozenset[int]:
        """Vertices with more than one way to go on."""
        return frozenset(self.core) - {self.root}

    def anchor(self, vertex: int) -> int:
        """The ring vertex (or the root) that a vertex hangs on, itself where it is one."""
        while self.parent[vertex] != _NONE:
            vertex = int(self.parent[vertex])
        return vertex

    @cached_property
    def anchors(self) -> Ints:
        """Per subject: the ring vertex (or the root) that its first device hangs on."""
        anchor = np.arange(self.root + 1, dtype=np.int32)
        for level in self._levels:
            anchor[level] = anchor[self.parent[level]]
        first = [subject.vertices[0] for subject in self.subjects]
        return np.asarray(anchor[np.array(first, np.int32)])

    @property
    def ring_links(self) -> list[int]:
        """Links between ring vertices."""
        return [int(link) for link in self._core_links]

    @cached_property
    def ends(self) -> list[tuple[int, int]]:
        """Per link its two vertices, core devices counted as the root."""
        return list(zip(self._a.tolist(), self._b.tolist(), strict=True))

    def risks_of_vertex(self, vertex: int) -> tuple[int, ...]:
        """A device's own risks: itself and its node."""
        return self._vertex_risks[vertex]

    # ---- who is lost --------------------------------------------------------------------------

    def lost(self, broken: Collection[int]) -> Bools:
        """Per vertex: whether it has lost its way to every core device, when these risks fail."""
        mask = np.zeros(len(self.risks), dtype=np.bool_)
        mask[list(broken)] = True
        down = self._vertex_rows.any_in(mask)
        links = self.link_risks.any_in(mask) | down[self.link_a] | down[self.link_b]
        out = np.ones(self.root + 1, dtype=np.bool_)
        alive = self._alive(links)
        out[list(alive)] = False
        for level in self._levels:
            out[level] = out[self.parent[level]] | links[self.parent_link[level]]
        for member in self._root_members:
            out[member] = down[member]
        return np.asarray(out[: self.root] | down)

    def _alive(self, dead: Bools | set[int]) -> set[int]:
        """The ring vertices that light still reaches; ``dead``: links that carry none."""
        alive, waiting = {self.root}, [self.root]
        gone = dead if isinstance(dead, set) else set(self._core_links[dead[self._core_links]].tolist())
        while waiting:
            for other, link in self._core_of[waiting.pop()]:
                if other not in alive and link not in gone:
                    alive.add(other)
                    waiting.append(other)
        return alive

    @cached_property
    def _vertex_rows(self) -> Rows:
        return rows_of(self._vertex_risks)

    @cached_property
    def _levels(self) -> list[Ints]:
        """Peeled vertices by how far out they hang."""
        depth = dict.fromkeys(self.core, 0)
        levels: list[list[int]] = []
        for vertex in self.peeled[::-1]:
            depth[vertex] = depth.get(int(self.parent[vertex]), 0) + 1
            while len(levels) < depth[vertex]:
                levels.append([])
            levels[depth[vertex] - 1].append(vertex)
        return [np.array(level, np.int32) for level in levels]

    @cached_property
    def _subject_vertices(self) -> Rows:
        return rows_of([subject.vertices for subject in self.subjects])

    def lost_subjects(self, broken: Collection[int]) -> Ints:
        """The numbers of the subjects that lose their connection when these risks fail together."""
        out = self._all_lost(broken)
        out[list(self.unconnected)] = False
        return np.flatnonzero(out).astype(np.int32)

    def _all_lost(self, broken: Collection[int]) -> Bools:
        rows = self._subject_vertices
        return ~rows.any_in(~self.lost(broken))

    @cached_property
    def unconnected(self) -> frozenset[int]:
        """Subjects that have no way to a core device even while nothing is broken."""
        return frozenset(np.flatnonzero(self._all_lost(())).tolist())

    @cached_property
    def exposure(self) -> Rows:
        """Per subject: the risks each of which alone takes its connection."""
        of_vertex = self._exposure_of_vertices()
        lists: list[Any] = []
        for number, subject in enumerate(self.subjects):
            if number in self.unconnected:
                lists.append(())
                continue
            own = of_vertex[subject.vertices[0]]
            for vertex in subject.vertices[1:]:
                own = np.intersect1d(own, of_vertex[vertex])
            lists.append(own)
        starts = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(each) for each in lists], out=starts[1:])
        items = np.concatenate(lists) if lists else np.zeros(0, np.int32)
        return Rows(starts, items.astype(np.int32))

    def _exposure_of_vertices(self) -> list[Ints]:
        """Single risks per vertex: searched in the rings, handed down to what hangs on them."""
        found: list[Ints] = [np.zeros(0, np.int32)] * (self.root + 1)
        for vertex, risks in self.ring_risks.items():
            found[vertex] = np.array(sorted(risks), np.int32)
        for member in self._root_members:
            found[member] = np.array(sorted(self._vertex_risks[member]), np.int32)
        for vertex in self.peeled[::-1]:
            link, parent = int(self.parent_link[vertex]), int(self.parent[vertex])
            above = found[parent] if parent != self.root else self._at_root(link)
            own = np.array(self._vertex_risks[vertex], np.int32)
            found[vertex] = np.unique(np.concatenate((above, self.link_risks.row(link), own)))
        return found

    def _at_root(self, link: int) -> Ints:
        """What hangs on one core device falls with that one."""
        members = {int(self.link_a[link]), int(self.link_b[link])} & self._root_members
        return np.array(sorted({r for m in members for r in self._vertex_risks[m]}), np.int32)

    @cached_property
    def ring_risks(self) -> dict[int, set[int]]:
        """Per ring vertex: the risks that cut it off, found by cutting each."""
        found: dict[int, set[int]] = {vertex: set() for vertex in self._alive(set())}
        found.pop(self.root)
        down: dict[int, set[int]] = defaultdict(set)
        for vertex in (*found, *self._root_members):
            for risk in self._vertex_risks[vertex]:
                down[risk].add(vertex)
        links: dict[int, set[int]] = defaultdict(set)
        for link in self._core_links.tolist():
            for risk in self.link_risks.row(link).tolist():
                links[risk].add(link)
            for vertex in (int(self.link_a[link]), int(self.link_b[link])):
                for risk in self._vertex_risks[vertex]:
                    links[risk].add(link)
        for risk, dead in links.items():
            for vertex in (found.keys() - self._alive(dead)) | (down[risk] & found.keys()):
                found[vertex].add(risk)
        return found

    @cached_property
    def losers(self) -> Rows:
        """Per risk: the subjects that lose their connection by it alone."""
        return self.exposure.turned(len(self.risks))

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Subjects by key, such as ``camera:c1``."""
        return {subject.key: number for number, subject in enumerate(self.subjects)}

    @property
    def memory_bytes(self) -> int:
        """Of the arrays."""
        arrays = [
            self.link_a,
            self.link_b,
            self.link_risks.items,
            self.exposure.items,
            self.losers.items,
        ]
        return int(sum(each.nbytes for each in arrays))
