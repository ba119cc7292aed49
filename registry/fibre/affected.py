"""Which organisations hang on parts of the plant: by what stands at them, by their services' ways."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from registry.fibre.impact import Impact, risks_of
from registry.fibre.models import FibreService, FibreServiceHop
from registry.fibre.network import Network
from registry.fibre.plant import Plant
from registry.models import Organisation

#: A service that carries somebody's light; a planned or an ended one does not.
_CARRYING = ("active", "faulty")
#: Ids in one IN (…).
_CHUNK = 500


@dataclass
class Behind:
    """An organisation that is affected: it loses its own connection, or services of it are cut."""

    organisation: Organisation
    connection: bool = False
    services: list[str] = field(default_factory=list)


async def organisations_behind(
    session: AsyncSession, network: Network, elements: Collection[str], lost: Impact
) -> list[Behind]:
    """Living organisations, by name. ``lost`` is the impact of the elements. Raises ``PlantError``."""
    broken = {network.risks[risk] for risk in risks_of(network, elements)}
    query = (
        select(FibreService.id, FibreService.organisation_id, FibreServiceHop.ref)
        .join(FibreServiceHop, FibreServiceHop.service_id == FibreService.id)
        .where(FibreService.organisation_id.is_not(None), FibreService.status.in_(_CARRYING))
        .order_by(FibreService.id)
    )
    services: dict[str, dict[str, None]] = {}
    for service, owner, ref in (await session.execute(query)).all():
        if not broken.isdisjoint(_hangs_on(network.plant, ref)):
            services.setdefault(str(owner), {})[str(service)] = None
    connected = set(lost.of_kind("organisation"))
    found = await _living(session, connected | set(services))
    return [Behind(one, one.id in connected, list(services.get(one.id, ()))) for one in found]


async def _living(session: AsyncSession, ids: Iterable[str]) -> list[Organisation]:
    wanted, found = sorted(ids), list[Organisation]()
    for start in range(0, len(wanted), _CHUNK):
        found += await session.scalars(
            select(Organisation).where(
                Organisation.id.in_(wanted[start : start + _CHUNK]), Organisation.gone_us.is_(None)
            )
        )
    return sorted(found, key=lambda one: (one.sort_key, one.id))


def _hangs_on(plant: Plant, ref: str) -> set[str]:
    """The risks of a hop, by its piece: ``C12/47`` lies in cable C12, its trenches and nodes."""
    name = ref.partition("/")[0]
    if (cable := plant.cables.get(name)) is not None:
        units = {plant.routes[route].unit for route in cable.routes}
        return {f"cable:{name}", *units, *(f"node:{node}" for node in plant.nodes_of(cable))}
    if (held := plant.equipment.get(name)) is not None:
        return {f"device:{name}", f"node:{held.node}"}
    return set()
