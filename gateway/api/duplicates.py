"""The worklist of records that are perhaps one, and the decision that they are two."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Request
from pydantic import BaseModel, Field

from gateway.api.common import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    ObjectId,
    Page,
    Wanted,
    at,
    decode_cursor,
    encode_cursor,
)
from gateway.api.records import act_of, one
from gateway.api.router import api_router
from gateway.door import Asker, allow, need, rooms
from gateway.problems import documented
from registry.cameras.models import Camera
from registry.duplicates.worklist import pairs, say_two
from registry.models import Organisation
from registry.rights import Place

router = api_router("/duplicates", tags=["duplicates"])
_Reader = Annotated[Asker, Depends(need("duplicate.read", by_object=True))]
_Decider = Annotated[Asker, Depends(need("duplicate.decide", by_object=True))]
KindName = Literal["camera", "organisation"]


class PairOut(BaseModel):
    """Two records that look like one; merge them at their own address, or say that they are two."""

    kind: str
    first_id: str
    second_id: str
    first: str
    second: str
    why: str = Field(description="serial, mac, ip (the same), near (3 m and 15°) or alike (names)")


class TwoIn(Wanted):
    """These are two."""

    kind: KindName
    first_id: ObjectId
    second_id: ObjectId
    reason: Annotated[str, Field(max_length=300)] = ""


class TwoOut(BaseModel):
    """The decision, remembered."""

    kind: str
    first_id: str
    second_id: str
    actor: str
    reason: str
    decided_at: str | None


@router.get(
    "", response_model=Page[PairOut], summary="Possible duplicates", responses=documented(401, 403, 422)
)
async def list_pairs(
    request: Request, asker: _Reader, kind: KindName = "camera",
    limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None,
) -> Page[PairOut]:  # fmt: skip
    """Pairs nobody has decided about."""
    key = decode_cursor(cursor, str, str)
    after = (key[0], key[1]) if key is not None else None
    async with rooms(request).database.read() as session:
        found = await pairs(session, kind, asker.reach, after=after, limit=limit + 1)
    page = found[:limit]
    more = encode_cursor(page[-1].first_id, page[-1].second_id) if len(found) > limit else None
    return Page(items=[PairOut(**vars(pair)) for pair in page], next=more)


@router.post(
    "/decisions", status_code=201, response_model=TwoOut, summary="These are two",
    responses=documented(401, 403, 404, 422),
)  # fmt: skip
async def post_decision(body: TwoIn, request: Request, asker: _Decider) -> TwoOut:
    """The pair leaves the worklist for good; saying it again changes nothing."""
    act = act_of(request, asker, body.reason or None)
    async with rooms(request).database.write() as session:
        for own_id in (body.first_id, body.second_id):
            table: type[Camera] | type[Organisation] = Camera if body.kind == "camera" else Organisation
            record = await one(session, table, own_id)
            allow(asker, "duplicate.decide", Place(unit_code=record.unit_code))
        made = await say_two(session, act, body.kind, body.first_id, body.second_id)
    return TwoOut(
        kind=made.kind, first_id=made.first_id, second_id=made.second_id, actor=made.actor,
        reason=made.reason, decided_at=at(made.decided_us),
    )  # fmt: skip
