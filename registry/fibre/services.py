"""Changes of the plant, written and audited; services and planned works with their lives.

``PlantKeeper`` holds the plant of one process in memory for as long as the database's is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from edge.wire.identity import new_id
from registry import audit
from registry.db import Database
from registry.fibre import operations as op
from registry.fibre.budget import Losses, shipped_losses
from registry.fibre.locate import Locator
from registry.fibre.models import (
    FibreAnomaly,
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
from registry.fibre.network import Network
from registry.fibre.operations import AnyOperation, ChangesRefused, Problem, check_all, named
from registry.fibre.plant import Plant
from registry.fibre.store import load_losses, load_plant, plant_version, touch_plant
from registry.fibre.trace import Anomaly, anomalies
from registry.fibre.values import PlantError
from registry.models import AuditEntry
from registry.rights import Actor

#: More operations than this get one audit entry for all, with their number by kind.
_AUDITED_EACH: Final = 200
#: Changes of others that are told to somebody who read an older plant, and steps of each.
_CHANGES_TOLD: Final = 20
#: How often a change is begun again because others were faster.
_TRIES: Final = 5


class ChangedMeanwhile(Exception):
    """The plant is no longer the version that somebody read; ``version`` is what it is now."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the plant is version {version} now")
        self.version = version


class Compiled:
    """A plant and what is made of it, as of one version of the database's."""

    def __init__(self, version: int, plant: Plant, losses: Losses, left_out: list[Anomaly]) -> None:
        self.version = version
        self.plant = plant
        self.losses = losses
        self.left_out = left_out
        self._locator: Locator | None = None

    @property
    def network(self) -> Network:
        return self.locator.network

    @property
    def locator(self) -> Locator:
        if self._locator is None or self._locator.network.version != self.plant.version:
            self._locator = Locator(Network(self.plant))
        return self._locator


class PlantKeeper:
    """The plant in memory. One for each database and process.

    It is read and compiled in a thread with a connection of its own, so that neither the loop nor a
    writer of alarms ever waits for a large plant.
    """

    def __init__(self) -> None:
        self._kept: Compiled | None = None
        self._loading = asyncio.Lock()

    async def current(self, database: Database) -> Compiled:
        """The plant as the database has it now."""
        async with database.read() as session:
            version = await plant_version(session)
        if self._kept is None or self._kept.version != version:
            async with self._loading:
                if self._kept is None or self._kept.version != version:
                    self._kept = await _apart(database)
        return self._kept

    async def change(
        self, database: Database, operations: Sequence[AnyOperation], *, actor: Actor, origin: str,
        now_us: int, dry_run: bool = False, read_at: Collection[int] | None = None,
    ) -> Compiled:  # fmt: skip
        """Take all of them, or none. Raises ``ChangesRefused``, ``ChangedMeanwhile``.

        ``read_at``: versions of the plant on which they were thought out; another one is left as it is.
        They are checked on a plant that is thrown away if they are refused; the transaction only writes
        the rows, unless somebody else has changed the plant meanwhile, then all is done again.
        """
        taken = [named(operation) for operation in operations]
        for _ in range(_TRIES):
            own = await _apart(database)
            if read_at is not None and own.version not in read_at:
                raise ChangedMeanwhile(own.version)
            found = await asyncio.to_thread(_checked, own, taken)
            if dry_run:
                return own
            async with database.write() as session:
                if await touch_plant(session) != own.version + 1:
                    await session.rollback()
                    continue
                writer = _Writer(session, own.plant, actor, now_us)
                for operation in taken:
                    await writer.write(operation)
                await writer.settle()
                await _audit(session, taken, actor, origin, now_us)
                await store_anomalies(session, found, now_us)
            own.version += 1
            self._kept = own
            return own
        raise ChangesRefused([Problem(0, "in_use", "others change the plant just now: send it again")])


def _checked(own: Compiled, operations: list[AnyOperation]) -> list[Anomaly]:
    """Does them in memory; what is wrong with the plant after."""
    check_all(own.plant, operations)
    return [*own.left_out, *anomalies(own.plant)]


async def _apart(database: Database) -> Compiled:
    """Read in a thread, over a connection and a loop of its own."""
    return await asyncio.to_thread(lambda: asyncio.run(_read_whole(database.url)))


async def _read_whole(url: str) -> Compiled:
    own = Database(url, pool_size=1)
    try:
        while True:
            async with own.read() as session:
                version = await plant_version(session)
                plant, left_out = await load_plant(session)
                losses = await load_losses(session)
            async with own.read() as session:
                if await plant_version(session) == version:  # nobody changed it meanwhile
                    return Compiled(version, plant, losses, left_out)
    finally:
        await own.close()


