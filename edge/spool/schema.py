"""The spool's tables, and opening its file: sound, new, or damaged and set aside."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from edge.spool.files import is_marked_damaged, set_aside
from edge.spool.rows import SpoolDamaged
from edge.wire.identity import new_id

SCHEMA_VERSION = 1
#: A file up to this size is checked whole at the start; a larger one as far as it is read.
CHECKED_BYTES = 32 << 20
#: The log is kept at this size between commits, so that a full disk still takes one more.
WAL_BYTES = 4 << 20
#: The log goes into the main file at this many pages (2 MB): less than the room held back for it.
CHECKPOINT_PAGES = 500
_PAGE_BYTES = 4096

_TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE event(
  seq INTEGER PRIMARY KEY, rank INTEGER NOT NULL, raised_us INTEGER NOT NULL, at_us INTEGER NOT NULL,
  mono_us INTEGER NOT NULL, boot TEXT NOT NULL, synced INTEGER NOT NULL, body BLOB NOT NULL,
  acked_us INTEGER, verdict TEXT);
CREATE INDEX event_pending ON event(rank, raised_us DESC, seq) WHERE acked_us IS NULL;
CREATE INDEX event_acked ON event(acked_us) WHERE acked_us IS NOT NULL;
CREATE TABLE frame(
  seq INTEGER PRIMARY KEY, readings INTEGER NOT NULL, thinned INTEGER NOT NULL DEFAULT 0,
  acked_us INTEGER, verdict TEXT, body BLOB NOT NULL);
CREATE INDEX frame_pending ON frame(seq, readings) WHERE acked_us IS NULL;
CREATE INDEX frame_to_thin ON frame(thinned, seq) WHERE acked_us IS NULL;
CREATE INDEX frame_acked ON frame(acked_us, seq) WHERE acked_us IS NOT NULL;
CREATE TABLE tail(n INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE undated(
  n INTEGER PRIMARY KEY, boot TEXT NOT NULL, after_us INTEGER NOT NULL, readings INTEGER NOT NULL,
  first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE state(detector TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE active(
  detector TEXT NOT NULL, kind TEXT NOT NULL, mono_us INTEGER NOT NULL, boot TEXT NOT NULL,
  synced INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(detector, kind)) WITHOUT ROWID;
CREATE TABLE device(detector TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE command(id TEXT PRIMARY KEY, expires_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE test_mode(target TEXT PRIMARY KEY, until_us INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE sample(
  n INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL, topic TEXT NOT NULL,
  reason TEXT NOT NULL, detail TEXT NOT NULL, head BLOB NOT NULL);
"""


def connect(path: Path) -> sqlite3.Connection:
    """A connection whose commits survive a power cut. Transactions are spelled out by its user."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    db.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
    db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
    db.execute("PRAGMA cache_size=-4096")
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """A second connection that only reads and never waits for the writer."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    db.execute("PRAGMA query_only=ON")
    db.execute("PRAGMA cache_size=-2048")
    return db


def open_or_reset(path: Path, now_us: int) -> tuple[sqlite3.Connection, dict[str, str] | None]:
    """The spool's connection; and, if a damaged file was set aside, why and under which name."""
    why = "damage showed while running" if is_marked_damaged(path) else None
    if why is None:
        try:
            return _open(path), None
        except SpoolDamaged as damage:
            why = str(damage)
    aside = set_aside(path, now_us)
    return _open(path), {"reason": why, "file": aside.name}


def _open(path: Path) -> sqlite3.Connection:
    new = not path.exists() or path.stat().st_size == 0
    db: sqlite3.Connection | None = None
    try:
        db = connect(path)
        if new:
            _create(db)
        _check(db, path)
    except sqlite3.DatabaseError as error:
        if db is not None:
            db.close()
        if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
            raise
        raise SpoolDamaged(str(error)) from None
    except SpoolDamaged:
        if db is not None:
            db.close()
        raise
    return db


def _create(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";"):
        if statement.strip():
            db.execute(statement)
    db.execute("INSERT INTO meta VALUES('epoch', ?)", (new_id(),))
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    db.execute("COMMIT")


def _check(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA_VERSION:
        raise SpoolDamaged(f"schema version {version}; expected {SCHEMA_VERSION}")
    if path.stat().st_size <= CHECKED_BYTES:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise SpoolDamaged(str(verdict))
    if db.execute("SELECT value FROM meta WHERE key='epoch'").fetchone() is None:
        raise SpoolDamaged("it has no epoch")
