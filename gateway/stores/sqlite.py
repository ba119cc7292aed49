"""The embedded reading store: SQLite files of its own, one for each UTC day.

Rows are kept as blocks (``gateway.stores.blocks``), one for each frame and day, appended in order of
arrival, beside two small indexes: by (source, seq), so that a frame sent again changes nothing, and by
(source, time), so that a question reads only the blocks of the detector's own site and span. A
*source* is one epoch of one site; ``member`` says under which sources a detector has rows. So a write
costs one short row for a whole frame, however many detectors the city has.

The same (detector, time) in two blocks is one reading: the later written wins, at reading.

Several processes may write to one folder; SQLite's own locks order them. A write is on disk
(``synchronous=FULL``) when it returns. One thread writes and a few read, never the event loop's.
"""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from edge.wire.units import QUANTITY_NAMES
from gateway.stores.base import (
    FIELDS,
    MAX_ROWS,
    U32,
    FrameColumns,
    Position,
    RefusedRow,
    Rows,
    Steps,
    StoreUnavailable,
    empty_rows,
    fold_steps,
)
from gateway.stores.blocks import Block, decode_block, encode_block, pick_rows

DAY_US = 24 * 3600 * 1_000_000
#: Day files kept open for writing; live data touches two, catching up a few more.
_MAX_OPEN_DAYS = 8
#: Threads that answer questions; each waits mostly for the disk.
_READER_THREADS = 2
#: Blocks read at a time when somebody catches up: some MB once unpacked.
_BLOCKS_AT_ONCE = 500
#: Names in one question; below SQLite's limit of bound values.
_NAMES_AT_ONCE = 500
#: How long one process waits for another that writes to the same day.
_BUSY_TIMEOUT_S = 30.0
#: The write-ahead log is folded back after this many pages (8 KiB each): 64 MiB.
_CHECKPOINT_PAGES = 8192

_SCHEMA = """
CREATE TABLE IF NOT EXISTS detector (no INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS source (
    no INTEGER PRIMARY KEY, site TEXT NOT NULL, epoch TEXT NOT NULL, UNIQUE (site, epoch));
CREATE TABLE IF NOT EXISTS member (
    detector INTEGER NOT NULL, source INTEGER NOT NULL, PRIMARY KEY (detector, source)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL, seq INTEGER NOT NULL, digest INTEGER NOT NULL,
    from_us INTEGER NOT NULL, to_us INTEGER NOT NULL, rows INTEGER NOT NULL, data BLOB NOT NULL,
    UNIQUE (source, seq, digest));
CREATE INDEX IF NOT EXISTS block_span ON block (source, to_us, from_us);
"""

_T = TypeVar("_T")


@dataclass
class _Day:
    """One day's file, open for writing, and the numbers of the names already in it."""

    connection: sqlite3.Connection
    detectors: dict[str, int] = field(default_factory=dict)
    sources: dict[tuple[str, str], int] = field(default_factory=dict)
    members: set[tuple[int, int]] = field(default_factory=set)
    #: the table of detectors that each source sent last: a site says the same one again and again
    tables: dict[int, _Table] = field(default_factory=dict)


class _Table(NamedTuple):
    """Detectors as a frame names them, and their numbers."""

    names: Sequence[str]
    numbers: U32
    #: all of them are entered as members of the source
    entered: bool


