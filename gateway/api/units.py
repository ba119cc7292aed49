"""Administrative units: open facts."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from gateway.api.common import UnitCode
from gateway.door import need
from gateway.problems import documented
from registry.units import units

router = APIRouter(prefix="/units", tags=["units"])


class UnitOut(BaseModel):
    """The capital, a district or a khoroo (which shows its district's centre)."""

    code: str
    parent: str | None
    kind: str
    name_mn: str
    name_en: str
    lat: float | None
    lon: float | None


class UnitsOut(BaseModel):
    """Units in the order of the statistics office."""

    items: list[UnitOut]


@router.get(
    "", response_model=UnitsOut, summary="List administrative units", responses=documented(422),
    dependencies=[Depends(need("unit.read"))],
)  # fmt: skip
async def list_units(parent: UnitCode | None = None) -> UnitsOut:
    """All of them, or those directly below `parent`."""
    chosen = [unit for unit in units() if parent in (None, unit.parent)]
    return UnitsOut(items=[UnitOut(**vars(unit)) for unit in chosen])
