"""The cookie of a signed-in browser: never readable by script, over TLS bound to this very host."""

from __future__ import annotations

from fastapi import Request, Response

from edge.wire.clock import US_PER_S
from gateway.door import cookie_name
from registry.identity import ABSOLUTE_US


def give(response: Response, request: Request, token: str) -> None:
    """The browser keeps this session."""
    response.set_cookie(
        cookie_name(request), token, max_age=ABSOLUTE_US // US_PER_S, path="/", httponly=True,
        samesite="lax", secure=request.url.scheme == "https",
    )  # fmt: skip


def take(response: Response, request: Request) -> None:
    """The browser forgets its session."""
    response.delete_cookie(
        cookie_name(request), path="/", secure=request.url.scheme == "https", httponly=True
    )


def given(request: Request) -> str | None:
    """The session the browser has."""
    return request.cookies.get(cookie_name(request))
