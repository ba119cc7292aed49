"""``utaa cameras watch``, ``learn`` and ``discover``: the watchman on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from edge.cameras.errors import CameraError
from edge.cameras.onvif import MULTICAST, Found, ask, discover
from edge.cameras.pictures import decode
from edge.cameras.prober import Prober
from edge.cameras.references import References
from edge.cameras.roster import Entry, load
from edge.cameras.states import FACTS
from edge.cameras.stream import Request
from edge.cameras.talk import Address
from edge.cameras.watchman import Camera, Pace, Report, Watchman, shown

_SIGNS = {True: "yes", False: "[red]no[/red]", None: "·"}


def watch_cameras(
    rows: Sequence[Sequence[str]], *, interval_s: float, json_lines: bool, once: bool
) -> None:
    """``rows``: name, URL, and perhaps the folder of good pictures."""
    cameras = [
        Camera(row[0], row[1], references=References(Path(row[2])) if len(row) > 2 else None)
        for row in rows
    ]
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        asyncio.run(_watch(cameras, interval_s, json_lines, once))


async def _watch(cameras: list[Camera], interval_s: float, json_lines: bool, once: bool) -> None:
    def say(report: Report) -> None:
        if json_lines:
            change = report.change
            line: dict[str, object] = {
                "camera": report.camera, "kind": report.kind, "transition": report.transition,
                "cameras": list(report.cameras),
            }  # fmt: skip
            if change is not None:
                line |= {
                    "fact": change.fact, "at_us": change.at_us, "reason": change.reason,
                    "evidence": dict(change.evidence),
                }  # fmt: skip
            typer.echo(msgspec.json.encode(line).decode())

    async with Prober() as prober:
        watchman = Watchman(cameras, prober, say, pace=Pace(calm_s=interval_s))
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
        Console().print(_table(cameras))
        return
    for camera in cameras:
        typer.echo(msgspec.json.encode(shown(camera)).decode())


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


def learn_camera(url: str, to: Path, *, count: int, every_s: float, afresh: bool) -> None:
    """``utaa cameras learn``. Raises ``CameraError`` when no picture comes."""
    references = References(to)
    if afresh:
        typer.echo(f"{references.forget()} pictures forgotten")
    taken = asyncio.run(_take(url, references, count, every_s))
    for path in taken:
        typer.echo(str(path))
    kept = references.files()
    typer.echo(f"{len(kept)} good pictures in {to}: look at them before you trust them")


async def _take(url: str, references: References, count: int, every_s: float) -> list[Path]:
    taken: list[Path] = []
    async with Prober(threads=1) as prober:
        for number in range(count):
            if number:
                await asyncio.sleep(every_s)
            found = await prober.probe(Request(id=0, url=url, depth="cheap", want_picture=True))
            if found.picture is None:
                raise CameraError(found.url or "the address", f"{found.outcome}: no picture")
            # file names carry seconds: two of one second would be one
            at_s = max(time.time(), _newest_s(references) + 1)
            try:
                taken.append(references.add_anchor(decode(found.picture), at_s))
            except OSError as error:
                raise CameraError(str(references.folder), f"{error.strerror}") from None
    return taken


def _newest_s(references: References) -> float:
    return max((kept.at_s for kept in references.files()), default=0.0)


def discover_cameras(
    known: Path | None, *, wait_s: float, to: str | None, user: str | None, json_lines: bool
) -> None:
    """``utaa cameras discover``. Raises ``CameraError``."""
    target = MULTICAST
    if to is not None:
        host, _, port = to.rpartition(":")
        if not host or not port.isdecimal():
            raise CameraError("--to", f"{to}: expected HOST:PORT")
        target = (host, int(port))
    entries = load(known)[1] if known is not None else []
    try:
        found = asyncio.run(_worklist(discover(wait_s, target), entries, user))
    except OSError as error:
        raise CameraError("discover", f"{error.strerror or error}") from None
    if json_lines:
        for row in found:
            typer.echo(msgspec.json.encode(row).decode())
        return
    table = Table(title=f"{len(found)} devices answered")
    for name in ("state", "host", "name", "hardware", "serial", "service"):
        table.add_column(name)
    for row in found:
        table.add_row(*(str(row.get(n) or "") for n in ("state", "host", "name", "hardware", "serial")),
                      next(iter(row["services"]), ""))  # fmt: skip
    Console().print(table)


async def _worklist(
    finding: Awaitable[list[Found]], entries: Sequence[Entry], user: str | None
) -> list[dict[str, Any]]:
    """What answered, each with how it stands to what is registered."""
    hosts = {Address.parse(e.url).host for e in entries if e.url}
    serials = {e.serial.lower(): e for e in entries if e.serial}
    rows = []
    for one in await finding:
        row: dict[str, Any] = {**msgspec.to_builtins(one), "serial": None}
        if user is not None and one.services:
            row |= await _identity(one.services[0], user)
        registered = serials.get((row["serial"] or "").lower())
        here = registered is not None and registered.url and Address.parse(registered.url).host
        if registered is not None and here != one.host:
            row |= {"state": "moved", "registered": registered.id or registered.name}
        else:
            row["state"] = "known" if one.host in hosts else "new"
        rows.append(row)
    return rows


async def _identity(service: str, user: str) -> dict[str, Any]:
    try:
        address = Address.parse(service)
    except ValueError:
        return {}
    said = await ask(address.host, address.port, user, os.environ.get("UTAA_ONVIF_PASSWORD", ""))
    return {"serial": said.serial, "maker": said.maker, "model": said.model, "problem": said.problem}
