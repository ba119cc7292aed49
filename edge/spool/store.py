"""The spool itself: one writer, group commit, acknowledgements, room.

Any thread may call; one lock keeps the writers apart, and what the link reads goes over a second
connection that never waits for a commit. What an acknowledgement of a device's message depends on
is on the disk when ``commit`` returns (synchronous FULL); marks that may be lost without harm
(acknowledged by the city, thinned) are written without waiting for the disk.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from edge.spool import schema
from edge.spool.acknowledging import Acknowledger
from edge.spool.files import drop_ballast, is_short_of_room, mark_damaged, take_ballast
from edge.spool.outlook import Outlook
from edge.spool.rows import (
    ActiveAlarm,
    Batch,
    Draft,
    Queued,
    Room,
    Settled,
    SpoolDamaged,
    SpoolFailed,
    SpoolFull,
    Written,
)
from edge.spool.thinning import DROP_LEVEL, thin
from edge.spool.undated import MAX_UNDATED, Offset, bounded, dated, exact
from edge.wire.clock import EARLIEST_US, US_PER_S, Clock
from edge.wire.frames import MAX_READINGS, chunks, decode_frame, encode_frame, frame_from_readings
from edge.wire.identity import new_id
from edge.wire.messages import Ack, DeviceFact, Event
from edge.wire.readings import Reading

#: A frame is sent when it holds this many readings …
FRAME_READINGS = 500
#: … or when its oldest reading has waited this long (real seconds).
FRAME_LINGER_S = 1.0
#: Acknowledged data is kept this long within the quota, for a city restored from a backup.
KEEP_ACKED_US = 7 * 24 * 3600 * US_PER_S
#: Refused payloads kept for the doctor.
MAX_SAMPLES = 20
#: Rows that housekeeping takes at a time, so that a commit waits for it only milliseconds.
_CHUNK = 100
#: Making room goes on down to this share of the quota, so that it is not done at every commit.
_ROOM_TARGET = 0.9
#: Frames whose readings are read back at the start as the memory of duplicates.
RECENT_FRAMES = 64

_tail_encoder = msgspec.msgpack.Encoder()
_tail_decoder = msgspec.msgpack.Decoder(list[Reading])
_fact_decoder = msgspec.json.Decoder(DeviceFact)
_silence_decoder = msgspec.json.Decoder(dict[str, int])
_json = msgspec.json.Encoder()

_FULL_CODES = frozenset({sqlite3.SQLITE_FULL})
_DAMAGE_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def _no_probe(point: str) -> None:
    """Called at every commit point; a test that kills the process there gives another."""


class Spool(Outlook):
    """A site's spool (see the module). Open it only while its ``DataFolder`` is held."""

    def __init__(
        self,
        path: Path,
        *,
        site: str,
        boot: str,
        clock: Clock,
        quota_bytes: int,
        frame_readings: int = FRAME_READINGS,
        frame_linger_s: float = FRAME_LINGER_S,
        probe: Callable[[str], None] = _no_probe,
    ) -> None:
        if not 1 <= frame_readings <= MAX_READINGS:
            raise ValueError(f"frame_readings is {frame_readings}; expected 1 to {MAX_READINGS}")
        self.path = path
        self.site = site
        self.boot = boot
        self._clock = clock
        self._quota_bytes = quota_bytes
        self._frame_readings = frame_readings
        self._frame_linger_s = frame_linger_s
        self._probe = probe
        self._lock = threading.RLock()
        self._db, self.reset = schema.open_or_reset(path, clock.now_us())
        super().__init__(path)
        take_ballast(path)
        self._load()

    def _load(self) -> None:
        meta = dict(self._db.execute("SELECT key, value FROM meta"))
        self.epoch: str = meta["epoch"]
        self.last_alarm_us: int = meta.get("alarm_now_us", 0)
        self.last_mono_us: int = meta.get("mono_us", 0)
        self.last_boot: str = meta.get("boot", "")
        self.last_event_seq = self._last("event", meta)
        self.last_frame_seq = self._last("frame", meta)
        self._acknowledger = Acknowledger(self._db, self.site, self.epoch, meta.get("store"))
        self.former_frames = meta.get("former_frames", 0)
        self._open: list[Reading] = []
        for (body,) in self._db.execute("SELECT body FROM tail ORDER BY n"):
            self._open += _tail_decoder.decode(body)
        self._open_since_s = time.monotonic() if self._open else None
        self._certain_us: int = meta.get("certain_us", EARLIEST_US)
        #: readings that wait for the clock
        (self.undated,) = self._db.execute("SELECT coalesce(sum(readings), 0) FROM undated").fetchone()

    def _last(self, table: str, meta: dict[str, int]) -> int:
        (newest,) = self._db.execute(f"SELECT max(seq) FROM {table}").fetchone()  # noqa: S608
        return max(newest or 0, meta.get(f"last_{table}", 0))

    @property
    def store(self) -> str | None:
        """The id of the city's store, as last heard."""
        return self._acknowledger.store

    def close(self) -> None:
        """Close the files. Nothing is lost without it."""
        self.close_outlook()
        with self._lock:
            self._db.close()

    # -- committing ---------------------------------------------------------------------------

    def seal_in_s(self) -> float | None:
        """Real seconds until a frame is due; None while there is nothing to seal."""
        since_s = self._open_since_s
        if since_s is None:
            return None
        return max(0.0, since_s + self._frame_linger_s - time.monotonic())

    def commit(self, batch: Batch, *, seal: bool = False) -> Written:
        """Write the batch in one transaction; when this returns it survives a power cut.

        ``seal``: cut the last, unfinished frame too. The answer says what the link may send now.
        Raises ``SpoolFull`` (nothing was written), ``SpoolDamaged`` or ``SpoolFailed``.
        """
        with self._lock, self._transaction():
            self._probe("begun")
            frames, rest = self._cut(batch.readings, seal=seal)
            self._write_frames(frames)
            self._write_tail(batch.readings, rest, sealed=bool(frames))
            self._write_undated(batch.undated)
            self._probe("readings")
            self._write_events(batch.drafts)
            self._probe("events")
            self._write_states(batch)
            self._write_small(batch)
            self._write_meta(batch, len(frames))
            self._probe("written")
            self._db.execute("COMMIT")
            self._probe("committed")
            self.last_event_seq += len(batch.drafts)
            self.last_frame_seq += len(frames)
            self.undated += len(batch.undated)
            self._certain_us = batch.wall_us or self._certain_us
            had_open = bool(self._open) and not frames
            self._open = rest
            if not rest:
                self._open_since_s = None
            elif not had_open:
                self._open_since_s = time.monotonic()
        return Written(len(batch.drafts), len(frames))

    def _cut(self, new: list[Reading], *, seal: bool) -> tuple[list[list[Reading]], list[Reading]]:
        """Whole frames, and the readings that wait for theirs."""
        size = self._frame_readings
        due = seal or self.seal_in_s() == 0.0
        readings = self._open + new
        whole = len(readings) if due else len(readings) - len(readings) % size
        return [readings[at : at + size] for at in range(0, whole, size)], readings[whole:]

    def _write_frames(
        self, frames: Sequence[list[Reading]], *, error_us: int = 0, skip: int = 0
    ) -> None:
        rows = []
        for seq, readings in enumerate(frames, self.last_frame_seq + skip + 1):
            frame = frame_from_readings(self.site, self.epoch, seq, readings, time_error_us=error_us)
            rows.append((seq, len(readings), encode_frame(frame)))
        self._db.executemany("INSERT INTO frame(seq, readings, body) VALUES(?,?,?)", rows)

    def _write_tail(self, new: list[Reading], rest: list[Reading], *, sealed: bool) -> None:
        if sealed:
            self._db.execute("DELETE FROM tail")
        addition = rest if sealed else new
        if addition:
            self._db.execute("INSERT INTO tail(body) VALUES(?)", (_tail_encoder.encode(addition),))

    def _write_undated(self, readings: list[Reading]) -> None:
        if not readings:
            return
        times = [reading.time_us for reading in readings]
        self._db.execute(
            "INSERT INTO undated(boot, after_us, readings, first_us, last_us, body)"
            " VALUES(?,?,?,?,?,?)",
            (self.boot, self._certain_us, len(readings), min(times), max(times),
             _tail_encoder.encode(readings)),
        )  # fmt: skip

    def date_undated(self) -> Written:
        """The clock is set: what waited for it becomes frames. Raises as ``commit`` does."""
        wall_us, mono_us = self._clock.now_us(), self._clock.monotonic_us()
        with self._lock, self._transaction():
            frames = 0
            for boot, after_us, first_us, last_us in self._db.execute(
                "SELECT boot, min(after_us), min(first_us), max(last_us) FROM undated GROUP BY boot"
            ).fetchall():
                offset = bounded(after_us, wall_us, first_us, last_us)
                if boot == self.boot:
                    offset = exact(wall_us, mono_us)
                for readings in chunks(self._dated(boot, offset), self._frame_readings):
                    self._write_frames([readings], error_us=offset.error_us, skip=frames)
                    frames += 1
            self._db.execute("DELETE FROM undated")
            self._write_meta(Batch(), frames)
            self._probe("dated")
            self._db.execute("COMMIT")
            self.last_frame_seq += frames
            self.undated = 0
        return Written(0, frames)

    def _dated(self, boot: str, offset: Offset) -> Iterator[Reading]:
        for (body,) in self._db.execute("SELECT body FROM undated WHERE boot=? ORDER BY n", (boot,)):
            yield from dated(_tail_decoder.decode(body), offset)

    def _write_events(self, drafts: Sequence[Draft]) -> None:
        rows = []
        for seq, draft in enumerate(drafts, self.last_event_seq + 1):
            event = Event(
                site=self.site,
                epoch=self.epoch,
                seq=seq,
                at_us=draft.at_us,
                transition=draft.transition,
                alarm=draft.alarm,
                device=draft.device,
                camera=draft.camera,
                note=draft.note,
                note_values=draft.note_values,
                clock_synced=draft.synced,
            )
            rows.append(
                (seq, draft.rank, draft.raised_us, draft.at_us, draft.mono_us, self.boot,
                 draft.synced, _json.encode(event))
            )  # fmt: skip
        self._db.executemany(
            "INSERT INTO event(seq, rank, raised_us, at_us, mono_us, boot, synced, body)"
            " VALUES(?,?,?,?,?,?,?,?)",
            rows,
        )

    def _write_states(self, batch: Batch) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO state VALUES(?,?)",
            [(key, body) for key, body in batch.states.items() if body is not None],
        )
        self._db.executemany(
            "DELETE FROM state WHERE detector=?",
            [(key,) for key, body in batch.states.items() if body is None],
        )
        for (detector, kind), active in batch.active.items():
            if active is None:
                self._db.execute("DELETE FROM active WHERE detector=? AND kind=?", (detector, kind))
                continue
            self._db.execute(
                "INSERT OR REPLACE INTO active VALUES(?,?,?,?,?,?)",
                (detector, kind, active.mono_us, active.boot, active.synced,
                 _json.encode(active.alarm)),
            )  # fmt: skip

    def _write_small(self, batch: Batch) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO device VALUES(?,?)",
            [(key, _json.encode(fact)) for key, fact in batch.devices.items() if fact is not None],
        )
        self._db.executemany(
            "DELETE FROM device WHERE detector=?",
            [(key,) for key, fact in batch.devices.items() if fact is None],
        )
        self._db.executemany("INSERT OR REPLACE INTO command VALUES(?,?)", list(batch.commands.items()))
        for target, until_us in batch.tests.items():
            self._db.execute("DELETE FROM test_mode WHERE target=?", (target,))
            if until_us is not None:
                self._db.execute("INSERT INTO test_mode VALUES(?,?)", (target, until_us))
        if batch.samples:
            self._db.executemany(
                "INSERT INTO sample(at_us, topic, reason, detail, head) VALUES(?,?,?,?,?)",
                [(s.at_us, s.topic, s.reason, s.detail, s.head) for s in batch.samples],
            )
            self._db.execute(
                "DELETE FROM sample WHERE n <= (SELECT max(n) FROM sample) - ?", (MAX_SAMPLES,)
            )

    def _write_meta(self, batch: Batch, frames: int) -> None:
        values: list[tuple[str, int | str]] = []
        if batch.drafts:
            values.append(("last_event", self.last_event_seq + len(batch.drafts)))
        if frames:
            values.append(("last_frame", self.last_frame_seq + frames))
        if batch.alarm_now_us:
            values += [
                ("alarm_now_us", batch.alarm_now_us),
                ("mono_us", batch.mono_us),
                ("boot", self.boot),
            ]
        if batch.wall_us:
            values.append(("certain_us", batch.wall_us))
        if batch.silenced is not None:
            values.append(("silenced", _json.encode(batch.silenced).decode()))
        if batch.counters is not None:
            values.append(("counters", _json.encode(batch.counters).decode()))
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", values)

    @contextlib.contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[None]:
        """Begin; the body commits. Whatever goes wrong is rolled back and named."""
        try:
            if not durable:
                self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("BEGIN IMMEDIATE")
            yield
        except sqlite3.DatabaseError as error:
            self._roll_back()
            raise self._named(error) from error
        except BaseException:
            self._roll_back()
            raise
        finally:
            if not durable:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("PRAGMA synchronous=FULL")

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def _named(self, error: sqlite3.DatabaseError) -> Exception:
        code = getattr(error, "sqlite_errorcode", None)
        primary = code & 0xFF if code is not None else None
        if primary in _DAMAGE_CODES:
            mark_damaged(self.path)
            return SpoolDamaged(f"{self.path}: {error}")
        if primary in _FULL_CODES or (primary == sqlite3.SQLITE_IOERR and is_short_of_room(self.path)):
            return SpoolFull(f"{self.path}: {error}", eased=drop_ballast(self.path))
        if isinstance(error, sqlite3.OperationalError):
            return SpoolFailed(f"{self.path}: {error}")
        return error

    # -- reading back -------------------------------------------------------------------------

    def states(self) -> dict[str, bytes]:
        """Every detector's alarm state."""
        return dict(self._db.execute("SELECT detector, body FROM state"))

    def devices(self) -> dict[str, DeviceFact]:
        """What is known of every device seen."""
        rows = self._db.execute("SELECT detector, body FROM device")
        return {detector: _fact_decoder.decode(body) for detector, body in rows}

    def tests(self) -> dict[str, int]:
        """Targets in test mode and when it ends."""
        return dict(self._db.execute("SELECT target, until_us FROM test_mode"))

    def silenced(self) -> dict[str, int]:
        """Alarms that sirens are silent about, and until when (alarm time)."""
        row = self._db.execute("SELECT value FROM meta WHERE key='silenced'").fetchone()
        return _silence_decoder.decode(row[0]) if row is not None else {}

    def commands(self) -> dict[str, int]:
        """Ids of commands that were used, and when they expire."""
        return dict(self._db.execute("SELECT id, expires_us FROM command"))

    def recent_readings(self) -> Iterator[Reading]:
        """The newest readings, older first: the memory of duplicates after a restart."""
        rows = self._db.execute(
            "SELECT body FROM (SELECT seq, body FROM frame ORDER BY seq DESC LIMIT ?) ORDER BY seq",
            (RECENT_FRAMES,),
        )
        for (body,) in rows:
            yield from decode_frame(body).readings()
        yield from self._open

    def snapshot(self) -> tuple[int, dict[tuple[str, str], ActiveAlarm]]:
        """The newest event's sequence and the active alarms that go with it."""
        with self._lock:
            return self.last_event_seq, self.active()

    def queued(self) -> Queued:
        """How far behind the city is."""
        queued = self.queued_rows()
        return queued._replace(readings=queued.readings + len(self._open) + self.undated)

    # -- acknowledgements ---------------------------------------------------------------------

    def acknowledge(self, acks: Sequence[Ack]) -> Settled:
        """Mark what the city has stored; forget an older store's word when the store changed."""
        with self._lock, self._transaction(durable=False):
            settled = self._acknowledger.apply(acks, self._clock.now_us(), self.last_event_seq)
            self._probe("acknowledging")
            self._db.execute("COMMIT")
            self._acknowledger.applied()
            return settled

    def renew_epoch(self) -> str:
        """Begin a new epoch: the city knows more of this one than the spool, which is an older copy.

        What is in the spool keeps its sequence and is sent under the new epoch; the next snapshot
        closes in the city what the copy does not know. Raises as ``commit`` does.
        """
        epoch = new_id()
        with self._lock, self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO meta VALUES(?,?)",
                [("epoch", epoch), ("former_frames", self.last_frame_seq)],
            )
            self._probe("renewing")
            self._db.execute("COMMIT")
            self._probe("renewed")
            self.epoch, self.former_frames = epoch, self.last_frame_seq
            self._acknowledger.epoch = epoch
        return epoch

    # -- housekeeping -------------------------------------------------------------------------

    def restock(self) -> bool:
        """Hold room back again after a full disk; False: it is still full."""
        return take_ballast(self.path)

    def keep_house(self) -> Room:
        """Drop what is old, then make room within the quota by the stated rule."""
        now_us = self._clock.now_us()
        for table in ("event", "frame"):
            while self._chunk(
                f"DELETE FROM {table} WHERE seq IN (SELECT seq FROM {table}"  # noqa: S608
                " WHERE acked_us < ? LIMIT ?)",
                (now_us - KEEP_ACKED_US, _CHUNK),
            ):
                pass
        self._chunk("DELETE FROM command WHERE expires_us < ?", (now_us - KEEP_ACKED_US,))
        room = self.make_room()
        room.dropped_readings += self._drop_undated()
        if self.used_bytes() < self._quota_bytes:
            take_ballast(self.path)
        return room

    def make_room(self, *, at_least_bytes: int = 0) -> Room:
        """Bring the spool within its quota: first what is acknowledged, then by the stated rule.

        ``at_least_bytes``: free this much even below the quota (the disk itself is full). What is
        freed is room inside the file, for what comes next; more than that would be given up in vain.
        """
        room = Room()
        if at_least_bytes:
            # only a log that was carried over can be written from its beginning again
            with self._lock, contextlib.suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        used = self.used_bytes()
        if used <= self._quota_bytes and not at_least_bytes:
            return room
        target = min(int(self._quota_bytes * _ROOM_TARGET), used - at_least_bytes)
        while self.used_bytes() > target:
            dropped = self._chunk(
                "DELETE FROM frame WHERE seq IN (SELECT seq FROM frame"
                " WHERE acked_us IS NOT NULL ORDER BY acked_us, seq LIMIT ?)",
                (_CHUNK,),
            )
            dropped = dropped or self._chunk(
                "DELETE FROM event WHERE seq IN (SELECT seq FROM event"
                " WHERE acked_us IS NOT NULL ORDER BY acked_us, seq LIMIT ?)",
                (_CHUNK,),
            )
            room.dropped_acked += dropped
            if not dropped and not self._thin_oldest(room):
                break
        return room

    def _drop_undated(self) -> int:
        """The oldest undated readings go when there are too many."""
        dropped = 0
        with self._lock, self._transaction(durable=False):
            while self.undated - dropped > MAX_UNDATED:
                row = self._db.execute("SELECT n, readings FROM undated ORDER BY n LIMIT 1").fetchone()
                self._db.execute("DELETE FROM undated WHERE n=?", (row[0],))
                dropped += row[1]
            self._db.execute("COMMIT")
            self.undated -= dropped
        return dropped

    def _chunk(self, statement: str, arguments: tuple[int, ...]) -> int:
        with self._lock, self._transaction(durable=False):
            changed = self._db.execute(statement, arguments).rowcount
            self._db.execute("COMMIT")
            return changed

    def _thin_oldest(self, room: Room) -> bool:
        """One chunk of the oldest frames of the lowest level thinned by one; False: none is left."""
        with self._lock, self._transaction(durable=False):
            rows = self._db.execute(
                "SELECT seq, readings, thinned + 1, body FROM frame WHERE acked_us IS NULL"
                " ORDER BY thinned, seq LIMIT ?",
                (_CHUNK // 10,),
            ).fetchall()
            for seq, readings, level, body in rows:
                self._thin(seq, readings, level, body, room)
            self._db.execute("COMMIT")
        return bool(rows)

    def _thin(self, seq: int, readings: int, level: int, body: bytes, room: Room) -> None:
        if level >= DROP_LEVEL:
            self._db.execute("DELETE FROM frame WHERE seq=?", (seq,))
            room.dropped_readings += readings
            return
        thinned = thin(decode_frame(body), level)
        room.thinned_readings += readings - thinned.count
        self._db.execute(
            "UPDATE frame SET readings=?, thinned=?, body=? WHERE seq=?",
            (thinned.count, level, encode_frame(thinned), seq),
        )
