"""Every fault of the simulator, from the stream to the fact that turns, and back when it is mended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.cameras.outcome import Registered
from edge.cameras.prober import Prober
from edge.cameras.references import References
from edge.cameras.states import FACTS, Patience, Settings
from edge.cameras.watchman import Camera, Pace, Report, Watchman
from firmware_sim.camera.film import Shape, film
from firmware_sim.camera.picture import PICTURE_FAULTS
from firmware_sim.camera.server import FAULTS, Server
from firmware_sim.camera.server import Camera as Simulated

SHAPE = Shape(width=320, height=240, rate_fps=15, length_s=8, bitrate_kbps=700)
#: Which fact each fault turns.
TURNS = {
    **dict.fromkeys(
        ("wrong_password", "unknown_path", "server_error", "hang", "drip", "garbage", "redirects",
         "closes", "endless"), "reachable",
    ),
    **dict.fromkeys(("no_packets", "no_video", "garbage_stream", "stall", "huge"), "advancing"),
    **dict.fromkeys(("loss", "slow", "time_back", "noisy", "colour_lost"), "as_registered"),
    **dict.fromkeys(("repeat", "stuck"), "changing"),
    **dict.fromkeys(("dark", "over_exposed"), "well_exposed"),
    **dict.fromkeys(("covered", "moved"), "in_place"),
    "defocused": "in_focus",
}  # fmt: skip

#: Faults that show in some seconds of film.
FILMED = ("stuck", "time_back", "stall")


def test_every_fault_of_the_simulator_has_its_fact() -> None:
    assert set(TURNS) == {*FAULTS, *PICTURE_FAULTS}


@pytest.mark.soak  # half a minute of deadlines
async def test_every_fault_turns_its_fact_and_mending_turns_it_back(tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.mkdir()
    for number, jpeg in enumerate(film(SHAPE).jpegs):
        (good / f"{number}.jpg").write_bytes(jpeg)
    once = Settings(
        patience={fact: Patience(0.0, 2) for fact in FACTS}, registered=Registered(rate_fps=15)
    )
    said: list[Report] = []
    async with (
        Server({name: Simulated(SHAPE) for name in TURNS}) as server,
        Prober(threads=12) as prober,
    ):
        cameras = {
            name: Camera(
                name, server.url(name, scheme="http" if name == "huge" else "rtsp"), once,
                References(good),
            )
            for name in TURNS
        }  # fmt: skip
        watchman = Watchman(cameras.values(), prober, said.append, pace=Pace())
        watchman.losses.watched = {f"other{n}" for n in range(1000)}  # no loss of the network here

        async def visit(done: Callable[[], dict[str, object]]) -> dict[str, object]:
            """Rounds until nothing is left to do, six at most; what is left."""
            for _ in range(6):
                if not (left := done()):
                    break
                for camera in cameras.values():
                    # when is not the subject here: each visit is a full one, or a film
                    camera.full_due_s = 0.0
                    camera.film_due_s = 0.0 if camera.name in FILMED else 1e12
                busy = [c for c in cameras.values() if c.name in left]
                await asyncio.gather(*(watchman.look(camera) for camera in busy))
            return done()

        def unseen() -> dict[str, object]:
            return {name: "" for name, cam in cameras.items() if cam.last is None}

        def not_turned() -> dict[str, object]:
            return {n: c.state.bad for n, c in cameras.items() if TURNS[n] not in c.state.bad}

        def not_mended() -> dict[str, object]:
            return {n: c.state.bad for n, c in cameras.items() if c.state.bad}

        assert await visit(unseen) == {} == not_mended()
        for name, simulated in server.cameras.items():
            simulated.fault = name
        assert await visit(not_turned) == {}
        for simulated in server.cameras.values():
            simulated.fault = None
        assert await visit(not_mended) == {}
