"""What links cost: entering it, and the report per organisation."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from gateway.api.common import ObjectId, Wanted, at
from gateway.api.files import Mnt, file_response
from gateway.api.resource import Fields, Resource, add
from gateway.api.router import api_router
from gateway.door import Asker, need, rooms
from gateway.problems import documented, wrong_field
from registry.costs import report as reports
from registry.costs.models import LinkCost
from registry.inspections.service import check_organisation
from registry.rights import Place
from registry.sites import Conflict

router = api_router(tags=["costs"])
_Everywhere = Annotated[Asker, Depends(need("cost.read"))]
_Name = Annotated[str, Field(min_length=1, max_length=100)]
_Month = Annotated[str, Query(pattern=r"^2[01][0-9]{2}-(0[1-9]|1[0-2])$", examples=["2026-11"])]


class CostIn(Wanted):
    """What one link costs a month, from a day to a day (both included)."""

    link: Annotated[str, Field(min_length=1, max_length=100, description="what the link is called")]
    organisation_id: ObjectId
    provider: Annotated[str, Field(min_length=1, max_length=200)]
    contract: Annotated[str, Field(max_length=100)] = ""
    monthly_mnt: Mnt
    from_on: date
    until_on: date | None = None
    note: Annotated[str, Field(max_length=4000)] = ""


class CostPatch(CostIn):
    """Only the fields sent change."""

    link: _Name = "-"
    organisation_id: ObjectId = "-"
    provider: _Name = "-"
    monthly_mnt: Mnt = 0
    from_on: date = date(2000, 1, 1)


class CostOut(BaseModel):
    """What one link costs."""

    id: str
    link: str
    organisation_id: str
    provider: str
    contract: str
    monthly_mnt: int
    from_on: date
    until_on: date | None
    note: str
    version: int
    removed_at: str | None


class RowOut(BaseModel):
    """What an organisation's links cost in a period."""

    organisation_id: str
    organisation: str
    period: str
    links: int
    amount_mnt: int


class Report(BaseModel):
    """By organisation and period, and all together."""

    items: list[RowOut]
    total_mnt: int


def _show(row: Any) -> CostOut:
    names = [name for name in CostOut.model_fields if name != "removed_at"]
    return CostOut(**{name: getattr(row, name) for name in names}, removed_at=at(row.gone_us))


async def _check(session: Any, row: LinkCost | None, fields: Fields) -> None:
    await check_organisation(session, fields.get("organisation_id"))
    first = fields.get("from_on", getattr(row, "from_on", None))
    last = fields.get("until_on", getattr(row, "until_on", None))
    if first is not None and last is not None and last < first:
        raise Conflict("until_on", "it ends before it begins")


async def _place(_session: Any, row: LinkCost) -> Place:
    return Place(organisation_id=row.organisation_id)


@router.get(
    "/costs/report", response_model=Report, summary="Costs per organisation",
    responses={
        **documented(401, 403, 422),
        200: {"description": "OK", "content": {"text/csv": {"schema": {"type": "string"}}}},
    },
)  # fmt: skip
async def get_report(
    request: Request,
    asker: _Everywhere,
    first: _Month,
    last: _Month,
    by: Literal["month", "year"] = "month",
    organisation: ObjectId | None = None,
    format: Literal["json", "csv"] = "json",
) -> Any:
    """A month covered in part counts by its days; whole tögrög."""
    async with rooms(request).database.read() as session:
        try:
            rows = await reports.report(
                session, reports.month_of(first), reports.month_of(last),
                by_year=by == "year", organisation_id=organisation,
            )  # fmt: skip
        except ValueError as error:
            raise wrong_field("query.last", str(error)) from None
    if format == "csv":
        name = f"costs-{first}-{last}.csv"
        return file_response(reports.as_csv(rows).encode(), "text/csv; charset=utf-8", name)
    items = [RowOut(**vars(row)) for row in rows]
    return Report(items=items, total_mnt=sum(row.amount_mnt for row in rows))


add(
    router,
    Resource(
        path="/costs", noun="cost", table=LinkCost, body=CostIn, patch=CostPatch, out=CostOut,
        read="cost.read", write="cost.write", order=(LinkCost.link, LinkCost.id), check=_check,
        place=_place, show=_show,
    ),
)  # fmt: skip
