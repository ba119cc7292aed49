"""The HTTP API under /api/v1, one module a resource; routes parse, call one service, map.

``routers()`` is the list the app factory includes. Every route declares its need (``gateway.door``).
"""

from __future__ import annotations

from fastapi import APIRouter

from gateway.api import (
    account,
    camera_health,
    camera_maps,
    camera_models,
    cameras,
    costs,
    detector_life,
    detectors,
    duplicates,
    duty,
    exports,
    fibre,
    fibre_works,
    fieldwork,
    history,
    home_links,
    households,
    imports,
    incident_desk,
    incidents,
    inspections,
    khur,
    labels,
    live,
    models,
    organisations,
    people,
    person_life,
    personal,
    reaching,
    readings,
    requests,
    search,
    servers,
    session,
    sites,
    specifications,
    units,
)
from gateway.api.router import PREFIX

__all__ = ["PREFIX", "routers"]


def routers() -> list[APIRouter]:
    """Every router of the API."""
    return [
        session.router,
        account.router,
        sites.router,
        households.router,
        detectors.router,
        detector_life.router,
        models.router,
        camera_models.router,
        camera_maps.router,
        cameras.router,
        fibre.router,
        fibre_works.router,
        fieldwork.router,
        camera_health.router,
        incidents.router,
        incident_desk.router,
        home_links.router,
        duty.router,
        reaching.router,
        readings.router,
        live.router,
        people.router,
        person_life.router,
        personal.router,
        units.router,
        search.router,
        search.views,
        imports.router,
        exports.router,
        duplicates.router,
        organisations.router,
        history.router,
        specifications.router,
        servers.router,
        inspections.router,
        requests.router,
        costs.router,
        khur.router,
        labels.router,
    ]
