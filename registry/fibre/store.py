"""The plant between database and memory: read whole, written row by row by ``services``.

What the database holds and the plant refuses is left out and comes back as an anomaly: it is listed,
not guessed over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.fibre.budget import Losses, Sourced
from registry.fibre.models import (
    FibreCable,
    FibreCableRoute,
    FibreCableType,
    FibreEndpoint,
    FibreEquipment,
    FibreJoint,
    FibreJointEnd,
    FibreLossDefault,
    FibreNode,
    FibreRoute,
    FibreRouteRevision,
    FibreSlack,
    FibreStrand,
    FibreTray,
)
from registry.fibre.plant import Plant, Revision, Route
from registry.fibre.trace import Anomaly
from registry.fibre.values import PlantError
from registry.models import CityFact, Household

#: Counts the plant's changes, so that every process knows when what it has in memory is old.
VERSION_FACT = "fibre_plant"


async def plant_version(session: AsyncSession) -> int:
    """Grows with every change of the plant; 0 while there is none."""
    found = await session.scalar(select(CityFact.value).where(CityFact.name == VERSION_FACT))
    return int(found or 0)


async def touch_plant(session: AsyncSession) -> int:
    """Count a change, in the caller's transaction."""
    fact = await session.get(CityFact, VERSION_FACT, with_for_update=True)
    if fact is None:
        fact = CityFact(name=VERSION_FACT, value="0")
        session.add(fact)
    fact.value = str(int(fact.value) + 1)
    await session.flush()
    return int(fact.value)


async def load_losses(session: AsyncSession) -> Losses:
    """The losses the city reckons with."""
    rows = await session.scalars(select(FibreLossDefault))
    return Losses({row.name: Sourced(row.value, row.source) for row in rows})


async def load_plant(session: AsyncSession) -> tuple[Plant, list[Anomaly]]:
    """All of it, and what of it cannot be."""
    loader = _Loader(session)
    await loader.load()
    return loader.plant, loader.anomalies


class _Loader:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self.plant = Plant()
        self.anomalies: list[Anomaly] = []

    async def load(self) -> None:
        plant = self.plant
        for node in await self._rows(FibreNode):
            self._try(node.id, partial(plant.add_node, node.id, node.kind, node.lon, node.lat))
        await self._routes()
        for made in await self._rows(FibreCableType):
            add = partial(plant.add_type, made.id, made.tubes, made.strands_per_tube)
            self._try(made.id, partial(add, scheme=made.scheme, helix=made.helix, maker=made.maker))
        await self._cables()
        for held in await self._rows(FibreEquipment):
            add_held = partial(plant.add_equipment, held.id, held.node_id, held.kind, held.ports)
            self._try(held.id, partial(add_held, provider=held.provider_id))
        for tray in await self._rows(FibreTray):
            self._try(tray.id, partial(plant.add_tray, tray.id, tray.node_id, tray.capacity))
        await self._joints()
        for slack in await self._rows(FibreSlack):
            add_slack = partial(plant.add_slack, slack.cable_id, slack.node_id, slack.length_m)
            self._try(slack.id, add_slack)
        for said in await self._rows(FibreStrand):
            say = partial(plant.say_strand, said.cable_id, said.number, said.state)
            self._try(said.cable_id, say)
        await self._endpoints()

    async def _rows(self, table: Any) -> list[Any]:
        key = table.__mapper__.primary_key
        return list(await self._session.scalars(select(table).order_by(*key)))

    def _try(self, at: str, add: Callable[[], object]) -> None:
        try:
            add()
        except PlantError as error:
            self.anomalies.append(Anomaly("too_many", at, str(error)[:500]))

    async def _routes(self) -> None:
        revisions: dict[str, list[FibreRouteRevision]] = defaultdict(list)
        query = select(FibreRouteRevision).order_by(FibreRouteRevision.number)
        for revision in await self._session.scalars(query):
            revisions[revision.route_id].append(revision)
        for route in await self._rows(FibreRoute):
            if route.a_node_id not in self.plant.nodes or route.b_node_id not in self.plant.nodes:
                self.anomalies.append(Anomaly("too_many", route.id, "its nodes are not there"))
                continue
            self.plant.routes[route.id] = Route(
                route.id, route.a_node_id, route.b_node_id,
                tuple(_revision(row) for row in revisions[route.id]),
            )  # fmt: skip

    async def _cables(self) -> None:
        lies: dict[str, list[str]] = defaultdict(list)
        query = select(FibreCableRoute).order_by(FibreCableRoute.cable_id, FibreCableRoute.position)
        for row in await self._session.scalars(query):
            lies[row.cable_id].append(row.route_id)
        for cable in await self._rows(FibreCable):
            self._try(
                cable.id,
                partial(
                    self.plant.add_cable, cable.id, cable.type_id, cable.a_node_id, lies[cable.id],
                    sheath_m=cable.sheath_length_m, optical_m=cable.optical_length_m,
                    status=cable.status, provider=cable.provider_id,
                ),
            )  # fmt: skip

    async def _joints(self) -> None:
        ends: dict[str, list[str]] = defaultdict(list)
        query = select(FibreJointEnd).order_by(FibreJointEnd.joint_id, FibreJointEnd.side)
        for row in await self._session.scalars(query):
            ends[row.joint_id].append(row.end_key)
        for joint in await self._rows(FibreJoint):
            pair = ends[joint.id]
            if len(pair) != 2:
                detail = f"it joins {len(pair)} ends, not two"
                self.anomalies.append(Anomaly("too_many", joint.id, detail))
                continue
            self._try(
                joint.id,
                partial(
                    self.plant.join,
                    joint.kind,
                    *pair,
                    tray=joint.tray_id,
                    loss_db=joint.loss_db,
                    length_m=joint.length_m,
                    id=joint.id,
                ),
            )

    async def _endpoints(self) -> None:
        query = select(Household.site_id, func.count()).group_by(Household.site_id)
        homes = {site: int(count) for site, count in await self._session.execute(query)}
        for row in await self._rows(FibreEndpoint):
            count = homes.get(row.ref, 0) if row.kind == "site" else 0
            self._try(
                row.id,
                partial(
                    self.plant.add_endpoint,
                    row.kind,
                    row.ref,
                    row.equipment_id,
                    criticality=row.criticality,
                    homes=count,
                ),
            )


def _revision(row: FibreRouteRevision) -> Revision:
    line = tuple((float(lon), float(lat)) for lon, lat in row.line)
    return Revision(
        line, row.length_m, row.install, row.trench, row.duct, row.contractor,  # type: ignore[arg-type]
        row.accepted_us, row.note,
    )  # fmt: skip
