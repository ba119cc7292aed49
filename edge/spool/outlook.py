"""The reading side of the spool: a second connection that never waits for a commit."""

from __future__ import annotations

import sqlite3
import threading
from itertools import zip_longest
from pathlib import Path

import msgspec

from edge.spool import schema
from edge.spool.rows import ActiveAlarm, PendingEvent, PendingFrame, Queued
from edge.wire.frames import decode_frame, encode_frame
from edge.wire.messages import Alarm

_alarm_decoder = msgspec.json.Decoder(Alarm)


class Outlook:
    """What is committed and what the city does not have yet. Any thread may ask."""

    #: under which epoch everything is sent
    epoch: str
    #: frames up to this one bear a former epoch in their bodies (see ``Spool.renew_epoch``)
    former_frames: int

    def __init__(self, path: Path) -> None:
        self._read_lock = threading.Lock()
        self._reader = schema.connect_reader(path)

    def close_outlook(self) -> None:
        """Close the second connection."""
        with self._read_lock:
            self._reader.close()

    def active(self) -> dict[tuple[str, str], ActiveAlarm]:
        """Every alarm that is not cleared, by (detector, kind)."""
        with self._read_lock:
            rows = self._reader.execute(
                "SELECT detector, kind, mono_us, boot, synced, body FROM active"
            ).fetchall()
        return {
            (detector, kind): ActiveAlarm(
                alarm=_alarm_decoder.decode(body), mono_us=mono_us, boot=boot, synced=bool(synced)
            )
            for detector, kind, mono_us, boot, synced, body in rows
        }

    def pending_events(self, limit: int, exclude: set[int]) -> list[PendingEvent]:
        """Events to send: by class, newest raise first; without those under way."""
        with self._read_lock:
            # the index alone says which; what is under way is not read again
            seqs = self._reader.execute(
                "SELECT seq FROM event WHERE acked_us IS NULL"
                " ORDER BY rank, raised_us DESC, seq LIMIT ?",
                (limit + len(exclude),),
            ).fetchall()
            rows = (
                self._reader.execute(
                    "SELECT seq, rank, at_us, mono_us, boot, synced, body FROM event WHERE seq=?",
                    (seq,),
                )
                for seq in [seq for (seq,) in seqs if seq not in exclude][:limit]
            )
            return [PendingEvent(*row) for answer in rows for row in answer]

    def pending_frames(self, limit: int, exclude: set[int]) -> list[PendingFrame]:
        """Frames to send: newest and oldest in turn, so that live data stays live behind a backlog."""
        with self._read_lock:
            newest, oldest = (
                [
                    seq
                    for (seq,) in self._reader.execute(
                        f"SELECT seq FROM frame WHERE acked_us IS NULL ORDER BY seq {order} LIMIT ?",  # noqa: S608
                        (limit + len(exclude),),
                    )
                    if seq not in exclude
                ]
                for order in ("DESC", "ASC")
            )
            mixed = [seq for pair in zip_longest(newest, oldest) for seq in pair if seq is not None]
            rows = (
                self._reader.execute("SELECT seq, readings, body FROM frame WHERE seq=?", (seq,))
                for seq in list(dict.fromkeys(mixed))[:limit]
            )
            found = [PendingFrame(*row) for answer in rows for row in answer]
        return [self._renewed(frame) if frame.seq <= self.former_frames else frame for frame in found]

    def _renewed(self, frame: PendingFrame) -> PendingFrame:
        body = msgspec.structs.replace(decode_frame(frame.body), epoch=self.epoch)
        return frame._replace(body=encode_frame(body))

    def queued_rows(self) -> Queued:
        """What the tables say of how far behind the city is."""
        with self._read_lock:
            (events,) = self._reader.execute(
                "SELECT count(*) FROM event WHERE acked_us IS NULL"
            ).fetchone()
            (readings,) = self._reader.execute(
                "SELECT coalesce(sum(readings), 0) FROM frame WHERE acked_us IS NULL"
            ).fetchone()
            used = _used_bytes(self._reader)
        return Queued(events, readings, used)

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        with self._read_lock:
            return _used_bytes(self._reader)


def _used_bytes(db: sqlite3.Connection) -> int:
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
