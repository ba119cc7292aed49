"""InfluxDB as the reading store: 1.8, 2.x and 3 by the same two doors.

Writes go to ``/api/v2/write`` through influxdb-client's asynchronous service: one joined text a request
(gzipped unless the server is this machine), built off the event loop, two requests at a time. Reads are
InfluxQL on ``/query``. On 2.x that needs a database mapping (DBRP) for the bucket; on 1.x the database
is made at the first write if allowed.

A write that InfluxDB takes only in part is not sent again whole: the lines it names are set aside; if
it names none (a limit, a field of another type), halves are tried until they are found.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import numpy as np
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService

from gateway.stores.base import (
    FIELDS,
    MAX_ROWS,
    FrameColumns,
    Position,
    RefusedRow,
    Rows,
    Steps,
    StoreMisconfigured,
    StoreUnavailable,
    empty_rows,
)
from gateway.stores.lines import (
    TAG,
    count_query,
    identifier,
    lines_of,
    newest_query,
    parse_refusal,
    rows_query,
    steps_query,
)

#: Lines of one request: about 1 MB before gzip, well below every server's limit of a body.
LINES_PER_REQUEST = 10_000
#: Requests under way at once: while the server works on one, the next one travels.
REQUESTS_AT_ONCE = 2
#: Requests spent on finding bad lines in one write; what is still unclear is set aside whole.
MAX_PROBES = 200
_GZIP_LEVEL = 1
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
#: Detectors of one question for newest rows.
_SERIES_AT_ONCE = 5_000
#: What was written after a moment may have been read this long before it: an edge keeps it no longer.
_LATEST_ARRIVAL_US = 8 * 24 * 3600 * 1_000_000
#: How 1.x says that a database does not exist.
_MISSING = "database not found"
#: One row as line protocol, behind the site it is of.
Line = tuple[str, str]
_WRITE_TIMEOUT_S, _READ_TIMEOUT_S, _CHECK_TIMEOUT_S = 30.0, 30.0, 5.0


class InfluxStore:
    """A ``ReadingStore`` in one database (1.x, 3) or bucket (2.x).

    ``token`` may be ``user:password`` where the server knows no tokens.
    """

    def __init__(self, *, url: str, token: str, org: str, bucket: str, retention_days: int) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._org = org
        self._bucket = bucket
        self._retention_days = retention_days
        self.title = f"influxdb {re.sub('//[^/@]*@', '//', self._url)} {bucket}"
        #: packing costs as much as building the lines; within one machine it gains nothing
        self._packs = urlsplit(self._url).hostname not in _THIS_MACHINE
        self._client: Any = None
        self._writes: Any = None
        self._http: httpx.AsyncClient | None = None

    # -- writing ------------------------------------------------------------------------------

    async def write(self, frames: Sequence[FrameColumns]) -> list[RefusedRow]:
        free = asyncio.Semaphore(REQUESTS_AT_ONCE)

        async def one(part: list[FrameColumns]) -> list[RefusedRow]:
            async with free:
                chunks, refused = await asyncio.to_thread(_chunks, part)
                texts = [text for _, texts in chunks for text in texts]
                answer = await self._post(texts) if texts else None
                if answer is not None:
                    lines = [(site, text) for site, texts in chunks for text in texts]
                    refused += await self._sift(lines, answer)
                return refused

        done = await asyncio.gather(*map(one, _parts(frames)), return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException):
                raise result
        return [row for result in done if not isinstance(result, BaseException) for row in result]

    async def _sift(self, lines: list[Line], answer: str | None) -> list[RefusedRow]:
        """A write of these lines was answered so: write what can be; the others come back."""
        refused: list[RefusedRow] = []
        probes = 1
        part, todo = lines, list[list[Line]]()
        while True:
            if answer is not None:
                found, again = _sifted(part, answer, last=probes >= MAX_PROBES)
                refused += found
                todo += again
            if not todo:
                return refused
            part = todo.pop()
            answer = await self._post([text for _, text in part])
            probes += 1

    async def _post(self, lines: list[str]) -> str | None:
        """None if it is stored; the answer if a part of it never will be."""
        body = await asyncio.to_thread(_body, lines, self._packs)
        for last in (False, True):
            try:
                async with asyncio.timeout(_WRITE_TIMEOUT_S):
                    await self._service().post_write_async(
                        self._org,
                        self._bucket,
                        body,
                        precision=WritePrecision.NS,
                        content_encoding="gzip" if self._packs else "identity",
                        content_type="text/plain; charset=utf-8",
                        async_req=False,
                    )
                return None
            except ApiException as error:
                if error.status == 404 and not last:
                    await self._make_database(_text(error))
                    continue
                return self._judge(error)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise StoreUnavailable(f"{self.title}: {_plain(error)}") from error
        raise AssertionError("unreachable")

    def _judge(self, error: ApiException) -> str:
        """The text of a partial or refused write. Raises what waiting or an operator must mend."""
        text = _text(error)
        if error.status in (401, 403):
            raise StoreMisconfigured(
                f"{self.title}: not authorised ({error.status}); set influx_token"
            ) from None
        if error.status == 404:
            raise StoreMisconfigured(
                f"{self.title}: no such database or bucket; create it, or correct influx_bucket"
            ) from None
        if error.status in (400, 413, 422) or "partial write" in text:
            return text
        raise StoreUnavailable(f"{self.title}: {error.status} {text[:200]}") from None

    async def _make_database(self, why: str) -> None:
        """On 1.x a missing database is made, if we may; elsewhere an operator has to."""
        if _MISSING not in why:
            return
        days = self._retention_days
        statement = f"CREATE DATABASE {identifier(self._bucket)} WITH DURATION {days}d"
        # 2.x and 3 do not know this statement, or we may not: then the next write says what is missing
        with contextlib.suppress(StoreMisconfigured):
            await self._ask(statement, "POST")

    # -- catching up --------------------------------------------------------------------------

    def position(self) -> Position:
        return {"before_us": time.time_ns() // 1000}

    async def end(self) -> Position:
        return self.position()

    async def newer_than(self, position: Position) -> AsyncIterator[list[FrameColumns]]:
        """InfluxDB does not say when a row was written: the newest of each detector may be new."""
        from_us = max(0, position.get("before_us", 0) - _LATEST_ARRIVAL_US)
        offset = 0
        while series := await self._ask(newest_query(from_us, _SERIES_AT_ONCE, offset)):
            yield [_newest_row(one) for one in series]
            offset += len(series)

    # -- reading ------------------------------------------------------------------------------

    async def rows(self, detector: str, *, from_us: int, to_us: int, limit: int) -> Rows:
        limit = min(limit, MAX_ROWS)
        series = await self._ask(rows_query(detector, from_us, to_us, limit + 1))
        if not series:
            return empty_rows()
        columns, values = _columns(series[0])
        more = int(values[limit][0]) if len(values) > limit else None
        values = values[:limit]
        at = {name: columns.index(name) for name in columns}
        flags = [(row[at["flags"]] or 0) | (row[at["flags_known"]] or 0) << 16 for row in values]
        return Rows(
            np.array([row[0] for row in values], np.int64),
            np.array(flags, np.uint32),
            {name: np.array([row[at[name]] for row in values], np.float64) for name in FIELDS},
            more,
        )

    async def steps(
        self, detector: str, quantity: str, *, from_us: int, to_us: int, step_us: int, limit: int
    ) -> Steps:
        limit = min(limit, MAX_ROWS)
        series = await self._ask(steps_query(detector, quantity, from_us, to_us, step_us, limit + 1))
        _, values = _columns(series[0]) if series else ([], [])
        more = int(values[limit][0]) if len(values) > limit else None
        table = list(zip(*values[:limit], strict=True)) or [()] * 5
        return Steps(
            starts_us=np.array(table[0], np.int64),
            minimum=np.array(table[1], np.float64),
            mean=np.array(table[2], np.float64),
            maximum=np.array(table[3], np.float64),
            count=np.array(table[4], np.int64),
            next_from_us=more,
        )

    async def count(self, detector: str | None, *, from_us: int, to_us: int) -> int:
        series = await self._ask(count_query(detector, from_us, to_us))
        return int(series[0]["values"][0][1]) if series else 0

    async def drop_before(self, time_us: int) -> int:
        """InfluxDB drops its shards itself, by the database's retention policy."""
        return 0

    async def check(self) -> None:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                series = await self._ask("SHOW DATABASES")
                known = {row[0] for one in series for row in one.get("values", [])}
                if self._bucket not in known:
                    await self._make_database(_MISSING)
        except TimeoutError:
            raise StoreUnavailable(f"{self.title}: no answer in {_CHECK_TIMEOUT_S:g} s") from None

    async def report(self) -> dict[str, Any]:
        return {"kind": "influxdb", "url": self.title.split(" ")[1], "bucket": self._bucket}

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self._http is not None:
            await self._http.aclose()

    async def _ask(self, statement: str, method: str = "GET") -> list[dict[str, Any]]:
        """The series of one InfluxQL statement. Raises ``StoreUnavailable``, ``StoreMisconfigured``."""
        try:
            answer = await self._reader().request(
                method, "/query", params={"db": self._bucket, "q": statement, "epoch": "u"}
            )
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"{self.title}: {_plain(error)}") from error
        try:
            body = answer.json()
        except ValueError:
            body = {}
        results = body.get("results", []) if isinstance(body, dict) else []
        errors = [part for part in [body, *results] if isinstance(part, dict)]
        text = next((str(part["error"]) for part in errors if "error" in part), "")
        text = text or (str(body.get("message", "")) if isinstance(body, dict) else "")
        if answer.status_code in (401, 403):
            raise StoreMisconfigured(
                f"{self.title}: not authorised ({answer.status_code}); set influx_token"
            )
        if answer.status_code >= 500:
            raise StoreUnavailable(f"{self.title}: {answer.status_code} {text[:200]}")
        if _MISSING in text and method == "GET":
            return []  # nothing was ever written: the first write makes it
        if text or answer.status_code >= 400:
            raise StoreMisconfigured(f"{self.title}: {text[:200] or answer.status_code}")
        return [series for result in results for series in result.get("series", [])]

    # -- connections, made inside the loop that uses them ----------------------------------------

    def _service(self) -> Any:
        if self._writes is None:
            self._client = InfluxDBClientAsync(url=self._url, token=self._token, org=self._org)
            self._writes = WriteService(self._client.api_client)  # type: ignore[no-untyped-call]
        return self._writes

    def _reader(self) -> httpx.AsyncClient:
        if self._http is None:
            user, colon, password = self._token.partition(":")
            self._http = httpx.AsyncClient(
                base_url=self._url,
                timeout=_READ_TIMEOUT_S,
                trust_env=False,
                auth=(user, password) if colon else None,
                headers={"Authorization": f"Token {self._token}"} if self._token and not colon else {},
            )
        return self._http