class SqliteStore:
    """A ``ReadingStore`` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.title = f"sqlite {folder}"
        self._days: OrderedDict[int, _Day] = OrderedDict()
        self._written: Position = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="readings-write")
        self._readers = ThreadPoolExecutor(_READER_THREADS, thread_name_prefix="readings-read")

    async def write(self, frames: Sequence[FrameColumns]) -> list[RefusedRow]:
        await self._run(self._writer, lambda: self._write(frames))
        return []

    def position(self) -> Position:
        return dict(self._written)

    async def end(self) -> Position:
        return await self._run(self._readers, self._end)

    async def newer_than(self, position: Position) -> AsyncIterator[list[FrameColumns]]:
        for name, last in (await self.end()).items():
            at, names = position.get(name, 0), dict[int, str]()
            path = self.folder / name
            while at < last:
                read = partial(_frames_after, path, at, last, names)
                frames, at = await self._run(self._readers, read)
                yield frames

    async def rows(self, detector: str, *, from_us: int, to_us: int, limit: int) -> Rows:
        limit = min(limit, MAX_ROWS)
        return await self._run(self._readers, lambda: self._rows(detector, from_us, to_us, limit))

    async def steps(
        self, detector: str, quantity: str, *, from_us: int, to_us: int, step_us: int, limit: int
    ) -> Steps:
        number, limit = QUANTITY_NAMES.index(quantity), min(limit, MAX_ROWS)
        return await self._run(
            self._readers, lambda: self._steps(detector, number, from_us, to_us, step_us, limit)
        )

    async def count(self, detector: str | None, *, from_us: int, to_us: int) -> int:
        return await self._run(self._readers, lambda: self._count(detector, from_us, to_us))

    async def drop_before(self, time_us: int) -> int:
        return await self._run(self._writer, lambda: self._drop_before(time_us))

    async def check(self) -> None:
        await self._run(self._writer, self._check)

    async def report(self) -> dict[str, Any]:
        return await self._run(self._readers, self._report)

    async def close(self) -> None:
        await self._run(self._writer, self._close_days)
        self._writer.shutdown()
        self._readers.shutdown()

    async def _run(self, pool: ThreadPoolExecutor, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"{self.title}: {error}") from error

    # -- writing (on the one writer thread) ---------------------------------------------------

    def _write(self, frames: Sequence[FrameColumns]) -> None:
        by_day: dict[int, list[tuple[FrameColumns, np.ndarray[Any, Any] | None]]] = {}
        for frame in frames:
            days = frame.times // DAY_US
            first, last = int(days.min()), int(days.max())
            if first == last:
                by_day.setdefault(first, []).append((frame, None))
                continue
            for day in np.unique(days).tolist():
                by_day.setdefault(day, []).append((frame, days == day))
        for number, parts in sorted(by_day.items()):
            day = self._open_day(number)
            name = self._path(number).name
            try:
                self._written.setdefault(name, _last_block(day.connection))
                _append(day, parts)
                self._written[name] = _last_block(day.connection)
            except BaseException:
                self._days.pop(number).connection.close()
                raise

    def _open_day(self, number: int) -> _Day:
        day = self._days.get(number)
        if day is None or not self._path(number).exists():
            if day is not None:
                day.connection.close()
            day = self._days[number] = _Day(_open_for_writing(self._path(number)))
        self._days.move_to_end(number)
        while len(self._days) > _MAX_OPEN_DAYS:
            self._days.popitem(last=False)[1].connection.close()
        return day

    def _path(self, number: int) -> Path:
        date = datetime.fromtimestamp(number * 86400, UTC).strftime("%Y-%m-%d")
        return self.folder / f"readings-{date}.sqlite"

    def _close_days(self) -> None:
        while self._days:
            self._days.popitem()[1].connection.close()

    def _drop_before(self, time_us: int) -> int:
        dropped = 0
        for number, path in self._files():
            if (number + 1) * DAY_US <= time_us:
                if day := self._days.pop(number, None):
                    day.connection.close()
                self._written.pop(path.name, None)
                for suffix in ("", "-wal", "-shm"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
                dropped += 1
        return dropped

    def _end(self) -> Position:
        found: Position = {}
        for _, path in self._files():
            with _open_for_reading(path) as database:
                found[path.name] = _last_block(database)
        return found

    def _check(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        probe = self.folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()

    # -- reading ------------------------------------------------------------------------------

    def _files(self) -> list[tuple[int, Path]]:
        """(day number, file) of every day, oldest first."""
        found = []
        for path in self.folder.glob("readings-*.sqlite"):
            try:
                moment = datetime.strptime(path.stem, "readings-%Y-%m-%d").replace(tzinfo=UTC)
            except ValueError:
                continue
            found.append((int(moment.timestamp()) // 86400, path))
        return sorted(found)

    def _days_between(self, from_us: int, to_us: int) -> Iterator[Path]:
        for number, path in self._files():
            if number * DAY_US < to_us and (number + 1) * DAY_US > from_us:
                yield path

    def _rows(self, detector: str, from_us: int, to_us: int, limit: int) -> Rows:
        parts: list[Block] = []
        found = 0
        for path in self._days_between(from_us, to_us):
            part = _detector_rows(path, detector, from_us, to_us, None)
            parts.append(part)
            found += len(part.times)
            if found > limit:
                break
        if not found:
            return empty_rows()
        whole = _join(parts)
        more = int(whole.times[limit]) if found > limit else None
        nothing = np.full(min(found, limit), np.nan)
        columns = {
            name: whole.columns[number][:limit] if number in whole.columns else nothing
            for number, name in enumerate(FIELDS)
        }
        return Rows(whole.times[:limit], whole.flags[:limit], columns, more)

    def _steps(
        self, detector: str, number: int, from_us: int, to_us: int, step_us: int, limit: int
    ) -> Steps:
        parts = [
            _detector_rows(path, detector, from_us, to_us, {number})
            for path in self._days_between(from_us, to_us)
        ]
        whole = _join(parts)
        values = whole.columns.get(number, np.full(len(whole.times), np.nan))
        return fold_steps(whole.times, values, step_us, limit)

    def _count(self, detector: str | None, from_us: int, to_us: int) -> int:
        days = self._days_between(from_us, to_us)
        if detector is not None:
            return sum(len(_detector_rows(p, detector, from_us, to_us, set()).times) for p in days)
        return sum(_count_day(path, from_us, to_us) for path in days)

    def _report(self) -> dict[str, Any]:
        files = self._files()
        return {
            "kind": "sqlite",
            "folder": str(self.folder),
            "days": len(files),
            "oldest": files[0][1].stem.removeprefix("readings-") if files else None,
            "bytes": sum(path.stat().st_size for path in self.folder.glob("readings-*")),
        }


def _open_for_writing(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(
        path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA page_size=8192")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    connection.execute("PRAGMA cache_size=-32768")
    connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    return connection


def _append(day: _Day, parts: list[tuple[FrameColumns, np.ndarray[Any, Any] | None]]) -> None:
    """All parts in one transaction. The caller drops ``day`` (and its numbers) if it fails."""
    database = day.connection
    database.execute("BEGIN IMMEDIATE")
    rows = []
    members: set[tuple[int, int]] = set()
    for frame, mask in parts:
        source = _source_number(day, frame.site, frame.epoch)
        table = _table(day, source, frame.detectors)
        block = _block(frame, table.numbers, mask)
        if not table.entered:
            named = np.unique(block.detectors).tolist()
            members.update((no, source) for no in named)
            day.tables[source] = table._replace(entered=len(named) == len(table.numbers))
        data = encode_block(block)
        span = int(block.times.min()), int(block.times.max())
        rows.append((source, frame.seq, zlib.crc32(data), *span, len(block.times), data))
    fresh = members - day.members
    database.executemany("INSERT OR IGNORE INTO member VALUES (?, ?)", fresh)
    database.executemany(
        "INSERT OR IGNORE INTO block (source, seq, digest, from_us, to_us, rows, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    database.execute("COMMIT")
    day.members |= fresh


def _block(frame: FrameColumns, table: Any, mask: np.ndarray[Any, Any] | None) -> Block:
    detectors = table[frame.index]
    if mask is None:
        return Block(detectors, frame.times, frame.flags, frame.columns)
    columns = {number: column[mask] for number, column in frame.columns.items()}
    return Block(detectors[mask], frame.times[mask], frame.flags[mask], columns)


def _table(day: _Day, source: int, names: Sequence[str]) -> _Table:
    """The numbers of these detectors, remembered for the source's next frame."""
    known = day.tables.get(source)
    if known is None or (known.names is not names and known.names != names):
        known = _Table(names, np.array(_detector_numbers(day, names), np.uint32), False)
        day.tables[source] = known
    return known


