"""Addresses of signing in by a provider: out, back, and a code of the second factor if there is one."""

from __future__ import annotations

from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from gateway import session_cookie
from gateway.door import Asker, identity, need, origin_of, rooms
from gateway.signin.provider import TICKET_US, Provider, ProviderError
from gateway.web.page import page_of, words_of
from gateway.web.routes import inside
from registry.accounts.failures import Throttled
from registry.accounts.outside import OutsideAccounts
from registry.identity import SecondFactorNeeded, WrongCredentials
from registry.sites import NoSuch

router = APIRouter(tags=["pages"], include_in_schema=False)
Anybody = Annotated[Asker, Depends(need("page.read"))]
_COOKIE: Final = "utaa_signin"
_CALLBACK: Final = "/signin/provider/callback"
log = structlog.get_logger("gateway.signin")


def provider_of(request: Request) -> Provider | None:
    """The provider of this city; None: none is set."""
    found: Provider | None = getattr(request.app.state, "provider", None)
    return found


def _provider(request: Request) -> Provider:
    found = provider_of(request)
    if found is None:
        raise NoSuch("provider", "none is set")
    return found


def _name(request: Request) -> str:
    return f"__Host-{_COOKIE}" if request.url.scheme == "https" else _COOKIE


def _keep(response: Response, request: Request, ticket: str) -> None:
    response.set_cookie(
        _name(request), ticket, max_age=TICKET_US // 1_000_000, path="/", httponly=True,
        samesite="lax", secure=request.url.scheme == "https",
    )  # fmt: skip


def _callback(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{_CALLBACK}"


@router.get("/signin/provider")
async def begin(request: Request, asker: Anybody, next: str = "/") -> Response:
    """To the provider, with a ticket to come back by."""
    try:
        address, ticket = await _provider(request).begin(_callback(request), inside(next))
    except ProviderError as error:
        return _failed(request, asker, error)
    response = RedirectResponse(address, 303)
    _keep(response, request, ticket)
    return response


@router.get(_CALLBACK)
async def callback(request: Request, asker: Anybody) -> Response:
    """Back from the provider: signed in, or a code for the administrator."""
    provider, city = _provider(request), rooms(request)
    try:
        named = await provider.finish(
            request.cookies.get(_name(request), ""), dict(request.query_params), _callback(request)
        )
    except ProviderError as error:
        return _failed(request, asker, error)
    visitors = OutsideAccounts(city.database, city.keyring, city.clock)
    seen = await visitors.seen(
        provider.settings.name, named.issuer, named.subject, origin=origin_of(request)
    )
    if seen.person_id is None:
        return _forgotten(
            page_of("provider.html", request, asker, status=403, kind="unlinked", code=seen.code,
                    problem=None),
            request,
        )  # fmt: skip
    return await _enter(request, asker, seen.person_id, named.next, None)


@router.post("/signin/provider/code")
async def second_factor(
    request: Request, asker: Anybody, code: Annotated[str, Form(max_length=20)]
) -> Response:
    """The code of the second factor, after the provider has said who it is."""
    try:
        kept = _provider(request).open(request.cookies.get(_name(request), ""))
        person_id, next = kept["person"], kept["next"]
    except (ProviderError, KeyError):
        return _failed(request, asker, ProviderError("ticket", "code"))
    return await _enter(request, asker, person_id, next, code)


async def _enter(
    request: Request, asker: Asker, person_id: str, next: str, code: str | None
) -> Response:
    provider = _provider(request)
    try:
        session = await identity(request).sign_in_by_provider(
            person_id, code=code, trusted=provider.settings.trusted_second_factor,
            origin=origin_of(request), old_token=session_cookie.given(request),
        )  # fmt: skip
    except (SecondFactorNeeded, WrongCredentials, Throttled) as error:
        words = words_of(request)
        problem = None if isinstance(error, SecondFactorNeeded) else words("Wrong name or password.")
        if isinstance(error, WrongCredentials):
            problem = words("This code is wrong or was used.")
        elif isinstance(error, Throttled):
            problem = words("Too many attempts. Wait a little and try again.")
        status = 429 if isinstance(error, Throttled) else 401
        response = page_of(
            "provider.html", request, asker, status=status, kind="code", code=None, problem=problem
        )
        _keep(response, request, provider.seal({"person": person_id, "next": next}))
        return response
    response = RedirectResponse(inside(next), 303)
    session_cookie.give(response, request, session.token)
    return _forgotten(response, request)


def _failed(request: Request, asker: Asker, error: ProviderError) -> Response:
    log.warning("signin.provider_failed", reason=error.reason)
    response = page_of(
        "provider.html", request, asker, status=502 if error.reason == "unreachable" else 400,
        kind="failed", code=None, problem=None,
    )  # fmt: skip
    return _forgotten(response, request)


def _forgotten(response: Response, request: Request) -> Response:
    response.delete_cookie(
        _name(request), path="/", secure=request.url.scheme == "https", httponly=True
    )
    return response
