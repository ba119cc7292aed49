"""What a page says when it refuses: the problems of the API as pages for people.

``PageRoute`` is a router's ``route_class``. Whoever is not signed in goes to the door and comes back;
no right, not found, changed meanwhile and the rest are pages in the visitor's language.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from gateway.door import Asker, origin_of
from gateway.problems import ProblemError, problem_of
from gateway.web.page import page_of
from registry.rights import ANYBODY, Reach

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose refusals are pages."""

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            _leave_out_empty(request)
            try:
                return await handle(request)
            except Exception as error:
                problem = problem_of(error)
                if problem is None:
                    raise
                return refusal(request, problem)

        return answer


def _leave_out_empty(request: Request) -> None:
    """A filter's form sends every field; an empty one is no wish, and no wrong state, unit or place."""
    said = parse_qsl(request.url.query, keep_blank_values=True)
    kept = [(name, value) for name, value in said if value]
    if len(kept) < len(said):
        request.scope["query_string"] = urlencode(kept).encode()
        for cached in ("_url", "_query_params"):
            request.__dict__.pop(cached, None)


def refusal(request: Request, problem: ProblemError) -> Response:
    """The page of a problem."""
    if problem.status == 401 and request.method == "GET":
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/signin?{urlencode({'next': path})}", 303)
    values: dict[str, Any] = {
        "kind": problem.status,
        "word": problem.word,
        "detail": problem.detail,
        "errors": problem.errors or [],
        "seen": problem.more.get("seen") or {},
        "current": problem.more.get("current") or {},
        "yours": problem.more.get("yours") or {},
        "back": request.url.path,
    }
    response = page_of("refused.html", request, _asker(request), status=problem.status, **values)
    response.headers.update(problem.headers)
    return response


def _asker(request: Request) -> Asker:
    actor, known = getattr(request.state, "utaa_who", (ANYBODY, None))
    return Asker(actor, origin_of(request), Reach(False), known)
