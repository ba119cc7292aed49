"""A look into a spool from outside, read-only, while its agent runs or not."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from edge.spool.files import SPOOL_NAME, is_marked_damaged
from edge.wire.clock import rfc3339


def inspect(path: Path) -> dict[str, Any]:
    """Epoch, store, what is queued, active alarms, samples of refused payloads, files set aside.

    ``path``: the data folder or the spool's file. Raises ``FileNotFoundError`` or
    ``sqlite3.DatabaseError`` when there is nothing that can be read.
    """
    file = path / SPOOL_NAME if path.is_dir() else path
    if not file.exists():
        raise FileNotFoundError(f"no spool at {file}")
    db = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)
    try:
        found = _read(db)
    finally:
        db.close()
    found["damaged"] = is_marked_damaged(file)
    found["set_aside"] = sorted(
        other.name
        for other in file.parent.glob(f"{file.name}.damaged-*")
        if not other.name.endswith(("-wal", "-shm"))
    )
    return found


def _read(db: sqlite3.Connection) -> dict[str, Any]:
    meta = dict(db.execute("SELECT key, value FROM meta"))

    def one(statement: str) -> Any:
        return db.execute(statement).fetchone()[0]

    pages = one("PRAGMA page_count") - one("PRAGMA freelist_count")
    return {
        "epoch": meta["epoch"],
        "store": meta.get("store"),
        "last_event": max(one("SELECT coalesce(max(seq), 0) FROM event"), meta.get("last_event", 0)),
        "last_frame": max(one("SELECT coalesce(max(seq), 0) FROM frame"), meta.get("last_frame", 0)),
        "queued_events": one("SELECT count(*) FROM event WHERE acked_us IS NULL"),
        "queued_frames": one("SELECT count(*) FROM frame WHERE acked_us IS NULL"),
        "queued_readings": one("SELECT coalesce(sum(readings), 0) FROM frame WHERE acked_us IS NULL"),
        "kept_events": one("SELECT count(*) FROM event"),
        "kept_frames": one("SELECT count(*) FROM frame"),
        "thinned_frames": one("SELECT count(*) FROM frame WHERE thinned > 0"),
        "bytes": pages * one("PRAGMA page_size"),
        "detectors": one("SELECT count(*) FROM state"),
        "active_alarms": [
            msgspec.json.decode(body) for (body,) in db.execute("SELECT body FROM active")
        ],
        "rejected": dict(
            db.execute(
                "SELECT verdict, count(*) FROM (SELECT verdict FROM event UNION ALL"
                " SELECT verdict FROM frame) WHERE verdict IS NOT NULL GROUP BY verdict"
            )
        ),
        "counters": msgspec.json.decode(meta.get("counters", "{}")),
        "bad_samples": [
            {
                "at": rfc3339(at_us),
                "topic": topic,
                "reason": reason,
                "detail": detail,
                "head": head.decode("utf-8", "backslashreplace"),
            }
            for at_us, topic, reason, detail, head in db.execute(
                "SELECT at_us, topic, reason, detail, head FROM sample ORDER BY n"
            )
        ],
    }
