"""Is it alive, is it ready, and what can it do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from gateway.door import need, rooms
from gateway.problems import ProblemError, documented

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """It answers."""

    status: str


@router.get(
    "/healthz", response_model=Health, summary="Alive", dependencies=[Depends(need("health.read"))]
)
async def healthz() -> Health:
    """The process answers; nothing else is asked."""
    return Health(status="alive")


@router.get(
    "/readyz", response_model=Health, summary="Ready", responses=documented(503),
    dependencies=[Depends(need("health.read"))],
)  # fmt: skip
async def readyz(request: Request) -> Health:
    """The database answers, and no part of this process waits for something that is away."""
    city = rooms(request)
    await city.database.check()
    if city.troubles:
        waiting = "; ".join(f"{part}: {why}" for part, why in sorted(city.troubles.items()))
        raise ProblemError(503, "not-ready", "A part of the city is waiting", waiting)
    return Health(status="ready")


@router.get(
    "/api/v1/openapi.json", summary="This description",
    dependencies=[Depends(need("openapi.read"))],
)  # fmt: skip
async def openapi(request: Request) -> dict[str, Any]:
    """OpenAPI."""
    description: dict[str, Any] = request.app.openapi()
    return description