async def _audit(
    session: AsyncSession, operations: Sequence[AnyOperation], actor: Actor, origin: str, now_us: int
) -> None:  # fmt: skip
    together = new_id()  # one change, however many entries
    if len(operations) <= _AUDITED_EACH:
        for operation in operations:
            await audit.append(
                session, actor=actor, origin=origin, action=f"fibre.{_tag(operation)}",
                object_kind="fibre", object_id=operation.at or _tag(operation), now_us=now_us,
                after=_plain(operation), batch_id=together,
            )  # fmt: skip
        return
    counts: dict[str, Any] = {}
    for operation in operations:
        counts[_tag(operation)] = counts.get(_tag(operation), 0) + 1
    await audit.append(
        session, actor=actor, origin=origin, action="fibre.changes", object_kind="fibre",
        object_id="plant", now_us=now_us, after=counts, batch_id=together,
    )  # fmt: skip


def _tag(operation: AnyOperation) -> str:
    return str(operation.__struct_config__.tag)


def _plain(operation: AnyOperation) -> dict[str, Any]:
    said = {name: getattr(operation, name) for name in operation.__struct_fields__}
    return {
        name: f"{len(value)} points" if name == "line" else value
        for name, value in said.items()
        if value not in (None, "")
    }


class _Writer:
    """Writes the rows of operations that the plant has taken."""

    def __init__(self, session: AsyncSession, plant: Plant, actor: Actor, now_us: int) -> None:
        self._session = session
        self._plant = plant
        self._actor = actor
        self._now_us = now_us
        self._kind: type[AnyOperation] | None = None
        #: rows that refer to rows of the same kind of operation
        self._after: list[Any] = []

    async def settle(self) -> None:
        """Write what has been gathered; what refers to it may follow."""
        await self._session.flush()
        self._session.add_all(self._after)
        self._after.clear()
        await self._session.flush()

    async def write(self, operation: AnyOperation) -> None:
        session = self._session
        if type(operation) is not self._kind:
            await self.settle()
            self._kind = type(operation)
        if isinstance(operation, op.AddNode):
            row = FibreNode(
                id=operation.id, kind=operation.kind, name=operation.name, lat=operation.lat,
                lon=operation.lon, unit_code=operation.unit_code, created_us=self._now_us,
            )  # fmt: skip
            session.add(row)
        elif isinstance(operation, op.AddRoute | op.ReviseRoute):
            await self._route(operation)
        elif isinstance(operation, op.AddType):
            session.add(FibreCableType(**_fields(operation)))
        elif isinstance(operation, op.AddCable):
            await self._cable(operation)
        elif isinstance(operation, op.CableStatusIs):
            cable = await session.get_one(FibreCable, operation.cable)
            cable.status = operation.status
        elif isinstance(operation, op.AddEquipment):
            session.add(
                FibreEquipment(
                    id=operation.id, node_id=operation.node, kind=operation.kind,
                    ports=operation.ports, provider_id=operation.provider,
                )
            )  # fmt: skip
        else:
            await self._write_small(operation)

    async def _write_small(self, operation: AnyOperation) -> None:
        session = self._session
        if isinstance(operation, op.AddTray):
            session.add(FibreTray(id=operation.id, node_id=operation.node, capacity=operation.capacity))
        elif isinstance(operation, op.AddJoint):
            await self._joint(operation)
        elif isinstance(operation, op.Part):
            await session.execute(delete(FibreJointEnd).where(FibreJointEnd.joint_id == operation.id))
            await session.execute(delete(FibreJoint).where(FibreJoint.id == operation.id))
        elif isinstance(operation, op.AddSlack):
            session.add(
                FibreSlack(
                    id=operation.id or new_id(), cable_id=operation.cable, node_id=operation.node,
                    length_m=operation.length_m,
                )
            )  # fmt: skip
        elif isinstance(operation, op.AddEndpoint):
            session.add(
                FibreEndpoint(
                    id=operation.id or new_id(), kind=operation.kind, ref=operation.ref,
                    equipment_id=operation.equipment, criticality=operation.criticality,
                )
            )  # fmt: skip
        elif isinstance(operation, op.StrandIs):
            await session.merge(
                FibreStrand(
                    cable_id=operation.cable, number=operation.number, state=operation.state,
                    note=operation.note,
                )
            )  # fmt: skip

    async def _route(self, operation: op.AddRoute | op.ReviseRoute) -> None:
        route = self._plant.routes[operation.id]
        number, now = len(route.revisions), route.now
        if isinstance(operation, op.AddRoute):
            number, now = 1, route.revisions[0]
            self._session.add(
                FibreRoute(
                    id=route.id, a_node_id=route.a, b_node_id=route.b, trench=now.trench, revision=1
                )
            )  # fmt: skip
        else:
            await self._session.execute(
                update(FibreRoute)
                .where(FibreRoute.id == route.id)
                .values(revision=number, trench=now.trench)
            )
        self._after.append(
            FibreRouteRevision(
                route_id=route.id, number=number, line=[list(point) for point in now.line],
                install=now.install, trench=now.trench, duct=now.duct, length_m=now.length_m,
                contractor=now.contractor, accepted_us=now.accepted_us, at_us=self._now_us,
                actor=self._actor.id, note=now.note,
            )
        )  # fmt: skip

    async def _cable(self, operation: op.AddCable) -> None:
        cable = self._plant.cables[operation.id]
        self._session.add(
            FibreCable(
                id=cable.id, type_id=operation.type, a_node_id=cable.a, b_node_id=cable.b,
                status=operation.status, provider_id=operation.provider,
                sheath_length_m=cable.sheath_m, optical_length_m=operation.optical_m,
                created_us=self._now_us,
            )
        )  # fmt: skip
        self._after.extend(
            FibreCableRoute(cable_id=cable.id, position=position, route_id=route)
            for position, route in enumerate(cable.routes)
        )

    async def _joint(self, operation: op.AddJoint) -> None:
        ends = [self._plant.end(operation.a), self._plant.end(operation.b)]
        joint_id = operation.id or new_id()
        self._session.add(
            FibreJoint(
                id=joint_id, kind=operation.kind, node_id=self._plant.node_of_end(ends[0]),
                tray_id=operation.tray, loss_db=operation.loss_db, length_m=operation.length_m,
            )
        )  # fmt: skip
        self._after.extend(
            FibreJointEnd(end_key=self._plant.key(end), joint_id=joint_id, side=side)
            for side, end in enumerate(ends)
        )


