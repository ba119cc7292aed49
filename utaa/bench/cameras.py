"""``utaa bench cameras``: the judge's figures, a fleet of cameras on one core, ten thousand probes, and
the whole path from a camera's fault to an incident and back.

Cast: ``judge_figures`` (held-out scenes, photographs, films; ``edge.cameras.proving``), ``fleet`` (a
real watchman and its worker on one core against simulated cameras on the other), ``endurance`` (probes,
failing ones among them: what is left behind), ``camera_path.path`` (real agent, brokers and gateway).
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from utaa.bench.report import Report, Teller

TARGETS: Final = {
    "held_out_scenes.model.macro_f1": "≥ 0.96",
    "held_out_scenes.model.false_positive_share": "≤ 0.005",
    "fleet_360p.share_of_one_core": "< 1 with 1,000 cameras at 30 s",
    "fleet_1080p.share_of_one_core": "< 1 with 300 cameras at 30 s",
    "path.offline_s.p99": "≤ 40", "path.tamper_s.p99": "≤ 95", "path.cleared_s.p99": "≤ 95",
    "path.reboot.notifications": "0", "path.lost_together.incidents": "1",
}  # fmt: skip
#: Good pictures of a camera after some weeks: five first ones, two of each three hours.
BANK: Final = 21
#: On a machine that others keep busy too.
_READY_S: Final = 900
_FAULTS: Final = ("wrong_password", "unknown_path", "closes", "garbage", "server_error")


async def run_cameras(
    *, folder: Path, teller: Teller, what: frozenset[str], scenes: int | None, samples: Path | None,
    cameras: int, cameras_hd: int, seconds: float, probes: int, faults: int,
) -> Report:  # fmt: skip
    """The chosen parts, one after the other."""
    # the simulated cameras lie on this machine, where no real one may
    os.environ.setdefault("UTAA_CAMERA_NETWORKS", "127.0.0.0/8")
    report = Report(
        "cameras",
        {"parts": sorted(what), "cameras": cameras, "cameras_1080p": cameras_hd, "seconds": seconds,
         "probes": probes, "faults": faults},
        targets=TARGETS,
    )  # fmt: skip
    if "judge" in what:
        teller.say("the judge on held-out scenes, photographs and films")
        report.figures |= await asyncio.to_thread(judge_figures, scenes, samples)
    if "fleet" in what:
        for name, count, size in (
            ("fleet_360p", cameras, "640x360"),
            ("fleet_1080p", cameras_hd, "1920x1080"),
        ):
            if count:
                teller.say(f"{count} cameras of {size} for {seconds:.0f} s on one core")
                report.figures[name] = await fleet(folder, count, size, seconds)
    if "probes" in what:
        teller.say(f"{probes} probes, every second one fails")
        report.figures["endurance"] = await endurance(probes)
    if "path" in what:
        from utaa.bench.camera_path import path

        teller.say(f"{faults} faults from camera to incident and back, in real time")
        report.figures["path"] = await path(folder, faults, teller)
    return report


def judge_figures(scenes: int | None, samples: Path | None) -> dict[str, Any]:
    """What ``utaa cameras bench`` prints."""
    from edge.cameras.proving.bench import cameras

    return cameras(scenes=scenes, opencv_samples=samples)


# -- a fleet ----------------------------------------------------------------------------------------


@asynccontextmanager
async def simulated(count: int, *words: str, core: int | None = None) -> AsyncIterator[int]:
    """``utaa sim camera`` as a process of its own, on all addresses of the loopback; its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "utaa.cli", "sim", "camera", "--count", str(count), "--port", "0",
        "--host", "0.0.0.0", *words,  # noqa: S104  # each camera has an address of its own in 127/8
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        try:  # films are made first: half a minute of a core for each size with its faults
            ready = json.loads(await asyncio.wait_for(process.stdout.readline(), _READY_S))
        except (TimeoutError, ValueError):
            raise RuntimeError(f"the simulated cameras were not ready within {_READY_S} s") from None
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        _orders[int(ready["port"])] = process
        yield int(ready["port"])
    finally:
        process.kill()
        await process.wait()


_orders: dict[int, asyncio.subprocess.Process] = {}


def tell(port: int, camera: str, fault: str | None) -> None:
    stdin = _orders[port].stdin
    assert stdin is not None
    stdin.write(f"{camera} {fault or '-'}\n".encode())


def host(number: int) -> str:
    """Another address for each: a watch visits one host four times at once at most."""
    return f"127.0.{1 + number // 250}.{1 + number % 250}"


