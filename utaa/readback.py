"""Holding the city against the publisher's own ledger, through the public API.

``read_back`` asks ``/api/v1/detectors/<id>/readings`` for every detector of a ledger and compares
reading by reading: same time in µs, same values. A reading whose device had no usable clock is dated
by its arrival, so it is looked for by its values alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from edge.wire.clock import US_PER_S, rfc3339, us_from_datetime
from firmware_sim.ledger import ReadingLine

_PAGE = 1000
_AT_ONCE = 8
#: A redated reading lies within this of when it was sent.
_MARGIN_US = 3600 * US_PER_S


class Api:
    """The public API with a token."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"{url}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: Any) -> Any:
        """The JSON of an answer. Raises ``httpx.HTTPStatusError`` for a refusal."""
        answer = await self._http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()

    async def post(self, path: str, body: Any) -> Any:
        """The JSON of an answer. Raises ``RuntimeError`` with the problem's own words."""
        answer = await self._http.post(path, json=body)
        if answer.is_error:
            raise RuntimeError(f"POST {path}: {answer.status_code} {answer.text}")
        return answer.json()

    async def patch(self, path: str, body: Any, etag: str) -> Any:
        """Change a record that is still as it was. Raises ``RuntimeError`` with the problem's words."""
        answer = await self._http.patch(path, json=body, headers={"If-Match": etag})
        if answer.is_error:
            raise RuntimeError(f"PATCH {path}: {answer.status_code} {answer.text}")
        return answer.json()

    async def etag(self, path: str) -> str:
        """The version of a record, for a change."""
        answer = await self._http.get(path)
        answer.raise_for_status()
        return str(answer.headers["etag"])

    async def items(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Every item of a list, page by page."""
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, **query, **cursor)
            for item in page["items"]:
                yield item
            if not page["next"]:
                return
            cursor = {"cursor": page["next"]}


@dataclass
class Readback:
    """What became of the published readings."""

    published: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0

    def add(self, other: Readback) -> None:
        self.published += other.published
        self.stored += other.stored
        self.lost += other.lost
        self.doubled += other.doubled


async def read_back(api: Api, lines: Iterable[ReadingLine]) -> Readback:
    """Compare every published reading with what the city says."""
    by_detector: dict[str, list[ReadingLine]] = defaultdict(list)
    for line in lines:
        by_detector[line.detector].append(line)
    gate = asyncio.Semaphore(_AT_ONCE)
    total = Readback()

    async def one(detector: str, published: list[ReadingLine]) -> None:
        async with gate:
            total.add(compare(published, await _rows(api, detector, published)))

    async with asyncio.TaskGroup() as group:
        for detector, published in by_detector.items():
            group.create_task(one(detector, published), name=f"read back {detector}")
    return total


async def _rows(api: Api, detector: str, published: list[ReadingLine]) -> list[dict[str, Any]]:
    times = [line.time_us for line in published if not line.redated]
    times += [line.sent_us for line in published if line.redated]
    span = {"from": rfc3339(max(0, min(times) - _MARGIN_US)), "to": rfc3339(max(times) + _MARGIN_US)}
    try:
        rows = api.items(f"/detectors/{detector}/readings", limit=_PAGE, **span)
        return [row async for row in rows]
    except httpx.HTTPStatusError as error:
        if error.response.status_code == 404:  # the city has never heard of it
            return []
        raise


def compare(published: list[ReadingLine], rows: list[dict[str, Any]]) -> Readback:
    """One detector's published readings against the rows the city gave for it."""
    dated = {(line.time_us, _key(line.values)) for line in published if not line.redated}
    undated = Counter(_key(line.values) for line in published if line.redated)
    expected = len(dated) + undated.total()
    doubled = 0
    for row in rows:
        key = _key(row["values"])
        if (row["time_us"], key) in dated:
            dated.remove((row["time_us"], key))
        elif undated[key] > 0:
            undated[key] -= 1
        else:
            doubled += 1
    lost = len(dated) + undated.total()
    return Readback(published=expected, stored=expected - lost, lost=lost, doubled=doubled)


def _key(values: dict[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(values.items()))


def us_from_text(time: str) -> int:
    """µs UTC of the API's RFC 3339."""
    return us_from_datetime(datetime.fromisoformat(time))
