"""Exports: a kind of records as a file, streamed; and cameras as open data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import ColumnElement, Select, select

from gateway.api.common import Language, ObjectId, SiteId, Text, UnitCode, within
from gateway.api.records import act_of
from gateway.api.router import api_router
from gateway.api.search import Box, Corners, Words, chosen_by
from gateway.door import Asker, need, rooms
from gateway.problems import documented
from registry import acts
from registry.cameras.life import CameraState
from registry.detector_life import DetectorStatus
from registry.exporting.service import Question, export
from registry.exporting.writers import MEDIA_TYPES
from registry.importing.kinds import kind_named
from registry.models import Site
from registry.organisations import OrganisationKind
from registry.rights import Action, require, require_somewhere

router = api_router("/exports", tags=["exports"])
_Exporter = Annotated[Asker, Depends(need("register.export", by_object=True))]
KindName = Literal["cameras", "camera-models", "organisations", "households", "detectors", "open-data"]
_READ: Final[dict[str, Action]] = {
    "cameras": "camera.read", "camera-models": "camera.read", "organisations": "organisation.read",
    "households": "household.read", "detectors": "detector.read", "open-data": "camera.read",
}  # fmt: skip
_FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "the file",
        "content": {kind.partition(";")[0]: {} for kind in MEDIA_TYPES.values()},
    }
}


def _filters(
    unit: UnitCode | None = None,
    organisation: ObjectId | None = None,
    state: CameraState | None = None,
    model: ObjectId | None = None,
    number: Text | None = None,
    maker: Text | None = None,
    own_kind: Annotated[OrganisationKind | None, Query(alias="kind")] = None,
    parent: ObjectId | None = None,
    site: SiteId | None = None,
    label: Text | None = None,
    status: DetectorStatus | None = None,
    source: Text | None = None,
    address: Text | None = None,
    household: ObjectId | None = None,
    q: Words | None = None,
    bbox: Box | None = None,
    polygon: Corners | None = None,
) -> dict[str, str | None]:
    """By name; which of them a kind takes, its list knows."""
    return {
        "unit": unit, "organisation": organisation, "state": state, "model": model, "number": number,
        "maker": maker, "kind": own_kind, "parent": parent, "site": site, "label": label,
        "status": status, "source": source, "address": address, "household": household, "q": q,
        "bbox": bbox, "polygon": polygon,
    }  # fmt: skip


@router.get(
    "/{kind}", response_class=StreamingResponse, summary="Export records",
    responses={**_FILES, **documented(401, 403, 422)},
)  # fmt: skip
async def get_export(
    kind: KindName,
    request: Request,
    asker: _Exporter,
    filters: Annotated[dict[str, str | None], Depends(_filters)],
    format: Literal["xlsx", "csv", "geojson"] = "xlsx",
    language: Language = "mn",
) -> StreamingResponse:
    """Under the import's own headings, without personal and secret fields; open data is GeoJSON.

    The filters are those of the kind's list, all at once; one that the list has not is refused.
    """
    city = rooms(request)
    wanted: Any = "geojson" if kind == "open-data" else format
    inside = _conditions(asker, kind)
    async with city.database.read() as session:
        chosen = await chosen_by(session, kind, filters)
    question = Question(kind, wanted, language, [*inside, *chosen])
    used = sorted(name for name, value in filters.items() if value is not None)
    async with city.database.write() as session:
        await acts.record(session, act_of(request, asker), "register.export", "export", kind,
                          after={"format": wanted, "filters": used})  # fmt: skip

    async def pieces() -> AsyncIterator[bytes]:
        async with city.database.read() as reading:
            async for piece in export(reading, question):
                yield piece

    headers = {"Content-Disposition": f'attachment; filename="{kind}.{wanted}"'}
    return StreamingResponse(pieces(), media_type=MEDIA_TYPES[wanted], headers=headers)


def _conditions(asker: Asker, kind: str) -> list[ColumnElement[bool]]:
    """What of the kind the asker may read at all."""
    if kind == "open-data":
        require(asker.actor, "camera.read")
        return []
    reach = require_somewhere(asker.actor, _READ[kind])
    if reach.everywhere:
        return []
    table = kind_named(kind).table
    if hasattr(table, "unit_code"):
        return within(reach, table.unit_code)
    if hasattr(table, "site_id"):
        inside: Select[Any] = select(Site.id).where(*within(reach, Site.unit_code))
        return [table.site_id.in_(inside)]
    return []