def _detector_numbers(day: _Day, names: Sequence[str]) -> list[int]:
    known = day.detectors
    fresh = [name for name in names if name not in known]
    if fresh:
        database = day.connection
        database.executemany("INSERT OR IGNORE INTO detector (id) VALUES (?)", zip(fresh, strict=True))
        for start in range(0, len(fresh), _NAMES_AT_ONCE):
            part = fresh[start : start + _NAMES_AT_ONCE]
            marks = ", ".join("?" * len(part))
            known.update(
                database.execute(f"SELECT id, no FROM detector WHERE id IN ({marks})", part)  # noqa: S608
            )
    return [known[name] for name in names]


def _source_number(day: _Day, site: str, epoch: str) -> int:
    key = (site, epoch)
    if key not in day.sources:
        day.connection.execute("INSERT OR IGNORE INTO source (site, epoch) VALUES (?, ?)", key)
        (day.sources[key],) = day.connection.execute(
            "SELECT no FROM source WHERE site = ? AND epoch = ?", key
        ).fetchone()
    return day.sources[key]


@contextmanager
def _open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    # not mode=ro: the first to open what a killed process left has to take in its write-ahead log
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_TIMEOUT_S
    )
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'block'").fetchone():
        # its writer is just making it, or was killed doing so: there is nothing in it
        connection.close()
        connection = sqlite3.connect(":memory:")
        connection.executescript(_SCHEMA)
    try:
        connection.execute("PRAGMA query_only=ON")
        yield connection
    finally:
        connection.close()


