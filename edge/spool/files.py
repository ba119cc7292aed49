"""The data folder: one agent at a time, and a damaged file is set aside, never deleted."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from edge.wire.clock import datetime_from_us

SPOOL_NAME = "spool.db"
LOCK_NAME = "lock"
#: Written when damage shows while running, so that the next start sets the file aside.
DAMAGED_NAME = "spool.damaged"
#: Room held back for the moment when the disk is full; given up so that events still fit.
BALLAST_NAME = "ballast"
BALLAST_BYTES = 4 << 20
#: With less room on the disk an I/O error is a full disk: so SQLite calls it for its smaller files.
SHORT_BYTES = 32 << 20


class FolderInUse(Exception):
    """Another agent works in this folder."""


class DataFolder:
    """A folder held by an exclusive lock from ``acquire`` until ``release`` or the process's end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def spool(self) -> Path:
        return self.path / SPOOL_NAME

    def acquire(self) -> None:
        """Make the folder and lock it. Raises ``FolderInUse`` if another process has it."""
        self.path.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise FolderInUse(f"another agent is using {self.path}") from None
        self._fd = fd

    def release(self) -> None:
        """Give the folder back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def set_aside(path: Path, now_us: int) -> Path:
    """Rename a damaged spool and its companions; the new name of the main file."""
    stamp = datetime_from_us(now_us).strftime("%Y%m%dT%H%M%SZ")
    target = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    for suffix in ("-wal", "-shm"):
        companion = Path(f"{path}{suffix}")
        if companion.exists():
            companion.rename(f"{target}{suffix}")
    if path.exists():
        path.rename(target)
    path.with_name(DAMAGED_NAME).unlink(missing_ok=True)
    return target


def mark_damaged(path: Path) -> None:
    """Leave word for the next start; a disk that cannot take even that is found again by reading."""
    with contextlib.suppress(OSError):
        path.with_name(DAMAGED_NAME).touch()


def is_marked_damaged(path: Path) -> bool:
    """Whether the last run met damage."""
    return path.with_name(DAMAGED_NAME).exists()


def is_short_of_room(path: Path) -> bool:
    """Whether the file's disk is all but full; a disk that cannot say so is not."""
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < SHORT_BYTES


def drop_ballast(path: Path) -> bool:
    """Give up the room held back; True if there was any."""
    ballast = path.with_name(BALLAST_NAME)
    existed = ballast.exists()
    ballast.unlink(missing_ok=True)
    return existed


def take_ballast(path: Path) -> bool:
    """Hold room back again; False: there is none, which is no error here."""
    ballast = path.with_name(BALLAST_NAME)
    if ballast.exists():
        return True
    with contextlib.suppress(OSError), ballast.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
        except OSError:
            ballast.unlink(missing_ok=True)
    return ballast.exists()
