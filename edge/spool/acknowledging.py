"""Acknowledgements: what the city has durably stored, and which store said so."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from edge.spool.rows import Settled
from edge.wire.messages import Ack

#: After the store changed, the former one's late answers are ignored this long (real seconds); a
#: former store that still answers after it is the one in use again.
FORMER_STORE_S = 60.0
_TABLE = {"events": "event", "frames": "frame"}


class Acknowledger:
    """Applies acknowledgements inside the spool's transaction."""

    def __init__(self, db: sqlite3.Connection, site: str, epoch: str, store: str | None) -> None:
        self._db = db
        self._site = site
        self.epoch = epoch
        self.store = store
        self._next_store = store
        self._former: dict[str, float] = {}

    def apply(self, acks: Sequence[Ack], now_us: int, last_event_seq: int) -> Settled:
        """Mark rows; nothing of it counts before ``applied``. Other epochs' words are ignored.

        ``last_event_seq``: the newest event in the spool; the city cannot have a newer one.
        """
        settled = Settled()
        self._next_store = self.store
        for ack in acks:
            if ack.site != self._site or ack.epoch != self.epoch:
                continue
            if ack.store != self._next_store and not self._change_store(ack.store, settled):
                continue
            if ack.newest_event is not None and ack.newest_event > last_event_seq:
                settled.overtaken = True
                continue
            self._mark(ack, now_us, settled)
        return settled

    def applied(self) -> None:
        """The transaction is committed."""
        if self._next_store != self.store:
            if self.store is not None:
                self._former[self.store] = time.monotonic() + FORMER_STORE_S
            self.store = self._next_store

    def _change_store(self, store: str, settled: Settled) -> bool:
        """False: a late word of a former store."""
        if self._former.get(store, 0.0) > time.monotonic():
            return False
        if self._next_store is not None:
            for table in _TABLE.values():
                self._db.execute(
                    f"UPDATE {table} SET acked_us=NULL, verdict=NULL WHERE acked_us IS NOT NULL"  # noqa: S608
                )
            settled.store_changed = True
            settled.events.clear()
            settled.frames.clear()
            settled.snapshots.clear()
        self._db.execute("INSERT OR REPLACE INTO meta VALUES('store', ?)", (store,))
        self._next_store = store
        return True

    def _mark(self, ack: Ack, now_us: int, settled: Settled) -> None:
        if ack.snapshot is not None:
            settled.snapshots.add(ack.snapshot)
        table = _TABLE[ack.lane]
        done = settled.events if ack.lane == "events" else settled.frames
        for first, last in ack.seqs:
            self._db.execute(
                f"UPDATE {table} SET acked_us=? WHERE seq BETWEEN ? AND ? AND acked_us IS NULL",  # noqa: S608
                (now_us, first, last),
            )
            done.append((first, last))
        for rejected in ack.rejected:
            marked = self._db.execute(
                f"UPDATE {table} SET acked_us=?, verdict=? WHERE seq=? AND acked_us IS NULL",  # noqa: S608
                (now_us, rejected.reason, rejected.seq),
            ).rowcount
            if marked:
                settled.rejected[rejected.reason] = settled.rejected.get(rejected.reason, 0) + 1
            done.append((rejected.seq, rejected.seq))
