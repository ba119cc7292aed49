"""The routers of the API: their routes carry the whole address from the beginning.

Included into the application under a prefix, every route would be built a second time, its parameters,
bodies and answers analysed anew: a second of each start.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

PREFIX: Final = "/api/v1"


def api_router(prefix: str = "", *, tags: list[str] | None = None) -> APIRouter:
    """A router whose routes lie under /api/v1 and ``prefix``."""
    return APIRouter(prefix=PREFIX + prefix, tags=list(tags or ()))
