"""The watchman: who is due, one loss, a lost network, a reboot, and the whole way with the
simulator."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np

from edge.cameras.outcome import Probed
from edge.cameras.prober import Prober
from edge.cameras.states import Patience, Settings
from edge.cameras.stream import Request
from edge.cameras.watchman import PER_HOST, Camera, Report, Watchman
from firmware_sim.camera.film import Shape, film
from firmware_sim.camera.server import Camera as Simulated
from firmware_sim.camera.server import Server

#: No patience in seconds, so that a test need not wait: only the count of observations is left.
HASTY = Settings(
    patience={
        f: Patience(0.0, 2)
        for f in (
            "reachable",
            "advancing",
            "changing",
            "well_exposed",
            "in_focus",
            "in_place",
            "as_registered",
        )
    }
)


class Script(Prober):
    """Answers from a table instead of cameras."""

    def __init__(self) -> None:
        super().__init__()
        self.outcome: dict[str, str] = {}
        self.hashes = ["a"]

    async def probe(self, request: Request) -> Probed:
        await asyncio.sleep(0)
        outcome = self.outcome.get(request.url, "reachable")
        return Probed(outcome=outcome, url="", keyframe_hashes=self.hashes)  # type: ignore[arg-type]


def _watch(count: int, script: Script, settings: Settings = HASTY) -> tuple[Watchman, list[Report]]:
    said: list[Report] = []
    cameras = [Camera(f"c{n}", f"rtsp://10.0.0.{n}/x", settings) for n in range(count)]
    return Watchman(cameras, script, said.append, calm_s=30, chance=random.Random(1)), said


async def _round(watchman: Watchman, script: Script) -> None:
    script.hashes = [f"{random.random()}"]
    for camera in watchman.cameras:
        await watchman.look(camera)


async def test_one_lost_camera_is_one_report_and_clears_when_it_is_back() -> None:
    script = Script()
    watchman, said = _watch(10, script)
    await _round(watchman, script)
    script.outcome["rtsp://10.0.0.3/x"] = "refused"
    for _ in range(3):
        await _round(watchman, script)
    watchman.settle(time.monotonic() + 60, 10)
    script.outcome.clear()
    await _round(watchman, script)

    assert [(r.camera, r.kind, r.change and r.change.transition) for r in said] == [
        ("c3", "camera_offline", "raise"), ("c3", "camera_offline", "clear"),
    ]  # fmt: skip


async def test_thirty_cameras_lost_at_once_are_one_report() -> None:
    script = Script()
    watchman, said = _watch(30, script)
    await _round(watchman, script)
    script.outcome = {camera.url: "no_route" for camera in watchman.cameras}
    for _ in range(3):
        await _round(watchman, script)
    watchman.settle(time.monotonic(), 10)
    watchman.settle(time.monotonic() + 60, 10)
    assert [(r.kind, len(r.cameras)) for r in said] == [("network_lost", 30)]

    script.outcome.clear()
    await _round(watchman, script)
    assert [r.kind for r in said] == ["network_lost", "network_back"]


async def test_a_loss_that_ends_while_it_is_held_is_never_told() -> None:
    script = Script()
    watchman, said = _watch(10, script)
    await _round(watchman, script)
    script.outcome["rtsp://10.0.0.3/x"] = "timeout"
    await _round(watchman, script)
    await _round(watchman, script)
    script.outcome.clear()
    await _round(watchman, script)
    watchman.settle(time.monotonic() + 60, 10)

    assert said == []


async def test_the_same_keyframe_again_and_again_is_a_frozen_camera() -> None:
    script = Script()
    watchman, said = _watch(1, script)
    for _ in range(5):
        await watchman.look(watchman.cameras[0])
    assert [(r.kind, r.change and r.change.fact) for r in said] == [("camera_fault", "changing")]
    await _round(watchman, script)
    assert said[-1].change is not None and said[-1].change.transition == "clear"


def test_due_cameras_are_the_longest_overdue_and_no_host_has_more_than_its_share() -> None:
    watchman, _ = _watch(0, Script())
    watchman.cameras = [Camera(f"c{n}", "rtsp://10.0.0.1/x", due_s=float(n)) for n in range(9)]
    assert [c.name for c in watchman.due(100.0)] == [f"c{n}" for n in range(PER_HOST)]
    assert watchman.due(-1.0) == []
    watchman.cameras[0].busy = True
    assert "c0" not in [c.name for c in watchman.due(100.0)]


def test_a_camera_never_shows_its_address() -> None:
    assert "hush" not in repr(Camera("c", "rtsp://u:hush@h/x"))


async def test_a_covered_simulated_camera_is_told_and_clears_after_mending(tmp_path: Path) -> None:
    shape = Shape(width=320, height=240, rate_fps=10, length_s=4)
    for n, jpeg in enumerate(film(shape).jpegs):
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        cv2.imwrite(str(tmp_path / f"{n}.png"), picture)
    said: list[Report] = []
    async with Server({"yard": Simulated(shape)}) as server, Prober(threads=2) as prober:
        camera = Camera("yard", server.url("yard"), HASTY, references=tmp_path)
        watchman = Watchman([camera], prober, said.append, calm_s=0.2, doubt_s=0.1)
        running = asyncio.create_task(watchman.run())

        async def until(count: int) -> None:
            async with asyncio.timeout(60):
                while len(said) < count:
                    assert not running.done(), running
                    await asyncio.sleep(0.1)

        async with asyncio.timeout(60):
            while camera.verdict is None:
                await asyncio.sleep(0.1)
        assert camera.verdict == "ok"
        camera.full_due_s = 0.0
        server.cameras["yard"].fault = "covered"
        await until(1)
        server.cameras["yard"].fault = None
        await until(2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    facts = [(r.kind, r.change.fact, r.change.transition) for r in said if r.change is not None]
    assert facts == [("camera_fault", "in_place", "raise"), ("camera_fault", "in_place", "clear")]


async def test_the_command_watches_once_and_hides_passwords(tmp_path: Path) -> None:
    async with Server(
        {"a": Simulated(Shape(width=320, height=240, rate_fps=10, length_s=2))}
    ) as server:
        file = tmp_path / "cameras.txt"
        file.write_text(f"# mine\nyard {server.url('a')}\ngate rtsp://u:hush@127.0.0.1:9/x\n")
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "utaa.cli", "cameras", "watch", str(file), "--once", "--json"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    rows = {
        row["camera"]: row
        for row in map(msgspec.json.decode, done.stdout.splitlines())
        if "camera" in row
    }
    assert (rows["yard"]["summary"], rows["gate"]["outcome"]) == ("ok", "refused")
    assert "hush" not in done.stdout + done.stderr
