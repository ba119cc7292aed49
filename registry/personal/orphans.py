"""Files of the file store that no record names: an upload that was broken off, or detached since.

A file's age is its own (when it was written), so one that is being attached just now is left alone.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from sqlalchemy import select

from edge.wire.clock import US_PER_S
from registry.db import Database
from registry.specifications.models import SpecificationAttachment

#: The file store's folder in the data folder.
FOLDER: Final = "files"


async def orphans(database: Database, data_dir: Path, older_us: int) -> list[Path]:
    """Files older than a moment (µs) that nothing refers to; begun and never finished ones too."""
    found = await asyncio.to_thread(_old, data_dir / FOLDER, older_us)
    if not found:
        return []
    async with database.read() as session:
        named = set(await session.scalars(select(SpecificationAttachment.sha256).distinct()))
    return [path for path in found if path.name not in named]


async def drop(paths: list[Path]) -> int:
    """Delete them; how many were still there."""
    return await asyncio.to_thread(_unlink, paths)


def _old(folder: Path, older_us: int) -> list[Path]:
    if not folder.is_dir():
        return []
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in files if path.stat().st_mtime * US_PER_S < older_us)


def _unlink(paths: list[Path]) -> int:
    gone = 0
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        gone += 1
    return gone