def _chunks(
    frames: Sequence[FrameColumns],
) -> tuple[list[tuple[str, list[str]]], list[RefusedRow]]:
    """(site, lines) of each frame, and the rows that have no line."""
    chunks: list[tuple[str, list[str]]] = []
    refused: list[RefusedRow] = []
    for frame in frames:
        texts, unwritable = lines_of(frame)
        chunks.append((frame.site, texts))
        refused += [
            RefusedRow(
                frame.site,
                f"detector {frame.detectors[frame.index[row]]!r} at {frame.times[row]} µs",
                "an id with a backslash cannot be written in line protocol",
            )
            for row in unwritable
        ]
    return chunks, refused


def _sifted(part: list[Line], answer: str, *, last: bool) -> tuple[list[RefusedRow], list[list[Line]]]:
    """(rows InfluxDB never takes, lines to write again in parts), from its answer to these lines."""
    refusal = parse_refusal(answer, [text for _, text in part])
    bad = [line for line in part if line[1] in refusal.bad]
    refused = [RefusedRow(site, text, refusal.bad[text]) for site, text in bad]
    rest = [line for line in part if line[1] not in refusal.bad]
    if not rest or refusal.others_stored:
        return refused, []
    if bad:
        return refused, [rest]
    if len(part) == 1 or last:
        return [RefusedRow(site, text, refusal.message) for site, text in part], []
    half = len(part) // 2
    return [], [part[half:], part[:half]]


