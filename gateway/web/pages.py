"""The list of all pages. A new page's router is added here, and its room in ``page.NAVIGATION``."""

from __future__ import annotations

from fastapi import APIRouter

from gateway.web import account, answers, codes, desk, home, maps, officer, routes, work


def routers() -> list[APIRouter]:
    """Every router of the pages."""
    return [
        routes.router,
        answers.router,
        account.router,
        codes.router,
        maps.router,
        *officer.routers(),
        *home.routers(),
        *desk.routers(),
        *work.routers(),
    ]
