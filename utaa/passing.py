"""A folder for one run, removed at its end; one whose run was killed is removed by the next."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from utaa.hold import is_held

_PREFIX = "utaa-demo-"
#: A folder that nobody ever held and that is older than this was left at the very start of a run.
_NEVER_HELD_S = 3600.0


@contextlib.contextmanager
def passing_folder() -> Iterator[Path]:
    """A new folder among the system's temporary ones."""
    sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(place: Path) -> None:
    """Remove what killed runs left there; what is not ours to remove stays."""
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            held = is_held(folder)
            is_old = time.time() - folder.stat().st_mtime > _NEVER_HELD_S
            if held is False or (held is None and is_old):
                shutil.rmtree(folder, ignore_errors=True)
