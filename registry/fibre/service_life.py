"""Services: light from A to Z with its hops, its losses and its cost, and the steps of its life."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from registry import audit
from registry.fibre.budget import WAVELENGTHS_NM, budget, judge
from registry.fibre.models import FibreService, FibreServiceHop
from registry.fibre.services import Compiled
from registry.fibre.trace import Trace, trace
from registry.fibre.values import SERVICE_LIFE, PlantError, ServiceStatus
from registry.rights import Actor

_SHOWN: Final = (
    "id", "status", "a_end", "z_end", "wavelength_nm", "target_loss_db", "calculated_loss_db",
    "measured_loss_db", "monthly_cost_mnt", "provider_id", "organisation_id", "version",
)  # fmt: skip


def plain(service: FibreService, margin_db: float) -> dict[str, Any]:
    """As shown to people, with the verdict over the loss that is known best and the city's margin."""
    said = {name: getattr(service, name) for name in _SHOWN}
    loss = service.calculated_loss_db if service.measured_loss_db is None else service.measured_loss_db
    verdict = None if loss is None else judge(loss, service.target_loss_db, margin_db)
    return {**said, "verdict": verdict}


async def enter(
    session: AsyncSession, kept: Compiled, said: dict[str, Any], *, actor: Actor, origin: str,
    now_us: int,
) -> FibreService:  # fmt: skip
    """A new service, traced. Raises ``PlantError``: its light must lead from A to Z."""
    if await session.get(FibreService, said["id"]) is not None:
        raise PlantError("name_taken", f"service {said['id']}", "there is one of this name")
    if said["wavelength_nm"] not in WAVELENGTHS_NM:
        known = ", ".join(map(str, WAVELENGTHS_NM))
        raise PlantError(
            "bad_number", f"service {said['id']}", f"wavelength: expected one of {known} nm"
        )
    service = FibreService(**said, status="planned")
    way = _way(kept, service)
    _reckon(service, kept, way)
    session.add(service)
    await session.flush()
    _keep_hops(session, service, way)
    await session.flush()
    await audit.append(
        session, actor=actor, origin=origin, action="fibre.service_enter", object_kind="fibre_service",
        object_id=service.id, now_us=now_us, after=said,
    )  # fmt: skip
    return service


async def step(
    session: AsyncSession, kept: Compiled, service_id: str, status: ServiceStatus,
    measured_db: float | None, *, actor: Actor, origin: str, now_us: int,
) -> FibreService:  # fmt: skip
    """The next state of its life, with the way as it is now. Raises ``PlantError``."""
    service = await session.get(FibreService, service_id, with_for_update=True)
    if service is None:
        raise PlantError("unknown", f"service {service_id}", "there is none of this name")
    allowed = SERVICE_LIFE.get(service.status, frozenset())  # type: ignore[call-overload]  # its words
    if status not in allowed:
        wanted = ", ".join(sorted(allowed)) or "nothing"
        detail = f"{service.status} cannot become {status}; only {wanted}"
        raise PlantError("bad_life", f"service {service_id}", detail)
    before, service.status = service.status, status
    if measured_db is not None:
        service.measured_loss_db = measured_db
    if status == "active":
        way = _way(kept, service)
        _reckon(service, kept, way)
        await session.execute(delete(FibreServiceHop).where(FibreServiceHop.service_id == service.id))
        _keep_hops(session, service, way)
    await session.flush()
    await audit.append(
        session, actor=actor, origin=origin, action="fibre.service_step", object_kind="fibre_service",
        object_id=service.id, now_us=now_us, before={"status": before},
        after={"status": status, "measured_loss_db": measured_db},
    )  # fmt: skip
    return service


def _way(kept: Compiled, service: FibreService) -> Trace:
    return trace(kept.plant, service.a_end, to=service.z_end)


def _reckon(service: FibreService, kept: Compiled, way: Trace) -> None:
    found = budget(
        way, wavelength_nm=service.wavelength_nm, target_db=service.target_loss_db, losses=kept.losses
    )
    service.calculated_loss_db = round(found.loss_db, 3)
    service.plant_version = kept.version


def _keep_hops(session: AsyncSession, service: FibreService, way: Trace) -> None:
    session.add_all(
        FibreServiceHop(service_id=service.id, position=position, kind=hop.kind, ref=hop.ref)
        for position, hop in enumerate(way.hops)
    )