def _parts(frames: Sequence[FrameColumns]) -> Iterator[list[FrameColumns]]:
    """Whole frames, at most ``LINES_PER_REQUEST`` lines of them (a frame has 4,096 at most)."""
    part: list[FrameColumns] = []
    lines = 0
    for frame in frames:
        if part and lines + frame.count > LINES_PER_REQUEST:
            yield part
            part, lines = [], 0
        part.append(frame)
        lines += frame.count
    if part:
        yield part


def _body(lines: list[str], packs: bool) -> bytes:
    text = "\n".join(lines).encode()
    return gzip.compress(text, _GZIP_LEVEL) if packs else text


def _columns(series: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    return list(series["columns"]), list(series["values"])


def _newest_row(series: dict[str, Any]) -> FrameColumns:
    columns, values = _columns(series)
    row = dict(zip(columns, values[0], strict=True))
    flags = (row["flags"] or 0) | (row["flags_known"] or 0) << 16
    stated = {
        number: np.array([row[name]], np.float64)
        for number, name in enumerate(FIELDS)
        if row[name] is not None
    }
    return FrameColumns(
        site="",
        epoch="",
        seq=0,
        detectors=[series["tags"][TAG]],
        index=np.zeros(1, np.uint16),
        times=np.array([row["time"]], np.int64),
        flags=np.array([flags], np.uint32),
        columns=stated,
    )


def _text(error: ApiException) -> str:
    body = error.body
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or error.reason)


def _plain(error: BaseException) -> str:
    return str(error) or type(error).__name__
