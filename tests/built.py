"""Applications built once for a whole process of tests: building one costs more than most tests.

Every test gets it with a state of its own; nothing of the test before is left in it.
"""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Literal

from fastapi import FastAPI

from gateway import outside
from gateway.app import create_app
from gateway.web import answers, pages, routes
from gateway.web.overview import Overviews

#: How many routes each had when it was built.
_ROUTES: dict[int, int] = {}


Kind = Literal["api", "pages", "doors"]


@lru_cache(maxsize=3)
def _built(kind: Kind) -> FastAPI:
    nobody: Any = SimpleNamespace()
    extra = {
        "api": list, "pages": pages.routers,
        "doors": lambda: [routes.router, answers.router, *outside.routers()],
    }  # fmt: skip
    app = create_app(nobody, identity=nobody, extra=extra[kind]())
    if kind != "api":
        routes.install(app)
    _ROUTES[id(app)] = len(app.routes)
    return app


def leave(app: FastAPI) -> None:
    """After a test: an application to which it added a route is nobody else's."""
    if len(app.routes) != _ROUTES[id(app)]:
        _built.cache_clear()


def app_of(kind: Kind, city: Any, people: Any) -> FastAPI:
    """The API alone, with all pages, or with the providers' doors, over this test's city and people."""
    app = _built(kind)
    kept: dict[str, Any] = app.state._state
    kept.clear()
    app.state.city, app.state.identity, app.state.overviews = city, people, Overviews()
    return app
