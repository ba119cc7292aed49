"""What the city counts of itself, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from gateway.city import City
from gateway.door import need
from gateway.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])


@router.get("/metrics", summary="Metrics", dependencies=[Depends(need("metrics.read"))])
async def metrics(request: Request) -> Response:
    """Counters and gauges in Prometheus' text format."""
    city: City = request.app.state.city
    return Response(city.metrics.text(), media_type=CONTENT_TYPE)
