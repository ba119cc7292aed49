"""One application for the tests of the office's works: building it costs more than most of them."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI

from gateway.app import create_app
from gateway.web import codes, routes


@lru_cache(maxsize=1)
def _built() -> FastAPI:
    nobody: Any = SimpleNamespace()
    app = create_app(nobody, identity=nobody, extra=[routes.router, codes.router])
    routes.install(app)
    return app


def office_app(city: Any, people: Any) -> FastAPI:
    """The application, with the pages behind codes, over this test's city and people alone."""
    app = _built()
    app.state.city, app.state.identity = city, people
    return app
