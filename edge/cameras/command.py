"""``utaa cameras watch``: the watchman on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import typer
from rich.live import Live
from rich.table import Table

from edge.cameras.prober import Prober
from edge.cameras.states import FACTS
from edge.cameras.watchman import Camera, Report, Watchman

_SIGNS = {True: "yes", False: "[red]no[/red]", None: "·"}


def watch_cameras(
    rows: Sequence[Sequence[str]], *, interval_s: float, json_lines: bool, once: bool
) -> None:
    """``rows``: name, URL, and perhaps the folder of good pictures."""
    cameras = [
        Camera(row[0], row[1], references=Path(row[2]) if len(row) > 2 else None) for row in rows
    ]
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(_watch(cameras, interval_s, json_lines, once))


async def _watch(cameras: list[Camera], interval_s: float, json_lines: bool, once: bool) -> None:
    def say(report: Report) -> None:
        if json_lines:
            change = report.change
            line: dict[str, object] = {
                "camera": report.camera,
                "kind": report.kind,
                "cameras": list(report.cameras),
            }
            if change is not None:
                line |= {"fact": change.fact, "transition": change.transition, "at_us": change.at_us,
                         "reason": change.reason, "evidence": dict(change.evidence)}  # fmt: skip
            typer.echo(msgspec.json.encode(line).decode())

    async with Prober() as prober:
        watchman = Watchman(cameras, prober, say, calm_s=interval_s, doubt_s=min(interval_s, 8.0))
        if once:
            await asyncio.gather(*(watchman.look(camera) for camera in cameras))
            _show(cameras, json_lines)
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(watchman.run(), name="watchman")
            if not json_lines:
                with Live(_table(cameras), refresh_per_second=2) as live:
                    while True:
                        await asyncio.sleep(0.5)
                        live.update(_table(cameras))


def _show(cameras: list[Camera], json_lines: bool) -> None:
    if not json_lines:
        from rich.console import Console

        Console().print(_table(cameras))
        return
    for camera in cameras:
        facts = {str(f): s.good for f, s in camera.state.facts.items() if s.good is not None}
        outcome = camera.last.outcome if camera.last else None
        line: dict[str, object] = {"camera": camera.name, "summary": camera.state.summary}
        line |= {"outcome": outcome, "verdict": camera.verdict, **dict(facts)}
        typer.echo(msgspec.json.encode(line).decode())


def _table(cameras: list[Camera]) -> Table:
    table = Table(title=f"{len(cameras)} cameras")
    for name in ("camera", "summary", "probe", "picture", *FACTS, "fps", "kb/s"):
        table.add_column(name.replace("_", " "))
    for camera in sorted(cameras, key=lambda c: (c.state.summary == "ok", c.name)):
        facts = [camera.state.facts.get(fact) for fact in FACTS]
        last = camera.last
        table.add_row(
            camera.name, camera.state.summary, last.outcome if last else "", camera.verdict or "",
            *(_SIGNS[f.good if f else None] for f in facts),
            f"{last.rate_fps:g}" if last and last.rate_fps else "",
            f"{last.bitrate_kbps:g}" if last and last.bitrate_kbps else "",
        )  # fmt: skip
    return table
