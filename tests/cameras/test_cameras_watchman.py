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

from edge.cameras.glance import glance
from edge.cameras.outcome import Probed
from edge.cameras.prober import Prober
from edge.cameras.references import References
from edge.cameras.states import Observation, Patience, Settings
from edge.cameras.stream import Request
from edge.cameras.watchman import PER_HOST, Camera, Pace, Report, Watchman
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


#: No jitter and no waits of its own.
PACE = Pace(calm_s=0.2, doubt_s=0.1, look_s=0.1, bad_s=0.1, jitter=0.0)


class Script(Prober):
    """Answers from a table instead of cameras."""

    def __init__(self) -> None:
        super().__init__()
        self.outcome: dict[str, str] = {}
        self.asked: list[Request] = []
        self.extra: dict[str, object] = {}

    async def probe(self, request: Request) -> Probed:
        await asyncio.sleep(0)
        self.asked.append(request)
        outcome = self.outcome.get(request.url, "reachable")
        values = {"keyframe_hashes": [f"{len(self.asked)}"], **self.extra}
        return Probed(outcome=outcome, url="", **values)  # type: ignore[arg-type]


def _watch(count: int, script: Script, settings: Settings = HASTY) -> tuple[Watchman, list[Report]]:
    said: list[Report] = []
    cameras = [Camera(f"c{n}", f"rtsp://10.0.0.{n}/x", settings) for n in range(count)]
    watchman = Watchman(cameras, script, said.append, pace=PACE, chance=random.Random(1))
    return watchman, said


async def _round(watchman: Watchman, times: int = 1) -> None:
    for _ in range(times):
        for camera in watchman.cameras:
            await watchman.look(camera)


def _turns(said: list[Report]) -> list[tuple[str | None, str, str]]:
    return [(r.camera, r.kind, r.transition) for r in said if r.kind != "state"]


async def test_one_lost_camera_is_told_and_clears_when_it_is_back() -> None:
    script = Script()
    watchman, said = _watch(10, script)
    await _round(watchman)
    script.outcome["rtsp://10.0.0.3/x"] = "refused"
    await _round(watchman, 3)
    script.outcome.clear()
    await _round(watchman)

    assert _turns(said) == [("c3", "camera_offline", "raise"), ("c3", "camera_offline", "clear")]
    assert sum(r.kind == "state" for r in said) == 10  # each was known once


async def test_thirty_cameras_lost_at_once_are_one_report_and_clear_as_one() -> None:
    script = Script()
    watchman, said = _watch(30, script)
    await _round(watchman)
    script.outcome = {camera.url: "no_route" for camera in watchman.cameras}
    await _round(watchman, 3)
    watchman.settle(time.monotonic() + 60)
    assert [(r.kind, len(r.cameras)) for r in said if r.kind != "state"] == [("network_lost", 30)]

    script.outcome.clear()
    await _round(watchman)
    assert [r.kind for r in said if r.kind != "state"] == ["network_lost", "network_back"]


async def test_one_bad_probe_is_never_told() -> None:
    script = Script()
    watchman, said = _watch(10, script)
    await _round(watchman)
    script.outcome["rtsp://10.0.0.3/x"] = "timeout"
    await _round(watchman)
    script.outcome.clear()
    await _round(watchman, 2)
    watchman.settle(time.monotonic() + 60)

    assert _turns(said) == []


async def test_one_that_does_not_answer_brings_visits_to_others_forward() -> None:
    script = Script()
    watchman, _ = _watch(20, script)
    await _round(watchman)
    for camera in watchman.cameras:
        camera.due_s = time.monotonic() + 1000
    script.outcome["rtsp://10.0.0.3/x"] = "timeout"
    await watchman.look(watchman.cameras[3])

    assert sum(c.due_s < time.monotonic() + 10 for c in watchman.cameras) >= 8


async def test_the_same_keyframe_again_and_again_is_a_frozen_camera() -> None:
    script = Script()
    watchman, said = _watch(1, script)
    script.extra = {"keyframe_hashes": ["a"]}
    await _round(watchman, 5)
    assert [(r.kind, r.change and r.change.fact) for r in said if r.change] == [
        ("camera_fault", "changing")
    ]
    script.extra = {}
    await _round(watchman, 2)
    assert said[-1].change is not None and said[-1].change.transition == "clear"


