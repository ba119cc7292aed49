"""The probe against the simulator: every fault has its own word, in bounded time, and no secret
leaks."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import structlog

from edge.cameras.outcome import MEANING, Registered, differences
from edge.cameras.prober import Prober
from edge.cameras.stream import Request, probe
from edge.cameras.talk import Address
from firmware_sim.camera.film import Shape
from firmware_sim.camera.server import Camera, Server

Ask = Callable[..., Any]

RTSP = {
    "wrong_password": "wrong_password",
    "unknown_path": "unknown_path",
    "server_error": "server_error",
    "hang": "timeout",
    "drip": "timeout",
    "garbage": "not_understood",
    "redirects": "redirects",
    "closes": "closed",
    "no_packets": "no_packets",
    "no_video": "no_video",
    "endless": "not_understood",
}


async def test_a_healthy_camera_is_measured_by_its_own_timestamps(server: Server, ask: Ask) -> None:
    found = await ask(server.url("ok"), depth="full", watch_s=2.5)

    assert (found.outcome, found.codec, found.width, found.height) == ("reachable", "h264", 320, 240)
    assert found.rate_fps == pytest.approx(15, rel=0.1)  # the description claims 50
    assert 50 < found.bitrate_kbps < 2000
    assert found.first_picture_s < 3
    assert (found.corrupt, found.missing, found.time_back) == (0, 0, 0)
    assert len(set(found.keyframe_hashes)) == len(found.keyframe_hashes) >= 2


@pytest.mark.parametrize(("fault", "outcome"), RTSP.items())
async def test_each_fault_of_the_connection_has_its_own_word(
    server: Server, ask: Ask, fault: str, outcome: str
) -> None:
    began = time.monotonic()
    found = await ask(server.url(fault))

    assert found.outcome == outcome
    assert found.first_picture_s is None
    assert time.monotonic() - began < 6.0 + 3.0 + 6.0  # deadline, grace, the worker's start


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [("wrong_password", "wrong_password"), ("unknown_path", "unknown_path"), ("redirects", "redirects"),
     ("huge", "too_large"), ("drip", "timeout"), ("hang", "timeout"), ("garbage", "not_understood"),
     ("closes", "closed"), ("endless", "not_understood"), ("server_error", "server_error")],
)  # fmt: skip
async def test_the_same_words_are_used_for_http(
    server: Server, ask: Ask, fault: str, outcome: str
) -> None:
    assert (await ask(server.url(fault, scheme="http"))).outcome == outcome


async def test_a_stream_that_stops_is_stalled_and_one_of_noise_is_no_picture(
    server: Server, ask: Ask
) -> None:
    stall, noise = await asyncio.gather(
        ask(server.url("stall"), depth="full", watch_s=3.0),
        ask(server.url("garbage_stream"), depth="full"),
    )
    assert stall.outcome == "stalled"
    assert noise.outcome in ("stalled", "undecodable", "no_packets")
    assert noise.first_picture_s is None


async def test_loss_and_timestamps_that_go_back_are_counted(server: Server, ask: Ask) -> None:
    lossy, back = await asyncio.gather(
        ask(server.url("loss"), depth="full", watch_s=3.0),
        ask(server.url("time_back"), depth="full", watch_s=4.5),
    )
    assert lossy.missing + lossy.corrupt > 0
    assert back.time_back > 0


async def test_a_repeated_compressed_picture_shows_in_the_keyframes(server: Server, ask: Ask) -> None:
    found = await ask(server.url("repeat"), depth="full", watch_s=2.5)

    assert found.keyframes >= 2
    assert len(set(found.keyframe_hashes)) == 1


async def test_pictures_by_http_come_one_or_many(server: Server, ask: Ask) -> None:
    one = await ask(server.url("ok", scheme="http"), want_picture=True)
    many = await ask(server.url("ok.mjpg", scheme="http"), depth="full", watch_s=1.2)

    assert (one.outcome, one.width, many.outcome) == ("reachable", 320, "reachable")
    assert one.picture is not None and one.picture[:3] == b"\xff\xd8\xff"
    assert many.packets >= 3


async def test_a_password_with_odd_letters_opens_and_a_wrong_one_does_not(
    server: Server, ask: Ask
) -> None:
    right = server.url("locked", user="watch", password=quote("pa:ss w@rd", safe=""))
    wrong = server.url("locked", user="watch", password="nope")

    assert (await ask(right)).outcome == "reachable"
    assert (await ask(right.replace("rtsp:", "http:"))).outcome == "reachable"
    assert (await ask(wrong)).outcome == "wrong_password"
    assert (await ask(server.url("locked"))).outcome == "wrong_password"


async def test_nobody_there_and_no_such_name_are_told_apart(ask: Ask) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    assert (await ask(f"rtsp://127.0.0.1:{port}/x")).outcome == "refused"
    assert (await ask("rtsp://no-such-host.invalid/x")).outcome == "unknown_host"
    assert (await ask("ftp://127.0.0.1/x")).outcome == "bad_url"
    assert (await ask("rtsp://")).outcome == "bad_url"


async def test_no_secret_is_shown_anywhere(server: Server) -> None:
    secret = "Zx9-hidden"
    urls = [
        server.url(path, user="watch", password=secret)
        for path in ("ok", "locked", "hang", "garbage", "no_packets", "unknown_path")
    ]
    urls.append(f"rtsp://watch:{secret}@127.0.0.1:1/x?password={secret}")
    with structlog.testing.capture_logs() as logs:
        async with Prober(threads=8) as prober:
            work = asyncio.gather(
                *(prober.probe(Request(id=0, url=u, total_s=4, packet_s=2)) for u in urls)
            )
            commands = b""
            while not work.done():
                for entry in Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        commands += entry.read_bytes()
                    except OSError:
                        continue
                await asyncio.sleep(0.5)
            found = await work
    assert b"edge.cameras.worker" in commands
    assert secret.encode() not in commands.replace(b"UTAA", b"")
    assert secret not in repr(found) + repr(logs)
    assert secret not in msgspec.json.encode(found).decode()
    assert (
        secret
        not in f"{Address.parse(urls[0])!r} {Address.parse(urls[-1])} {Request(id=1, url=urls[0])!r}"
    )


async def test_a_worker_that_dies_takes_no_probe_along(
    server: Server, ask: Ask, prober: Prober
) -> None:
    assert (await ask(server.url("ok"))).outcome == "reachable"
    under_way = asyncio.create_task(ask(server.url("ok"), depth="full", watch_s=2.0))
    worker = prober._worker
    assert worker is not None
    while not worker.waiting:
        await asyncio.sleep(0.01)
    worker._process.kill()

    assert (await under_way).outcome == "reachable"
    assert prober.restarts == 1


async def test_a_slow_camera_delays_no_other(server: Server, ask: Ask) -> None:
    await ask(server.url("ok"))
    slow = [asyncio.create_task(ask(server.url("hang"))) for _ in range(5)]
    began = time.monotonic()
    quick = await asyncio.gather(*(ask(server.url("ok")) for _ in range(3)))

    assert {q.outcome for q in quick} == {"reachable"}
    assert time.monotonic() - began < 5.0
    assert {s.outcome for s in await asyncio.gather(*slow)} == {"timeout"}


async def test_probes_leave_no_descriptor_or_thread_behind(
    server: Server, ask: Ask, prober: Prober
) -> None:
    urls = [server.url(p) for p in ("ok", "closes", "unknown_path", "garbage", "wrong_password")]
    await asyncio.gather(*(ask(u) for u in urls * 2))
    worker = prober._worker
    assert worker is not None
    pid = worker._process.pid
    before = (len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))
    for _ in range(4):
        await asyncio.gather(*(ask(u) for u in urls * 5))
    after = (len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))

    assert prober.restarts == 0
    assert after[0] <= before[0] + 8 and after[1] <= before[1] + 8


def test_another_codec_size_and_rate_are_told_from_the_registered() -> None:
    from edge.cameras.outcome import Probed

    found = Probed(
        outcome="reachable", url="", codec="hevc", width=640, height=360, rate_fps=12.5, bitrate_kbps=90
    )
    register = Registered(codec="h264", width=1280, height=720, rate_fps=25, bitrate_kbps=512)

    assert differences(found, register) == ["codec", "resolution", "rate", "bitrate"]
    assert differences(found, Registered()) == []
    assert set(MEANING) >= set(RTSP.values())


async def test_hevc_is_recognised(ask: Ask) -> None:
    async with Server(
        {"h": Camera(Shape(width=320, height=240, rate_fps=10, length_s=3, codec="hevc"))}
    ) as s:
        assert (await ask(s.url("h"))).codec == "hevc"


def test_the_command_prints_one_json_line_and_reads_the_url_from_stdin() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "utaa.cli", "cameras", "probe", "-", "--json", "--seconds", "1"],
        input="rtsp://someone:hush@127.0.0.1:9/x\n", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    said = msgspec.json.decode(done.stdout)
    assert (said["outcome"], done.returncode, done.stderr) == ("refused", 1, "")
    assert "hush" not in done.stdout


def test_without_the_libraries_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('gone')\n")
    done = subprocess.run(
        [sys.executable, "-m", "utaa.cli", "cameras", "probe", "rtsp://127.0.0.1:9/x"],
        capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "utaa: cameras: cv2 is not installed; pip install 'utaa[cameras]'\n"


def test_an_edge_agent_needs_neither_opencv_nor_pyav() -> None:
    done = subprocess.run(
        [sys.executable, "-c",
         "import sys, edge.cli; print({'cv2', 'av', 'edge.cameras'} & set(sys.modules))"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.strip() == "set()"


async def test_a_camera_on_the_box_itself_is_not_asked_unless_its_network_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(10))
        writer.close()

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("UTAA_CAMERA_NETWORKS", "10.0.0.0/8")
    for scheme in ("rtsp", "http"):
        request = Request(id=1, url=f"{scheme}://127.0.0.1:{port}/x", total_s=5)
        assert (await asyncio.to_thread(probe, request)).outcome == "bad_url"
    server.close()
    await server.wait_closed()
    assert set(heard) <= {b""}, "nothing was said to it"