def _fields(operation: AnyOperation) -> dict[str, Any]:
    return {name: getattr(operation, name) for name in operation.__struct_fields__}


async def store_anomalies(session: AsyncSession, found: list[Anomaly], now_us: int) -> None:
    """Keep what is wrong with the plant, and note what is no longer."""
    known = {(row.kind, row.at): row for row in await session.scalars(select(FibreAnomaly))}
    present: dict[tuple[str, str], Anomaly] = {(each.kind, each.at[:140]): each for each in found}
    for key, each in present.items():
        row = known.get(key)
        if row is None:
            session.add(
                FibreAnomaly(kind=each.kind, at=each.at[:140], detail=each.detail, found_us=now_us)
            )
        elif row.cleared_us is not None:
            row.cleared_us, row.found_us, row.detail = None, now_us, each.detail
    for key, row in known.items():
        if key not in present and row.cleared_us is None:
            row.cleared_us = now_us


class Changes(NamedTuple):
    """One change of the plant: who, when, and what as (action, of what), the first of them."""

    at_us: int
    actor: str
    what: list[tuple[str, str]]


async def changes_after(session: AsyncSession, seen: int, now: int) -> list[Changes]:
    """The changes between two versions of the plant as the audit has them, the newest first."""
    wanted = min(max(now - seen, 0), _CHANGES_TOLD)
    newest = select(AuditEntry).where(AuditEntry.object_kind == "fibre").order_by(AuditEntry.id.desc())
    told, last = list[Changes](), ""
    for entry in await session.scalars(newest.limit(wanted * _AUDITED_EACH)):
        together = entry.batch_id or str(entry.id)
        if together != last:
            if len(told) == wanted:
                break
            told.append(Changes(entry.at_us, entry.actor, []))
            last = together
        if len(told[-1].what) < _CHANGES_TOLD:
            told[-1].what.insert(0, (entry.action, entry.object_id))
    return told


async def set_loss(
    session: AsyncSession, name: str, value: float, source: str, *, actor: Actor, origin: str,
    now_us: int,
) -> None:  # fmt: skip
    """Replace a loss the city reckons with. Raises ``PlantError`` for a name that is none."""
    if name not in shipped_losses():
        names = ", ".join(shipped_losses())
        raise PlantError("unknown", name[:64], f"expected one of {names}")
    if not source.strip() or not 0 <= value <= 60:
        raise PlantError("bad_number", name, "expected 0 to 60 dB and a source")
    row = await session.get(FibreLossDefault, name, with_for_update=True)
    before = {"value": row.value, "source": row.source} if row else None
    if row is None:
        session.add(FibreLossDefault(name=name, value=value, source=source))
    else:
        row.value, row.source = value, source
    await touch_plant(session)
    await audit.append(
        session, actor=actor, origin=origin, action="fibre.loss", object_kind="fibre", object_id=name,
        now_us=now_us, before=before, after={"value": value, "source": source},
    )  # fmt: skip
