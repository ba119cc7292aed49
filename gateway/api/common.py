"""What the resources share: pages by cursor, ETags, times as people read them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import ColumnElement, SQLColumnExpression, false, or_

from edge.wire.clock import rfc3339
from gateway.problems import ProblemError, wrong_field
from registry.rights import Reach
from registry.values import check_storable

#: Rows of one page: what a screen holds by default, and what one answer may cost.
DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500


Item = TypeVar("Item")
#: ``edge.wire.identity.SITE_PATTERN`` as pydantic's engine and OpenAPI read it: ``$`` is the very end.
_SITE_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
SiteId = Annotated[str, Field(pattern=_SITE_PATTERN, examples=["khoroo-1116-07"])]
ObjectId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
UnitCode = Annotated[
    str, Field(pattern=r"^[0-9]{2,8}$", description="code of a district or khoroo", examples=["111663"])
]
Language = Annotated[str, Field(pattern="^(mn|en)$", examples=["mn"])]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="rows of a page")]
#: A text in a query string: PostgreSQL takes no NUL.
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the page before; opaque")]
IfMatch = Annotated[str | None, Header(description="the ETag of what you read; required")]


class Wanted(BaseModel):
    """The base of request bodies: unknown fields and control characters are refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        return check_storable(value)


class Page(BaseModel, Generic[Item]):
    """Some rows, and the cursor of the next page if there is one."""

    items: list[Item]
    next: str | None = Field(default=None, description="send it as `cursor` to go on")


def at(time_us: int | None) -> str | None:
    """µs UTC as RFC 3339 text."""
    return None if time_us is None else rfc3339(time_us)


def encode_cursor(*key: Any) -> str:
    """A cursor behind the row with this sort key."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, *kinds: type) -> list[Any] | None:
    """The sort key in a cursor. Raises ``ProblemError`` if it is none of ours."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if len(key) != len(kinds) or not all(map(isinstance, key, kinds)):
            raise ValueError
        check_storable(key)
    except (ValueError, TypeError, RecursionError):
        raise wrong_field("query.cursor", "no cursor of this list; leave it out to begin") from None
    return list(key)


def page_of(rows: list[Any], limit: int, key: Any) -> tuple[list[Any], str | None]:
    """The page in ``limit + 1`` rows asked for, and the cursor behind it if there are more."""
    if len(rows) <= limit:
        return rows, None
    kept = rows[:limit]
    return kept, encode_cursor(*key(kept[-1]))


def within(reach: Reach, *columns: SQLColumnExpression[str | None]) -> list[ColumnElement[bool]]:
    """The conditions that keep a list inside the asker's reach, by the rows' unit code columns."""
    if reach.everywhere:
        return []
    inside = [
        column.startswith(code, autoescape=True) for column in columns for code in reach.unit_codes
    ]
    return [or_(false(), *inside)]


def within_place(
    reach: Reach,
    unit: SQLColumnExpression[str | None],
    organisation: SQLColumnExpression[str | None],
) -> list[ColumnElement[bool]]:
    """As ``within``, for rows that also lie with an organisation."""
    if reach.everywhere:
        return []
    inside = [unit.startswith(code, autoescape=True) for code in reach.unit_codes]
    for code, owner in reach.owners:
        mine = organisation == owner
        inside.append(mine if code is None else mine & unit.startswith(code, autoescape=True))
    return [or_(false(), *inside)]


def etag_of(*parts: Any) -> str:
    """A strong ETag over what can be edited."""
    text = json.dumps(parts, sort_keys=True, default=lambda blob: blob.blob.hex())
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def check_match(if_match: str | None, etag: str) -> None:
    """Raises ``ProblemError`` 428 without If-Match, 412 when it changed since it was read."""
    if if_match is None:
        raise ProblemError(428, "precondition-required", "Send If-Match with the ETag of what you read")
    if if_match.strip() != "*" and etag not in [tag.strip() for tag in if_match.split(",")]:
        raise ProblemError(
            412, "changed-meanwhile", "Somebody changed it meanwhile",
            "read it again, look at both versions, and send your change with the new ETag",
            headers={"ETag": etag},
        )  # fmt: skip


def set_etag(response: Response, etag: str) -> None:
    response.headers["ETag"] = etag


def differences(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Only what changed, before and after, for the audit."""
    names = [name for name in after if before.get(name) != after[name]]
    return {name: before.get(name) for name in names}, {name: after[name] for name in names}
