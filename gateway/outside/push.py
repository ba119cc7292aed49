"""What a browser needs for push messages: the service worker, at the root so that it serves all pages,
and the city's public key for ``subscribe()``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.responses import FileResponse, PlainTextResponse

from gateway.door import Asker, need, rooms
from gateway.problems import ProblemError

router = APIRouter(tags=["pages"], include_in_schema=False)
Anybody = Annotated[Asker, Depends(need("page.read"))]
WORKER = Path(__file__).parent.parent / "web" / "static" / "service-worker.js"


@router.get("/service-worker.js")
async def service_worker(_: Anybody) -> Response:
    """Our service worker. Browsers ask for it again and again, so that a new one is soon in use."""
    return FileResponse(WORKER, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


@router.get("/push-key")
async def push_key(request: Request, _: Anybody) -> Response:
    """The VAPID public key (base64url), as ``applicationServerKey`` takes it."""
    key = rooms(request).doors.push_public_key
    if not key:
        raise ProblemError(404, "not-found", "Not found", "web push is not set up here")
    return PlainTextResponse(key, headers={"Cache-Control": "no-cache"})
