"""``/field/``: the one page a technician's phone keeps, and the service worker that keeps it.

The address ends in a slash: the worker's reach is a beginning of addresses, and ``/field`` would be one
of ``/works`` too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.responses import FileResponse

from gateway.door import Asker, need
from gateway.web.guard import PageRoute
from gateway.web.page import page_of, words_of

router = APIRouter(tags=["pages"], include_in_schema=False, route_class=PageRoute)
Anybody = Annotated[Asker, Depends(need("page.read"))]
Hands = Annotated[Asker, Depends(need("field.work", by_object=True))]
_WORKER: Final = Path(__file__).parents[1] / "static" / "work-worker.js"
#: Words with this beginning are the scripts'.
_PREFIX: Final = "work "


@router.get("/field")
async def to_the_page(request: Request, asker: Anybody) -> Response:
    """Without the slash."""
    return RedirectResponse("/field/", 303)


@router.get("/field/")
async def shell(request: Request, asker: Hands) -> Response:
    """The page: nothing of anybody's is in it but who looks (an opaque id)."""
    words = words_of(request)
    texts = {
        key.removeprefix(_PREFIX): text
        for key, text in words.catalogue.items()
        if key.startswith(_PREFIX)
    }
    return page_of(
        "work/shell.html", request, asker, texts=json.dumps(texts, ensure_ascii=False),
        person=asker.actor.id,
    )  # fmt: skip


@router.get("/work-worker.js")
async def worker(_: Anybody) -> Response:
    """Browsers ask for it again and again, so that a new one is soon in use."""
    headers = {"Cache-Control": "no-cache"}
    return FileResponse(_WORKER, media_type="text/javascript", headers=headers)
