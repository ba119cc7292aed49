"""The HTTP API under /api/v1, one module a resource; routes parse, call one service, map.

``routers()`` is the list the app factory includes. Every route declares its need (``gateway.door``).
"""

from __future__ import annotations

from fastapi import APIRouter

from gateway.api import (
    camera_health,
    detectors,
    households,
    incidents,
    live,
    models,
    people,
    readings,
    session,
    sites,
    units,
)

PREFIX = "/api/v1"


def routers() -> list[APIRouter]:
    """Every router of the API."""
    return [
        session.router,
        sites.router,
        households.router,
        detectors.router,
        models.router,
        camera_health.router,
        incidents.router,
        readings.router,
        live.router,
        people.router,
        units.router,
    ]
