"""One process at a time in a folder; who comes second is told who is first."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from utaa.ports import ServerError

_LOCK_NAME = "in-use-by"


class Hold:
    """A folder held from ``with Hold(folder, option)`` until its end or the process's."""

    def __init__(self, folder: Path, option: str) -> None:
        self.folder = folder
        self._option = option
        self._fd: int | None = None

    def __enter__(self) -> Self:
        """Make the folder and lock it. Raises ``ServerError`` that names the other process."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ServerError(
                f"folder {self.folder}: {error.strerror}: choose another with {self._option}"
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise ServerError(
                f"folder {self.folder} is in use by pid {holder}:"
                f" stop that, or choose another with {self._option}"
            ) from None
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
        self._fd = fd
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def is_held(folder: Path) -> bool | None:
    """Whether some process holds the folder; None: no process ever did."""
    try:
        fd = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
