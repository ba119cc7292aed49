"""Every error as RFC 9457 problem details: the one module that knows both domain errors and HTTP.

``type`` is ``urn:utaa:problem:<word>`` and closed; ``title`` goes with it; ``detail`` is about this
request; ``errors`` names wrong fields. What was sent is never repeated: it may be personal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from starlette.exceptions import HTTPException

from alerts.incidents import IncidentError
from gateway.door import CSRF_HEADER, BadToken, CsrfMissing
from registry.accounts.factors import WrongCode
from registry.audit import ReasonMissing
from registry.cameras.twins import Held
from registry.db import DatabaseUnavailable
from registry.editing import ChangedMeanwhile, values_of
from registry.evidence import Incomplete
from registry.files import FileMissing, FileRefused
from registry.identity import BadLogin, SecondFactorNeeded, Throttled, WrongCredentials
from registry.passwords import WeakPassword
from registry.requests.workflow import PolicyError
from registry.rights import Forbidden
from registry.sealed import KeyringError
from registry.sites import Conflict, NoSuch
from registry.steps import StepRefused

MEDIA_TYPE: Final = "application/problem+json"
_PREFIX: Final = "urn:utaa:problem:"
log = structlog.get_logger("gateway.http")


class FieldError(BaseModel):
    """One wrong field."""

    field: str = Field(description="where, as a dotted path from `body`, `query`, `path` or `header`")
    detail: str = Field(description="what is wrong and what was expected")


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:utaa:problem:not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str | None = None
    errors: list[FieldError] | None = None
    seen: dict[str, Any] | None = Field(default=None, description="412: the version you read")
    current: dict[str, Any] | None = Field(default=None, description="412: as it is now")
    yours: dict[str, Any] | None = Field(
        default=None, description="412: what you sent; a sealed field is masked"
    )
    held_by: dict[str, str] | None = Field(
        default=None, description="409: `kind`, `id`, `name` of the record that has this already"
    )


@dataclass
class ProblemError(Exception):
    """A refusal that is about HTTP itself (a precondition, a cursor); domain errors have their own."""

    status: int
    word: str
    title: str
    detail: str | None = None
    errors: list[FieldError] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    #: further members of the problem, by name
    more: dict[str, Any] = field(default_factory=dict)


def wrong_field(name: str, detail: str) -> ProblemError:
    """A value that is well formed and still wrong."""
    return ProblemError(
        422, "invalid", "The request is not valid", errors=[FieldError(field=name, detail=detail)]
    )


_Maker = Callable[[Any], ProblemError]


def _forbidden(error: Forbidden) -> ProblemError:
    if error.reason == "not_signed_in":
        return _unauthorised("sign in, or send an API token")
    detail = {"no_role": "none of your roles allows it", "out_of_area": "it lies outside your area"}
    return ProblemError(403, "forbidden", "Not allowed", f"{error.action}: {detail[error.reason]}")


def _unauthorised(detail: str) -> ProblemError:
    return ProblemError(
        401, "not-signed-in", "Not signed in", detail, headers={"WWW-Authenticate": "Bearer"}
    )


def _throttled(error: Throttled) -> ProblemError:
    headers = {"Retry-After": str(error.retry_after_s)}
    return ProblemError(429, "too-many-attempts", "Too many attempts", str(error), headers=headers)


def _not_found(error: NoSuch) -> ProblemError:
    return ProblemError(404, "not-found", "Not found", str(error))


def _conflict(error: Conflict) -> ProblemError:
    errors = [FieldError(field=f"body.{error.field}", detail=str(error))]
    more = {}
    if isinstance(error, Held):
        more["held_by"] = {"kind": error.kind, "id": error.holder_id, "name": error.holder}
    return ProblemError(
        409, "conflict", "It contradicts what is recorded", str(error), errors, more=more
    )


def _changed_meanwhile(error: ChangedMeanwhile) -> ProblemError:
    return ProblemError(
        412, "changed-meanwhile", "Somebody changed it meanwhile",
        "look at both versions, and send your change with the new ETag",
        headers={"ETag": f'"{error.record.version}"'},
        more={"seen": error.seen, "current": values_of(error.record), "yours": error.wanted},
    )  # fmt: skip


def _incomplete(error: Incomplete) -> ProblemError:
    errors = [
        FieldError(field=f"body.{name}" if "." in name else name, detail=f"expected {what}")
        for name, what in error.missing.items()
    ]
    return ProblemError(
        422, "incomplete", "Something is missing for this step",
        "evidence is sent with the step; the other fields are the record's own", errors,
    )  # fmt: skip


def _step(error: StepRefused) -> ProblemError:
    status = {"same_person": 403, "not_a_person": 403, "not_yours": 403, "incomplete": 422}
    word = error.reason.replace("_", "-")
    return ProblemError(status.get(error.reason, 409), word, "The step is not taken", str(error))


def _incident(error: IncidentError) -> ProblemError:
    status = {"unknown_incident": 404, "unknown_alarm": 404, "unknown_cause": 422}
    word = error.reason.replace("_", "-")
    return ProblemError(status.get(error.reason, 409), word, error.reason.replace("_", " "), str(error))


def _database(error: Exception) -> ProblemError:
    log.error("http.database_unavailable", error=type(error).__name__)
    return ProblemError(
        503, "database-unavailable", "The database does not answer", headers={"Retry-After": "5"}
    )


def _http(error: HTTPException) -> ProblemError:
    title = HTTPStatus(error.status_code).phrase
    if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        title = "Content Too Large"  # RFC 9110's word for it; older Pythons have the older one
    word = title.lower().replace(" ", "-")
    detail = error.detail if error.detail != title else None
    return ProblemError(error.status_code, word, title, detail, headers=dict(error.headers or {}))


def _validation(error: RequestValidationError) -> ProblemError:
    errors = [
        FieldError(field=".".join(str(part) for part in item["loc"]), detail=item["msg"])
        for item in error.errors()
    ]
    return ProblemError(422, "invalid", "The request is not valid", errors=errors)


def _unexpected(_error: Exception) -> ProblemError:
    return ProblemError(500, "internal", "Something went wrong here; it has been recorded")


_MAKERS: Final[dict[type[Exception], _Maker]] = {
    ProblemError: lambda error: error,
    Forbidden: _forbidden,
    BadToken: lambda _: _unauthorised("the API token is unknown, expired or revoked"),
    CsrfMissing: lambda _: ProblemError(
        403, "csrf", "Not sent by our own page", f"send the session's token as {CSRF_HEADER}"
    ),
    WrongCredentials: lambda _: ProblemError(
        401, "wrong-credentials", "The login, password or code is wrong"
    ),
    SecondFactorNeeded: lambda _: ProblemError(
        401, "second-factor-needed", "A code is needed", "send `code` of your second factor too"
    ),
    WrongCode: lambda error: wrong_field("body.code", str(error)),
    Throttled: _throttled,
    BadLogin: lambda error: wrong_field("body.login", str(error)),
    WeakPassword: lambda error: wrong_field("body.password", str(error)),
    NoSuch: _not_found,
    Conflict: _conflict,
    ChangedMeanwhile: _changed_meanwhile,
    Incomplete: _incomplete,
    ReasonMissing: lambda error: wrong_field("body.reason", str(error)),
    StepRefused: _step,
    PolicyError: lambda error: ProblemError(
        503, "policy-wrong", "The city's days are none", str(error)
    ),
    FileRefused: lambda error: ProblemError(
        415, "unsupported-media-type", "Unsupported Media Type", str(error)
    ),
    FileMissing: lambda error: ProblemError(404, "not-found", "Not found", str(error)),
    IncidentError: _incident,
    IntegrityError: lambda _: ProblemError(
        409, "conflict", "It contradicts what is recorded", "somebody changed it just now; try again"
    ),
    KeyringError: lambda error: ProblemError(503, "key-missing", "A sealed field cannot be opened"),
    DatabaseUnavailable: _database,
    OperationalError: _database,
    InterfaceError: _database,
    ConnectionError: _database,
    HTTPException: _http,
    RequestValidationError: _validation,
    Exception: _unexpected,
}


def problem_of(error: Exception) -> ProblemError | None:
    """The problem a domain error is; None for one that nobody foresaw."""
    for kind in type(error).__mro__:
        if kind is not Exception and kind in _MAKERS:
            return _MAKERS[kind](error)
    return None


def response_of(problem: ProblemError) -> JSONResponse:
    """The problem as a response."""
    body = Problem(
        type=_PREFIX + problem.word,
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        errors=problem.errors,
        **problem.more,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True), problem.status, problem.headers, media_type=MEDIA_TYPE
    )


def install(app: FastAPI) -> None:
    """Let every exception leave as a problem, and describe problems once for all routes."""

    def handler(make: _Maker) -> Callable[[Request, Exception], Any]:
        async def handle(_request: Request, error: Exception) -> JSONResponse:
            return response_of(make(error))

        return handle

    for kind, make in _MAKERS.items():
        app.add_exception_handler(kind, handler(make))
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        description = generate()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        parts = {**schema.pop("$defs", {}), "Problem": schema}
        for name, part in parts.items():
            description["components"]["schemas"].setdefault(name, part)
        return description

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """``responses=`` of a route: these statuses, as problems.

    The schema is named, not given as a model: FastAPI would build that anew for every status of every
    route, which was a third of a gateway's start.
    """
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses
    }