def _last_block(database: sqlite3.Connection) -> int:
    (last,) = database.execute("SELECT coalesce(max(id), 0) FROM block").fetchone()
    return int(last)


def _frames_after(
    path: Path, after: int, until: int, names: dict[int, str]
) -> tuple[list[FrameColumns], int]:
    """Some blocks in the order of writing, and the last one's id. ``names`` remembers detectors."""
    if not path.exists():  # retention was faster
        return [], until
    with _open_for_reading(path) as database:
        found = database.execute(
            "SELECT b.id, s.site, s.epoch, b.seq, b.data FROM block b JOIN source s ON s.no = b.source"
            " WHERE b.id > ? AND b.id <= ? ORDER BY b.id LIMIT ?",
            (after, until, _BLOCKS_AT_ONCE),
        ).fetchall()
        frames = []
        for _, site, epoch, seq, data in found:
            block = decode_block(data)
            numbers, index = np.unique(block.detectors, return_inverse=True)
            if not names.keys() >= set(numbers.tolist()):
                names.update(database.execute("SELECT no, id FROM detector"))
            frames.append(
                FrameColumns(
                    site,
                    epoch,
                    seq,
                    [names[number] for number in numbers.tolist()],
                    index.astype(np.uint16),
                    block.times,
                    block.flags,
                    block.columns,
                )
            )
    return frames, found[-1][0] if found else until


def _detector_rows(
    path: Path, detector: str, from_us: int, to_us: int, wanted: set[int] | None
) -> Block:
    """The detector's rows of one day in order of time, each time once."""
    with _open_for_reading(path) as database:
        found = database.execute("SELECT no FROM detector WHERE id = ?", (detector,)).fetchone()
        if found is None:
            return _join([])
        blocks = database.execute(
            "SELECT b.data FROM member m JOIN block b ON b.source = m.source"
            " WHERE m.detector = ? AND b.to_us >= ? AND b.from_us < ? ORDER BY b.id",
            (found[0], from_us, to_us),
        )
        parts = []
        while some := blocks.fetchmany(_BLOCKS_AT_ONCE):
            rows = pick_rows([data for (data,) in some], found[0], wanted)
            parts.append(_masked(rows, (rows.times >= from_us) & (rows.times < to_us)))
    return _each_time_once(_join(parts))


def _masked(block: Block, mask: np.ndarray[Any, Any]) -> Block:
    return Block(
        block.detectors[mask],
        block.times[mask],
        block.flags[mask],
        {number: column[mask] for number, column in block.columns.items()},
    )


def _join(parts: Sequence[Block]) -> Block:
    if not parts:
        return Block(np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.uint32), {})
    numbers = sorted({number for part in parts for number in part.columns})
    return Block(
        np.concatenate([part.detectors for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.flags for part in parts]),
        {
            number: np.concatenate(
                [part.columns.get(number, np.full(len(part.times), np.nan)) for part in parts]
            )
            for number in numbers
        },
    )


def _each_time_once(block: Block) -> Block:
    """One detector's rows by time; of equal times the last written."""
    order = np.argsort(block.times, kind="stable")
    times = block.times[order]
    last = np.append(times[1:] != times[:-1], True)[: len(times)]
    keep = order[last]
    return Block(
        block.detectors[keep],
        block.times[keep],
        block.flags[keep],
        {number: column[keep] for number, column in block.columns.items()},
    )


def _count_day(path: Path, from_us: int, to_us: int) -> int:
    """Different (detector, time) of one day, site by site (a detector belongs to one site)."""
    total = 0
    with _open_for_reading(path) as database:
        for (site,) in database.execute("SELECT DISTINCT site FROM source").fetchall():
            keys = []
            blocks = database.execute(
                "SELECT b.data FROM block b JOIN source s ON s.no = b.source"
                " WHERE s.site = ? AND b.to_us >= ? AND b.from_us < ?",
                (site, from_us, to_us),
            )
            for (data,) in blocks:
                block = decode_block(data, set())
                mask = (block.times >= from_us) & (block.times < to_us)
                # (detector number, µs of the day) in one integer: a day has fewer than 2^37 µs
                keys.append(
                    (block.detectors[mask].astype(np.int64) << 37) | (block.times[mask] % DAY_US)
                )
            total += len(np.unique(np.concatenate(keys))) if keys else 0
    return total
