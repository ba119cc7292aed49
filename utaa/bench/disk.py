"""Disks: how much a folder holds, and one of a few MB that can be filled (a tmpfs, where one may)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from pathlib import Path

from utaa.servers import find_program

_SIZE_MB = 48


def bytes_below(folder: Path) -> int:
    """Of all files in the folder; those that vanish meanwhile count for nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total


class SmallDisk:
    """Mounted at a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._filler = folder / "filler"

    def mount(self) -> str | None:
        """None, or why it cannot be."""
        mount = find_program("mount")
        if os.geteuid() != 0 or mount is None:
            return "mounting a small disk needs root"
        self._folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [mount, "-t", "tmpfs", "-o", f"size={_SIZE_MB}m", "tmpfs", str(self._folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.stderr.strip()[:200] or "mount failed" if done.returncode else None

    def unmount(self) -> None:
        subprocess.run(
            [find_program("umount") or "umount", "-l", str(self._folder)],
            check=False,
            capture_output=True,
        )

    async def fill(self) -> None:
        """Take every byte that is left."""
        await asyncio.to_thread(self._fill)

    def _fill(self) -> None:
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    async def free(self) -> None:
        self._filler.unlink(missing_ok=True)
