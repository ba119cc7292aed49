"""The city officer's pages: cameras, homes, imports, specifications, fibre, audit, reports, works.

Each module is one room of the office: it parses an address or a form, makes one call to a service and
renders a template of ``templates/officer``. Rights and records are those of the API.
"""

from __future__ import annotations

from fastapi import APIRouter

from gateway.web.officer import (
    audit,
    camera_form,
    camera_record,
    cameras,
    detectors,
    fibre,
    households,
    imports,
    reports,
    requests,
    specifications,
    works,
)


def routers() -> list[APIRouter]:
    """Every router of these pages; an address with a fixed word before one with an id."""
    rooms = (cameras, camera_form, camera_record, detectors, households, imports, specifications, fibre,
             audit, reports, works, requests)  # fmt: skip
    return [room.router for room in rooms]
