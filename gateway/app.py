"""The HTTP door put together: routers, errors, headers, limits.

``create_app(city)`` returns the application; it refuses to be built with a route that declares no need.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import problems
from gateway.api import PREFIX, health, metrics, routers
from gateway.door import Rooms, check_declared
from gateway.limits import Limits, Patience, Proxies, RateLimit
from registry.files import MAX_FILE_BYTES
from registry.identity import Identity
from registry.importing import bounds

#: A request's body; a bulk registration of 500 detectors is about 100 kB.
MAX_BODY_BYTES: Final = 1 << 20
#: Where a whole file is the body, and how long one may be.
_UPLOADS: Final = (
    (re.compile(r"/api/v1/specifications/[^/]+/attachments"), MAX_FILE_BYTES),
    (re.compile(r"/api/v1/imports"), bounds.MAX_FILE_BYTES),
    # the same as parts of a page's form, with its other fields
    (re.compile(r"/specifications/[^/]+/attachments"), MAX_FILE_BYTES + MAX_BODY_BYTES),
    (re.compile(r"/imports"), bounds.MAX_FILE_BYTES + MAX_BODY_BYTES),
)
#: The pages need nothing from elsewhere but map tiles, where the city has named a server; styles are
#: set by script, not written inline. The label reader runs in a worker that it makes itself.
_CSP: Final = (
    "default-src 'self'; img-src 'self' data: blob:{tiles}; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(self)",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: Half a year; only ever sent over TLS.
_HSTS: Final = "max-age=31536000; includeSubDomains"


def _too_large(limit: int) -> problems.ProblemError:
    return problems.ProblemError(
        413, "content-too-large", "Content Too Large", f"a body has at most {limit} bytes"
    )


def csp(tile_url: str | None) -> str:
    """The content security policy: this site alone, and the tile server if there is one."""
    parts = urlsplit(tile_url or "")
    return _CSP.format(tiles=f" {parts.scheme}://{parts.netloc}" if parts.netloc else "")


class SecurityHeaders:
    """Adds the strict headers to every answer; answers of the API are never cached."""

    def __init__(self, app: ASGIApp, tile_url: str | None = None) -> None:
        self._app = app
        self._headers = {**_HEADERS, "Content-Security-Policy": csp(tile_url)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(PREFIX):
                    headers.setdefault("Cache-Control", "no-store")
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", _HSTS)
            await send(message)

        await self._app(scope, receive, sending)


class BodyLimit:
    """Refuses a body that says it is too large at once, and one that turns out so while it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = _limit_of(scope["path"])
        stated = Headers(scope=scope).get("content-length", "0")
        if not stated.isdigit() or int(stated) > limit:
            await problems.response_of(_too_large(limit))(scope, receive, send)
            return
        taken = 0

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(_too_large(limit).status)
            return message

        await self._app(scope, receiving, send)


def _limit_of(path: str) -> int:
    return next((limit for where, limit in _UPLOADS if where.fullmatch(path)), MAX_BODY_BYTES)


def create_app(
    city: Rooms,
    *,
    extra: Sequence[APIRouter] = (),
    identity: Identity | None = None,
    tile_url: str | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """The application over an open city. ``extra`` are routers outside /api/v1, such as the pages.

    Without ``limits`` nobody is asked to wait and no proxy is believed.
    """
    app = FastAPI(
        title="Utaa",
        version=version("utaa"),
        description=(
            "Smoke and CO alarms of a city: its register, readings, incidents and who was told. "
            "Times are RFC 3339 UTC. Lists go on by `cursor`. Changes need `If-Match`. "
            "Errors are RFC 9457 problem details. Sign in by session cookie (unsafe methods with "
            "`X-CSRF-Token`) or send `Authorization: Bearer`."
        ),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.city = city
    app.state.identity = identity or Identity(city.database, city.clock, keyring=city.keyring)
    problems.install(app)
    for router in (health.router, metrics.router, *routers(), *extra):
        app.router.routes.extend(router.routes)  # see gateway.api.router
    app.add_middleware(BodyLimit)
    app.add_middleware(Patience)
    if limits is not None:
        app.add_middleware(RateLimit, limits=limits)
    app.add_middleware(SecurityHeaders, tile_url=tile_url)
    if limits is not None:
        app.add_middleware(Proxies, trusted=limits.proxies)
    check_declared(app)
    return app
