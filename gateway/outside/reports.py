"""What providers say later: SMS delivery reports, signed reports of adapters and receivers, Messenger.

An answer never says more than whether the report was understood. A report of a failure or an
acknowledgement plans something to send, so the sender is woken.
"""

from __future__ import annotations

import hmac
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from starlette.responses import PlainTextResponse

from alerts import reports, wishes
from alerts.channels.webhook import SignatureError
from gateway.door import Asker, need, rooms
from gateway.problems import ProblemError

router = APIRouter(tags=["providers"])
Provider = Annotated[Asker, Depends(need("report.send"))]
Token = Annotated[str, Path(max_length=200)]
Adapter = Literal["national_email", "emongolia", "voice", "webhook"]
_REFUSED = {"forged": 401, "missing": 401, "too_old": 401, "unknown_delivery": 404, "unreadable": 422}

log = structlog.get_logger("gateway.outside")


def _refused(reason: str) -> ProblemError:
    status = _REFUSED.get(reason, 422)
    return ProblemError(status, reason.replace("_", "-"), "The report is not taken", None)


@router.get("/report/sms/{token}", status_code=204, summary="Delivery report of an SMS gateway")
async def sms_report(token: Token, status: int, request: Request, _: Provider) -> Response:
    """Kannel's `dlr-url`: 1 delivered, 2 not delivered, 16 refused; 4 and 8 are no news."""
    city = rooms(request)
    try:
        async with city.database.write() as session:
            news = await reports.take_sms(
                session, city.keyring, token, status, city.clock.now_us(), policy=city.policy
            )
    except reports.ReportError as error:
        raise _refused(error.reason) from None
    _tell(request, news)
    return Response(status_code=204)


@router.post("/report/{channel}", status_code=204, summary="Signed report of an adapter or a receiver")
async def signed_report(channel: Adapter, request: Request, _: Provider) -> Response:
    """Standard Webhooks; `{"id": …, "event": "delivered" | "seen" | "failed" | "acknowledged"}`."""
    city = rooms(request)
    body, headers = await request.body(), request.headers
    now_us = city.clock.now_us()
    try:
        async with city.database.write() as session:
            if channel == "webhook":
                news = await reports.take_from_receiver(
                    session, city.keyring, headers, body, now_us, policy=city.policy
                )
            elif (key := city.doors.report_keys.get(channel)) is None:
                raise reports.ReportError("forged")
            else:
                news = await reports.take_signed(
                    session, key, channel, headers, body, now_us, policy=city.policy
                )
    except (reports.ReportError, SignatureError) as error:
        log.warning("report.refused", channel=channel, reason=error.reason)
        raise _refused(error.reason) from None
    _tell(request, news)
    return Response(status_code=204)


@router.get("/messenger", summary="Messenger asks whether this webhook is ours")
async def messenger_challenge(
    request: Request,
    _: Provider,
    mode: Annotated[str, Query(alias="hub.mode", max_length=50)] = "",
    verify_token: Annotated[str, Query(alias="hub.verify_token", max_length=200)] = "",
    challenge: Annotated[str, Query(alias="hub.challenge", max_length=200)] = "",
) -> Response:
    """The challenge again, if the word is ours."""
    ours = rooms(request).doors.messenger_verify_token
    same = hmac.compare_digest(ours.encode(), verify_token.encode("utf-8", "replace"))
    if mode != "subscribe" or not ours or not same:
        raise ProblemError(403, "forbidden", "Not allowed")
    return PlainTextResponse(challenge)


@router.post("/messenger", status_code=200, summary="Webhook of the Messenger page")
async def messenger_event(request: Request, _: Provider) -> Response:
    """Signed with the app's secret (`X-Hub-Signature-256`): deliveries, reads, opt-ins, answers."""
    city = rooms(request)
    signature = request.headers.get("X-Hub-Signature-256", "")
    body = await request.body()
    try:
        async with city.database.write() as session:
            used = await wishes.take_messenger(
                session, city.keyring, city.doors.messenger_app_secret, signature, body,
                city.clock.now_us(), policy=city.policy,
            )  # fmt: skip
    except wishes.MessengerSignatureError:
        raise _refused("forged") from None
    _tell(request, bool(used))
    return PlainTextResponse("EVENT_RECEIVED")


def _tell(request: Request, news: bool) -> None:
    if news:
        rooms(request).wake_alerts()
        rooms(request).hub.publish("incident", {})
