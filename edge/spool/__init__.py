"""The spool: everything a site has decided and measured, on disk until the city has it.

Cast: ``Spool`` (the one writer, group commit), ``Outlook`` (its reading side, which never waits for a
commit), ``Batch`` and ``Draft`` (what one transaction takes),
``PendingEvent`` and ``PendingFrame`` (what the link sends), ``DataFolder`` (the lock that keeps a
second agent out), ``thinning`` (what gives way when the disk is full), ``inspect`` (a look from
outside, read-only).

A batch's way: the agent fills a ``Batch`` with readings, events, alarm states and facts; ``commit``
writes it in one transaction, cutting readings into frames, and only then may the devices' messages
be acknowledged; the link reads what is pending and sends it; ``acknowledge`` marks what the city has;
``keep_house`` drops what is old and makes room.
"""

from edge.spool.files import DataFolder, FolderInUse
from edge.spool.inspection import inspect
from edge.spool.rows import (
    ActiveAlarm,
    BadSample,
    Batch,
    Draft,
    PendingEvent,
    PendingFrame,
    Queued,
    Room,
    Settled,
    SpoolDamaged,
    SpoolFailed,
    SpoolFull,
    Written,
)
from edge.spool.store import Spool

__all__ = [
    "ActiveAlarm", "BadSample", "Batch", "DataFolder", "Draft", "FolderInUse", "PendingEvent",
    "PendingFrame", "Queued", "Room", "Settled", "Spool", "SpoolDamaged", "SpoolFailed", "SpoolFull",
    "Written", "inspect",
]  # fmt: skip
