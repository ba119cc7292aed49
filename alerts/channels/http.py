"""What the channels over HTTP share: one client, one reading of what went wrong and of a status."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import httpx

from alerts.channels.base import Outcome
from alerts.channels.evidence import scrub
from alerts.channels.webpush import retry_after_s
from registry.outward import Guard, GuardedTransport, OutwardRefused

#: A refused key is an operator's work; there is no use in trying each second.
AUTH_RETRY_S = 60.0
#: Answers are short; what is longer is not read.
_MAX_ANSWER_BYTES = 64 * 1024


class Answer(NamedTuple):
    """A provider's answer: its status, its JSON object (empty if it is none), its wish to wait."""

    status: int
    fields: dict[str, Any]
    text: str
    retry_after_s: float | None


def new_client(timeout_s: float, concurrency: int, *, guarded: bool = False) -> httpx.AsyncClient:
    """A client that follows no redirect, believes no environment and logs no address.

    ``guarded``: each connection goes to a public address, judged when it is made.
    """
    for library in ("httpx", "httpcore"):  # they log whole addresses, which may be secrets
        logging.getLogger(library).setLevel(logging.WARNING)
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    inner = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
    return httpx.AsyncClient(
        timeout=timeout_s, follow_redirects=False, trust_env=False,
        transport=GuardedTransport(Guard(), inner) if guarded else inner,
    )  # fmt: skip


async def post(
    client: httpx.AsyncClient, url: str, content: bytes, headers: dict[str, str]
) -> Answer | Outcome:
    """The answer; or the outcome, where there is none: unknown once the request had gone out."""
    try:
        answer = await client.post(url, content=content, headers=headers)
    except OutwardRefused:
        return Outcome("refused", "address_invalid", "not a public server")
    except (httpx.ConnectTimeout, httpx.PoolTimeout):
        return Outcome("retry", "timeout")
    except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL):
        return Outcome("retry", "connection_failed")
    except httpx.HTTPError as error:
        return Outcome("unknown", "answer_lost", type(error).__name__)
    fields: Any = {}
    if len(answer.content) <= _MAX_ANSWER_BYTES:
        try:
            fields = answer.json()
        except ValueError:
            fields = {}
    wish_s = retry_after_s(answer.headers.get("Retry-After"))
    return Answer(
        answer.status_code, fields if isinstance(fields, dict) else {}, answer.text[:500], wish_s
    )


def judge(answer: Answer, *secrets: str) -> Outcome:
    """What a status means where the provider's contract says nothing special."""
    evidence = scrub(f"HTTP {answer.status} {answer.fields.get('error', '')}", *secrets)
    status = answer.status
    if status in (200, 201, 202, 204):
        named = answer.fields.get("id")
        return Outcome(
            "accepted", "accepted", evidence, provider_id=named if isinstance(named, str) else None
        )
    if status in (401, 403):
        return Outcome("retry", "auth_refused", f"HTTP {status}", AUTH_RETRY_S)
    if status in (404, 410):
        return Outcome("refused", "address_unknown", evidence)
    if status == 413:
        return Outcome("refused", "too_large", evidence)
    if status in (408, 425, 429):
        return Outcome("retry", "throttled", evidence, answer.retry_after_s)
    if status >= 500:
        return Outcome("retry", "server_error", evidence, answer.retry_after_s)
    if status >= 400:
        return Outcome("refused", "policy_refused", evidence)
    return Outcome("retry", "unreadable_answer", evidence)
