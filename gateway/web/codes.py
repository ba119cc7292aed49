"""``/v/<code>`` and ``/q/<id>``: the pages behind the codes we print. They work without signing in.

``/v`` says what stands behind a document's code: number, title, state, when, the content's hash. ``/q``
leads somebody who may see the record to it, and tells everybody else only whose the thing is.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from gateway.door import Asker, need
from gateway.web.page import city_of, page_of, words_of
from registry.labels import service as labels
from registry.rights import may
from registry.specifications.inbox import proof_of

router = APIRouter(tags=["pages"], include_in_schema=False)
Anybody = Annotated[Asker, Depends(need("page.read"))]
#: A code is ten characters and perhaps a dash; nothing longer is looked up.
_MAX_CODE: Final = 40
_STATES: Final = {"approved": "Approved", "superseded": "No longer valid: another took its place"}
#: Where the pages of a record are.
_RECORDS: Final = {"camera": "/cameras/{id}", "detector": "/detectors/{id}"}


@router.get("/v/{code}")
async def vouch(request: Request, code: str, asker: Anybody) -> Response:
    """Whether a printed document is genuine."""
    city = city_of(request)
    proof = None
    if len(code) <= _MAX_CODE and code.isprintable():
        async with city.database.read() as session:
            proof = await proof_of(session, city.keyring, code)
    words = words_of(request)
    return page_of(
        "vouch.html", request, asker, plain=True, status=200 if proof else 404, proof=proof,
        now_us=city.clock.now_us(),
        state=words(_STATES.get(proof.state, "Approved")) if proof else "",
    )  # fmt: skip


@router.get("/q/{label_id}")
async def scanned(request: Request, label_id: str, asker: Anybody) -> Response:
    """What a label leads to."""
    label = None
    if len(label_id) <= _MAX_CODE and label_id.isprintable():
        async with city_of(request).database.read() as session:
            label = await labels.resolve(session, label_id)
            place = await labels.place_of(session, label) if label else None
    if label is not None and may(asker.actor, "label.read", place):
        return RedirectResponse(_RECORDS[label.object_kind].format(id=label.object_id), 303)
    return page_of(
        "scanned.html", request, asker, plain=True, status=200 if label else 404,
        known=label is not None,
    )  # fmt: skip
