"""Look-ups in KHUR by people of the office, each with its reason."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Request
from pydantic import BaseModel, Field

from gateway.api.common import Wanted, at
from gateway.api.records import act_of
from gateway.api.router import api_router
from gateway.door import Asker, need, rooms
from gateway.problems import ProblemError, documented, wrong_field
from registry.khur.client import Kind
from registry.khur.lookup import NoAdapter, look_up

router = api_router("/khur", tags=["khur"])
_Asker = Annotated[Asker, Depends(need("khur.ask"))]
_Reason = Annotated[str, Field(min_length=5, max_length=500, description="why; it is recorded")]


class EntityIn(Wanted):
    """A legal entity."""

    register_number: Annotated[str, Field(min_length=1, max_length=20, examples=["2000001"])]
    reason: _Reason


class AddressIn(Wanted):
    """An address."""

    address_code: Annotated[str, Field(min_length=1, max_length=40, repr=False)]
    reason: _Reason


class LookedOut(BaseModel):
    """What KHUR says. Without an answer the outcome says why."""

    outcome: Literal["found", "unknown", "refused", "busy", "unreachable", "unreadable"]
    record: dict[str, str]
    cached: bool
    asked_at: str | None
    valid_until: str | None
    retry_after_s: int | None


async def _ask(request: Request, asker: Asker, kind: Kind, question: str, reason: str) -> LookedOut:
    city = rooms(request)
    name = "register_number" if kind == "legal_entity" else "address_code"
    try:
        looked = await look_up(
            city.database, city.keyring, city.khur, act_of(request, asker, reason), kind, question
        )
    except NoAdapter as error:
        raise ProblemError(503, "khur-missing", "KHUR is not connected", str(error)) from None
    except ValueError as error:
        raise wrong_field(f"body.{name}", str(error)) from None
    answer = looked.answer
    return LookedOut(
        outcome=answer.outcome, record=answer.content, cached=looked.cached,
        asked_at=at(looked.asked_us), valid_until=at(answer.valid_until_us),
        retry_after_s=answer.retry_after_s,
    )  # fmt: skip


@router.post(
    "/legal-entity", response_model=LookedOut, summary="Look up a legal entity",
    responses=documented(401, 403, 422, 503),
)  # fmt: skip
async def post_entity(body: EntityIn, request: Request, asker: _Asker) -> LookedOut:
    """By its register number of 7 digits."""
    return await _ask(request, asker, "legal_entity", body.register_number, body.reason)


@router.post(
    "/address", response_model=LookedOut, summary="Look up an address",
    responses=documented(401, 403, 422, 503),
)  # fmt: skip
async def post_address(body: AddressIn, request: Request, asker: _Asker) -> LookedOut:
    """By its code in the state's address register."""
    return await _ask(request, asker, "address", body.address_code, body.reason)
