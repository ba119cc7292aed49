"""The HTTP client of the contract in docs/khur.md: one question, one of a closed set of outcomes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, get_args

import httpx

from edge.wire.clock import US_PER_S
from registry.outward import GuardedTransport, OutwardRefused, of_operator

Kind = Literal["legal_entity", "address"]
#: found, unknown: answers. refused: our key or our question is not accepted. busy: asked too often.
#: unreachable: no connection, no answer in time, a server error. unreadable: not what was agreed.
Outcome = Literal["found", "unknown", "refused", "busy", "unreachable", "unreadable"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_TIMEOUT_S: Final = 8.0
#: An answer is a few hundred bytes; more is none of ours.
_MAX_BYTES: Final = 64 << 10
#: An answer is believed for at most this long, whatever it says.
_LONGEST_S: Final = 30 * 24 * 3600
_PATHS: Final[dict[Kind, str]] = {"legal_entity": "/v1/legal-entity", "address": "/v1/address"}
_FIELDS: Final[dict[Kind, tuple[str, ...]]] = {
    "legal_entity": ("register_number", "name", "status"),
    "address": ("address_code", "unit_code", "text"),
}
#: A legal entity's register number has 7 digits; an address code is the state's, letters and digits.
_QUESTIONS: Final[dict[Kind, re.Pattern[str]]] = {
    "legal_entity": re.compile(r"[0-9]{7}"), "address": re.compile(r"[0-9A-Z-]{4,30}"),
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came back. ``valid_until_us`` is set for found and unknown."""

    outcome: Outcome
    content: dict[str, str] = field(default_factory=dict)
    valid_until_us: int | None = None
    retry_after_s: int | None = None

    def __repr__(self) -> str:
        return f"Answer({self.outcome})"


def check_question(kind: Kind, text: str) -> str:
    """The question in its one form. Raises ``ValueError`` that does not repeat it."""
    plain = text.strip().upper()
    if not _QUESTIONS[kind].fullmatch(plain):
        expected = {"legal_entity": "a register number of 7 digits", "address": "an address code"}
        raise ValueError(f"expected {expected[kind]}")
    return plain


class Khur:
    """The city's adapter, asked one question at a time."""

    def __init__(
        self, url: str, token: str, *, timeout_s: float = _TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._client = httpx.AsyncClient(
            base_url=url, timeout=timeout_s, follow_redirects=False, trust_env=False,
            transport=transport or GuardedTransport(of_operator()),
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        )  # fmt: skip

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(
        self, kind: Kind, question: str, *, reason: str, asker: str, request_id: str, now_us: int
    ) -> Answer:
        """Ask. Never raises for what the other side does."""
        name = "register_number" if kind == "legal_entity" else "address_code"
        body = {name: question, "reason": reason, "asker": asker}
        try:
            request = self._client.build_request(
                "POST", _PATHS[kind], json=body, headers={"X-Request-Id": request_id}
            )
            response = await self._client.send(request, stream=True)
            try:
                content = await _bounded(response)
            finally:
                await response.aclose()
        except (httpx.HTTPError, OutwardRefused):
            return Answer("unreachable")
        if content is None:
            return Answer("unreadable")
        return _read(kind, question, response, content, now_us)


async def _bounded(response: httpx.Response) -> bytes | None:
    taken = b""
    async for part in response.aiter_bytes():
        taken += part
        if len(taken) > _MAX_BYTES:
            return None
    return taken


def _read(kind: Kind, question: str, response: httpx.Response, content: bytes, now_us: int) -> Answer:
    status = response.status_code
    if status == 429:
        after = response.headers.get("Retry-After", "")
        return Answer("busy", retry_after_s=min(int(after), 3600) if after.isdecimal() else None)
    if status in (400, 401, 403, 422):
        return Answer("refused")
    if status >= 500:
        return Answer("unreachable")
    if status not in (200, 404):
        return Answer("unreadable")
    try:
        read: Any = httpx.Response(200, content=content).json()
        valid_until_us = _moment_us(read["valid_until"])
        if status == 404 and read["outcome"] == "unknown":
            return Answer("unknown", {}, _bounded_validity(valid_until_us, now_us))
        found = {name: read["record"][name] for name in _FIELDS[kind]}
    except (ValueError, TypeError, KeyError, RecursionError):
        return Answer("unreadable")
    good = read.get("outcome") == "found" and all(
        isinstance(value, str) and len(value) <= 500 for value in found.values()
    )
    if status != 200 or not good or found[_FIELDS[kind][0]] != question:
        return Answer("unreadable")
    return Answer("found", found, _bounded_validity(valid_until_us, now_us))


def _moment_us(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("expected a time with its offset")
    return int(moment.timestamp()) * US_PER_S


def _bounded_validity(valid_until_us: int, now_us: int) -> int:
    return min(valid_until_us, now_us + _LONGEST_S * US_PER_S)
