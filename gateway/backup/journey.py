"""``take`` a backup of a running city, ``bring_back`` the city from one, ``inspect`` what one holds."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, make_url, select

from gateway import restore, schema
from gateway.backup import tables
from gateway.backup.archive import PART_BYTES, ArchiveError, Part, Writer, reading, writing
from gateway.settings import GatewaySettings
from registry import audit
from registry.db import Database
from registry.models import AuditEntry

FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
#: Folders of the data folder that hold files of the register, such as attachments.
FILE_FOLDERS: Final = ("attachments", "files", "evidence")
_LAST_HASH: Final = select(AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)
Say = Callable[[str], None]


class RestoreError(Exception):
    """The city was not brought back; one line says why. What was there before is untouched."""


@dataclass(frozen=True)
class Manifest:
    """What a backup holds. ``rows`` by table; ``audit_head`` is the last hash of the audit chain."""

    format: int
    made: str
    program: str
    revision: str
    rows: dict[str, int] = field(default_factory=dict)
    audit_head: str = ""
    readings: list[str] = field(default_factory=list)
    files: int = 0
    keys: bool = False


async def take(
    settings: GatewaySettings,
    into: Path,
    recipient: Any,
    *,
    with_readings: bool,
    with_keys: bool,
    say: Say,
) -> Manifest:
    """A backup of the city as it is at one instant; it may be running.

    Raises ``ArchiveError``, ``DatabaseUnavailable``, ``SchemaError``, ``OSError``.
    """
    _need_city(settings.effective_database_url)
    database = Database(settings.effective_database_url)
    try:
        await database.check()
        revision = await schema.current(database)
        if revision is None:
            raise ArchiveError(f"{database} is empty: there is no city to keep")
        options = {} if database.is_sqlite else {"isolation_level": "REPEATABLE READ"}
        async with database.engine.connect() as plain:
            connection = await plain.execution_options(**options)
            with writing(into, recipient) as out:
                rows = await connection.run_sync(_write_tables, out, say)
                head = await connection.scalar(_LAST_HASH)
                extra = await asyncio.to_thread(_write_files, settings, out, with_readings, with_keys)
                manifest = Manifest(
                    FORMAT, datetime.now(UTC).isoformat(timespec="seconds"), version("utaa"), revision,
                    rows, head or "", **extra,
                )  # fmt: skip
                out.add(_MANIFEST, json.dumps(asdict(manifest), indent=1).encode())
    finally:
        await database.close()
    return manifest


def _need_city(url: str) -> None:
    """Opening an SQLite file that is not there would make an empty one."""
    file = Path(make_url(url).database or "")
    if url.startswith("sqlite") and not file.exists():
        raise ArchiveError(f"{file} does not exist: there is no city to keep")


def _write_tables(connection: Connection, out: Writer, say: Say) -> dict[str, int]:
    plan = tables.Plan(connection)
    counts: dict[str, int] = {}
    for number, table in enumerate(plan.tables, start=1):
        count = 0
        for part, lines in enumerate(_cut(tables.rows_of(connection, table)), start=1):
            out.add(f"tables/{table.name}/{part:06}", b"".join(lines))
            count += len(lines)
        counts[table.name] = count
        if count:
            say(f"{number}/{len(plan.tables)} {table.name}: {count} rows")
    return counts


def _cut(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line)
        if size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _write_files(
    settings: GatewaySettings, out: Writer, with_readings: bool, with_keys: bool
) -> dict[str, Any]:
    files = 0
    for folder in FILE_FOLDERS:
        for path in sorted((settings.data_dir / folder).rglob("*")):
            if path.is_file():
                out.add_file(f"files/{path.relative_to(settings.data_dir)}", path)
                files += 1
    kept: list[str] = []
    if with_readings and settings.effective_store == "sqlite":
        kept = [
            _copy_day(path, out)
            for path in sorted((settings.data_dir / "readings").glob("readings-*.sqlite"))
        ]
    if with_keys:
        out.add("keys/ring", settings.effective_key_file.read_bytes())
    return {"readings": kept, "files": files, "keys": with_keys}


def _copy_day(path: Path, out: Writer) -> str:
    """A file of the reading store, whole as of one instant although it is being written to."""
    copy = path.with_name(f".{path.name}.backup")
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        out.add_file(f"readings/{path.name}", copy)
    finally:
        copy.unlink(missing_ok=True)
    return path.name


async def inspect(source: Path, identity: Any) -> Manifest:
    """What a backup holds, read to its end. Raises ``ArchiveError``."""

    def walk() -> Manifest:
        found: Manifest | None = None
        counted: dict[str, int] = {}
        with reading(source, identity) as parts:
            for part in parts:
                if part.name == _MANIFEST:
                    found = _manifest(source, part)
                elif part.name.startswith("tables/"):
                    name = part.name.split("/")[1]
                    counted[name] = counted.get(name, 0) + part.content.count(b"\n")
        return _complete(source, found, counted)

    return await asyncio.to_thread(walk)


def _manifest(source: Path, part: Part) -> Manifest:
    try:
        manifest = Manifest(**json.loads(part.content))
    except (ValueError, TypeError):
        raise ArchiveError(f"{source}: its manifest is not readable") from None
    if manifest.format != FORMAT:
        raise ArchiveError(f"{source} has format {manifest.format}; this program reads {FORMAT}")
    return manifest


def _complete(source: Path, manifest: Manifest | None, counted: dict[str, int]) -> Manifest:
    if manifest is None:
        raise ArchiveError(f"{source} has no manifest: it was not written to its end")
    wanted = {name: count for name, count in manifest.rows.items() if count}
    if wanted != counted:
        raise ArchiveError(
            f"{source}: rows are missing from {sorted(wanted.items() ^ counted.items())}"
        )
    return manifest


async def bring_back(
    settings: GatewaySettings, source: Path, identity: Any, *, say: Say
) -> tuple[Manifest, str]:
    """The city in an empty database of either kind; the manifest and the new store id.

    The backup is read whole and checked before anything is touched. Raises ``RestoreError``,
    ``ArchiveError``, ``SchemaError``, ``DatabaseUnavailable``, ``OSError``.
    """
    manifest = await inspect(source, identity)
    say(f"{source}: made {manifest.made}, {sum(manifest.rows.values())} rows, whole")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.effective_database_url)
    try:
        await database.check()
        await _make_tables(database, manifest)
        async with database.engine.connect() as plain:
            connection = await plain.execution_options(utaa_write=True)
            async with connection.begin():
                await connection.run_sync(_read_tables, source, identity, manifest, settings, say)
        await schema.upgrade(database)
        async with database.read() as session:
            verdict = await audit.verify(session)
        if not verdict.ok or (manifest.audit_head and verdict.head != manifest.audit_head):
            raise RestoreError(f"the audit chain does not hold: {verdict.reason or 'another head'}")
    finally:
        await database.close()
    store, _ = await restore.new_store_id(settings)
    return manifest, store


async def _make_tables(database: Database, manifest: Manifest) -> None:
    if await schema.current(database) is not None:
        async with database.engine.connect() as connection:
            held = await connection.run_sync(lambda c: tables.is_empty(c, tables.Plan(c)))
        if held is not None:
            raise RestoreError(
                f"{database} holds a city already ({held} is not empty); restore into an empty database"
            )
        if await schema.current(database) != manifest.revision:
            raise RestoreError(f"{database} has tables of another revision; use an empty database")
        return
    await schema.upgrade_to(database, manifest.revision)


def _read_tables(
    connection: Connection,
    source: Path,
    identity: Any,
    manifest: Manifest,
    settings: GatewaySettings,
    say: Say,
) -> None:
    plan = tables.Plan(connection)
    for table in reversed(plan.tables):  # what ships with the program came in with the tables
        connection.execute(table.delete())
    with reading(source, identity) as parts:
        for part in parts:
            kind, _, rest = part.name.partition("/")
            if kind == "tables":
                name = rest.split("/")[0]
                table = plan.table(name)
                if table is None:
                    raise RestoreError(f"{source}: there is no table {name} in this revision")
                tables.insert_rows(connection, plan, table, part.content.splitlines(keepends=True))
            elif kind in ("files", "readings"):
                _append(settings.data_dir, kind, rest, part)
            elif kind == "keys":
                _put_key(settings, part.content, say)
    tables.fill_later(connection, plan)
    tables.set_counters(connection, plan)
    for table in plan.tables:
        if (wanted := manifest.rows.get(table.name)) is not None:
            found = len(connection.execute(select(*table.primary_key.columns)).all())
            if found != wanted:
                raise RestoreError(f"{table.name}: {found} rows came in, {wanted} were kept")


def _append(data_dir: Path, kind: str, rest: str, part: Part) -> None:
    inside, _, number = rest.rpartition("/")
    path = data_dir / ("readings/" + inside if kind == "readings" else inside)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb" if number == "000001" else "ab") as file:
        file.write(part.content)


def _put_key(settings: GatewaySettings, content: bytes, say: Say) -> None:
    path = settings.effective_key_file
    if path.exists():
        if path.read_bytes() != content:
            raise RestoreError(f"{path} holds other keys; move it away, then restore again")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
    say(f"the key ring is back in {path}")
