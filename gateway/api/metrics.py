"""What the city counts of itself, for Prometheus."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.city import City
from gateway.door import Asker, need
from gateway.metrics import CONTENT_TYPE
from gateway.problems import documented
from registry.rights import require

router = APIRouter(tags=["health"])


@router.get("/metrics", summary="Metrics", responses=documented(401, 403))
async def metrics(request: Request, asker: Annotated[Asker, Depends(need("health.read"))]) -> Response:
    """Counters and gauges in Prometheus' text format. A token of a role that may, unless the gateway
    runs with `open_metrics`."""
    city: City = request.app.state.city
    if not city.settings.open_metrics:
        require(asker.actor, "metrics.read")
    return Response(city.metrics.text(), media_type=CONTENT_TYPE)