async def fleet(folder: Path, count: int, size: str, seconds: float) -> dict[str, Any]:
    """A watchman in its steady state: what it costs and whether it keeps its interval."""
    from edge.cameras.prober import Prober, probes_at_once
    from edge.cameras.references import References
    from edge.cameras.stream import Request
    from edge.cameras.watchman import Camera, Pace, Watchman

    cores = sorted(os.sched_getaffinity(0))
    pace = Pace(calm_s=30.0, jitter=0.0)
    others = cores[-1] if len(cores) > 1 else None
    async with simulated(count, "--size", size, "--bitrate", "512", core=others) as port:
        os.sched_setaffinity(0, {cores[0]})  # this process and the worker it starts
        try:
            async with Prober(threads=probes_at_once(count)) as prober:
                good = References(folder / f"good-{size}")
                for number in range(BANK):
                    request = Request(id=0, url=f"rtsp://127.0.0.1:{port}/cam1", want_picture=True)
                    found = await prober.probe(request)
                    if found.picture is not None:
                        (good.folder).mkdir(parents=True, exist_ok=True)
                        (good.folder / f"{number}.jpg").write_bytes(found.picture)
                watched = [
                    Camera(f"cam{n}", f"rtsp://{host(n)}:{port}/cam{n}", references=good)
                    for n in range(1, count + 1)
                ]
                said: Counter[str] = Counter()
                watchman = Watchman(
                    watched, prober, lambda r: said.update([f"{r.kind} {r.transition}"]), pace=pace
                )
                return await _measured(watchman, prober, seconds, said, count)
        finally:
            os.sched_setaffinity(0, set(cores))


async def _measured(
    watchman: Any, prober: Any, seconds: float, said: Counter[str], count: int
) -> dict[str, Any]:
    """A round to settle down, then the window in which everything counts."""
    running = asyncio.create_task(watchman.run(steady=True), name="fleet")
    try:
        await asyncio.sleep(35.0)
        watchman.counters.clear()
        before, wall = _cpu_s(prober.worker_pid), time.monotonic()
        await asyncio.sleep(seconds)
        spent, wall = _cpu_s(prober.worker_pid) - before, time.monotonic() - wall
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    done = dict(watchman.counters)
    probes = done.get("probes", 0)
    return {
        "cameras": count, "window_s": round(wall, 1), "probes": probes,
        "probes_due": round(count * wall / watchman.pace.calm_s),
        "full_probes": done.get("probes_full", 0), "films": done.get("films", 0),
        "looks": done.get("looks", 0), "suspicions": done.get("suspicions", 0),
        "cpu_s": round(spent, 2), "share_of_one_core": round(spent / wall, 3),
        "cpu_ms_per_probe_all_in": round(1000 * spent / max(probes, 1), 2),
        "watch_rss_mb": _rss_mb(os.getpid()), "worker_rss_mb": _rss_mb(prober.worker_pid),
        "wrongly_told": {k: v for k, v in said.items() if not k.startswith("state")},
    }  # fmt: skip


def _cpu_s(worker: int) -> float:
    """This process and the worker."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    fields = Path(f"/proc/{worker}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return own.ru_utime + own.ru_stime + ticks / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


# -- endurance --------------------------------------------------------------------------------------


async def endurance(probes: int) -> dict[str, Any]:
    """Probes of one worker that is never replaced, every second one of a camera that fails."""
    from edge.cameras.prober import Prober
    from edge.cameras.stream import Request

    async with simulated(1 + len(_FAULTS), "--size", "640x360") as port:
        for number, fault in enumerate(_FAULTS, 2):
            tell(port, f"cam{number}", fault)
        urls = [f"rtsp://127.0.0.1:{port}/cam{n}" for n in range(2, 2 + len(_FAULTS))]
        urls.append("rtsp://127.0.0.1:1/none")
        good = f"rtsp://127.0.0.1:{port}/cam1"
        outcomes: Counter[str] = Counter()
        async with Prober(threads=8, recycle_after=probes * 2) as prober:

            async def one(number: int) -> None:
                url = good if number % 2 else urls[number // 2 % len(urls)]
                found = await prober.probe(Request(id=0, url=url, total_s=6.0, packet_s=3.0))
                outcomes[found.outcome] += 1

            rows = []
            for start in range(0, probes, 500):
                await asyncio.gather(*(one(n) for n in range(start, min(start + 500, probes))))
                rows.append(_left(prober.worker_pid))
        early = rows[min(1, len(rows) - 1)]
        return {
            "probes": sum(outcomes.values()), "outcomes": dict(outcomes), "restarts": prober.restarts,
            "after_1000": early, "at_the_end": rows[-1],
            "rss_mb_by_500": [row["rss_mb"] for row in rows],
        }  # fmt: skip


def _left(pid: int) -> dict[str, float]:
    return {
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": len(list(Path(f"/proc/{pid}/task").iterdir())), "rss_mb": _rss_mb(pid),
    }  # fmt: skip