async def test_a_stuck_sensor_behind_a_live_encoder_is_found_by_its_film_and_clears() -> None:
    script = Script()
    watchman, said = _watch(1, script)
    camera = watchman.cameras[0]
    stuck = {
        "groups": 3.0,
        "pictures": 60.0,
        "equal_share": 0.0,
        "late_over_early": 0.1,
        "late_p75": 0.01,
    }
    await _round(watchman)
    assert {r.depth for r in script.asked} == {"film"}  # due from the start, without ``run``
    script.extra = {"film": stuck}
    camera.film_due_s = 0.0
    await _round(watchman, 4)
    assert [r.change.fact for r in said if r.change] == ["changing"]
    assert "stuck" in camera.state.facts["changing"].reason

    script.extra = {"film": {**stuck, "late_over_early": 1.0, "late_p75": 0.5}}
    await _round(watchman, 3)
    assert [r.transition for r in said if r.change] == ["raise", "clear"]


async def test_a_glance_that_is_like_no_good_one_brings_the_picture_along_at_once() -> None:
    script = Script()
    watchman, _ = _watch(1, script)
    camera = watchman.cameras[0]
    camera.references = References(Path("/nowhere"))
    camera.verdict = "ok"
    camera.full_due_s = camera.film_due_s = time.monotonic() + 1000
    street = np.random.default_rng(1).integers(0, 255, (180, 320)).astype(np.uint8)
    camera.good = [glance(street, 5.0)]
    script.extra = {"glance": glance(street, 5.0)}
    await watchman.look(camera)
    assert [r.want_picture for r in script.asked] == [False]

    script.extra = {"glance": glance(np.full_like(street, 90), 5.0)}
    await watchman.look(camera)
    assert [r.want_picture for r in script.asked] == [False, False, True]


async def test_what_is_heard_goes_into_the_same_facts_and_is_looked_after() -> None:
    watchman, said = _watch(2, Script())
    await _round(watchman)
    camera = watchman.cameras[0]
    camera.due_s = 1e12
    for n in range(3):
        at_us = int(time.time() * 1e6) + n
        watchman.hear("c0", Observation(at_us, {"in_place": False}, "the camera says tampering"))
    assert camera.due_s == 0.0
    assert _turns(said) == [("c0", "camera_fault", "raise")]
    assert watchman.hear("stranger", Observation(1, {"in_place": False}, "")) == []


async def test_another_server_at_the_address_is_not_as_registered(tmp_path: Path) -> None:
    script = Script()
    watchman, said = _watch(1, script)
    watchman.cameras[0].references = References(tmp_path)
    script.extra = {"banner": "one"}
    await _round(watchman, 2)
    script.extra = {"banner": "two"}
    await _round(watchman, 3)
    assert [r.change.fact for r in said if r.change] == ["as_registered"]
    assert "another server" in watchman.cameras[0].state.facts["as_registered"].reason


async def test_one_cameras_surprise_does_not_end_the_watch() -> None:
    class Broken(Script):
        async def probe(self, request: Request) -> Probed:
            if request.url.endswith("0/x"):
                raise RuntimeError(request.url)
            return await super().probe(request)

    script = Broken()
    watchman, _ = _watch(2, script)
    running = asyncio.create_task(watchman.run())
    async with asyncio.timeout(10):
        while len(script.asked) < 2:
            await asyncio.sleep(0.01)
    assert not running.done()
    assert watchman.counters["failed_visits"] >= 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_due_cameras_are_the_longest_overdue_and_no_host_has_more_than_its_share() -> None:
    watchman, _ = _watch(0, Script())
    watchman.cameras = [Camera(f"c{n}", "rtsp://10.0.0.1/x", due_s=float(n)) for n in range(9)]
    assert [c.name for c in watchman.due(100.0)] == [f"c{n}" for n in range(PER_HOST)]
    assert watchman.due(-1.0) == []
    watchman.cameras[0].busy = True
    assert "c0" not in [c.name for c in watchman.due(100.0)]


def test_a_camera_never_shows_its_address() -> None:
    assert "hush" not in repr(Camera("c", "rtsp://u:hush@h/x"))


async def test_a_turned_simulated_camera_is_told_and_clears_after_mending(tmp_path: Path) -> None:
    shape = Shape(width=320, height=240, rate_fps=10, length_s=4)
    for n, jpeg in enumerate(film(shape).jpegs):
        picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        cv2.imwrite(str(tmp_path / f"{n}.png"), picture)
    said: list[Report] = []
    async with Server({"yard": Simulated(shape)}) as server, Prober(threads=2) as prober:
        camera = Camera("yard", server.url("yard"), HASTY, references=References(tmp_path))
        watchman = Watchman([camera], prober, said.append, pace=PACE)
        running = asyncio.create_task(watchman.run())

        async def until(count: int) -> None:
            async with asyncio.timeout(60):
                while sum(r.change is not None for r in said) < count:
                    assert not running.done(), running
                    await asyncio.sleep(0.1)

        async with asyncio.timeout(60):
            while camera.verdict is None:
                await asyncio.sleep(0.1)
        assert camera.verdict == "ok"
        server.cameras["yard"].fault = "moved"
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
