"""``/u/<token>``: the page behind List-Unsubscribe (RFC 2369, RFC 8058).

It ends what can wait (troubles, tests, history) on one channel; fire and CO still come. Looking changes
nothing, because scanners follow links; a mail program's one click is a POST, and so is the button's.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Request, Response
from fastapi.responses import RedirectResponse

from alerts import wishes
from alerts.tokens import LinkError, unsubscribe_channel
from gateway.door import Asker, need
from gateway.web.page import city_of, page_of
from registry import audit
from registry.models import ContactChannel

router = APIRouter(tags=["pages"], include_in_schema=False)
Anybody = Annotated[Asker, Depends(need("page.read"))]
Token = Annotated[str, Path(max_length=200)]
_GONE = 410


@router.get("/u/{token}")
async def look(request: Request, token: Token, asker: Anybody) -> Response:
    """What would end, what would not, and the button."""
    city = city_of(request)
    try:
        channel_id = unsubscribe_channel(city.keyring, token)
        async with city.database.read() as session:
            language = await wishes.language_of(session, channel_id)
            channel = await session.get_one(ContactChannel, channel_id)
    except (LinkError, wishes.WishError):
        return page_of("unsubscribe.html", request, asker, plain=True, status=_GONE, problem=True)
    request.state.language = language
    muted = channel.muted_us is not None
    return page_of("unsubscribe.html", request, asker, plain=True, problem=False, muted=muted)


@router.post("/u/{token}")
async def answer(
    request: Request,
    token: Token,
    asker: Anybody,
    wanted: Annotated[str, Form(max_length=20)] = "",
    one_click: Annotated[str, Form(alias="List-Unsubscribe", max_length=20)] = "",
) -> Response:
    """`List-Unsubscribe=One-Click` of a mail program, or the page's button: `wanted` less or all."""
    if one_click != "One-Click" and wanted not in ("less", "all"):
        return Response(status_code=400)
    city = city_of(request)
    now_us = city.clock.now_us()
    try:
        channel_id = unsubscribe_channel(city.keyring, token)
        async with city.database.write() as session:
            less = bool(one_click) or wanted == "less"
            if await wishes.mute(session, channel_id, now_us if less else None):
                await audit.append(
                    session, actor=asker.actor, origin=asker.origin,
                    action="channel.mute" if less else "channel.unmute",
                    object_kind="contact_channel", object_id=channel_id, now_us=now_us,
                )  # fmt: skip
    except (LinkError, wishes.WishError):
        return page_of("unsubscribe.html", request, asker, plain=True, status=_GONE, problem=True)
    if one_click:
        return Response(status_code=204)
    return RedirectResponse(request.url.path, 303)
