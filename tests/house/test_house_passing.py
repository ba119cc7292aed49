"""A demo's folder goes with it; one that a killed demo left goes with the next."""

from __future__ import annotations

import os
import time
from pathlib import Path

from utaa.hold import Hold
from utaa.passing import passing_folder, sweep


def test_the_folder_goes_at_the_end() -> None:
    with passing_folder() as folder:
        (folder / "file").touch()
    assert not folder.exists()


def test_what_a_killed_run_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    left, live, fresh, never = (tmp_path / f"utaa-demo-{n}" for n in ("left", "live", "new", "old"))
    with Hold(left, "--keep"):
        pass
    fresh.mkdir()
    never.mkdir()
    os.utime(never, (time.time() - 7200,) * 2)
    foreign = tmp_path / "something-else"
    foreign.mkdir()
    with Hold(live, "--keep"):
        sweep(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([live, fresh, foreign])
