"""``utaa sim camera``: cameras by path on one port, faults changed while they run."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import Annotated

import typer

from firmware_sim.camera.film import Shape
from firmware_sim.camera.picture import PICTURE_FAULTS
from firmware_sim.camera.server import FAULTS, Camera, Server
from firmware_sim.errors import SimulatorError


def camera(
    count: Annotated[int, typer.Option(min=1, max=2000, help="Cameras, at paths cam1, cam2, …")] = 1,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8554,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    fault: Annotated[str | None, typer.Option(help="What is wrong with all of them.")] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT")] = "640x360",
    rate: Annotated[int, typer.Option(min=1, max=60, help="Pictures a second.")] = 25,
    bitrate: Annotated[int, typer.Option(min=32, max=20000, help="kb/s")] = 512,
    user: Annotated[str | None, typer.Option(help="Ask for this user; password by --password.")] = None,
    password: Annotated[
        str, typer.Option(envvar="UTAA_SIM_CAMERA_PASSWORD", help="Its password.")
    ] = "",
    night: Annotated[bool, typer.Option("--night", help="An empty street at night.")] = False,
    prepare: Annotated[
        str | None, typer.Option(help="Faults of the picture to have ready: encoding takes seconds.")
    ] = None,
    faults: Annotated[bool, typer.Option("--faults", help="List the faults and end.")] = False,
) -> None:
    """Serve cameras over RTSP and HTTP. Lines on stdin change them: 'cam1 stall', 'cam1 -', '*
    frozen'."""
    if faults:
        for name in PICTURE_FAULTS:
            typer.echo(f"{name:16} in the picture")
        for name, what in FAULTS.items():
            typer.echo(f"{name:16} {what}")
        return
    try:
        _check(fault)
        ready = [name for name in (prepare or "").split(",") if name]
        for name in ready:
            _check(name)
        width, height = _size(size)
        shape = Shape(width=width, height=height, rate_fps=rate, bitrate_kbps=bitrate, night=night)
        cameras = {f"cam{n}": Camera(shape, fault, user, password) for n in range(1, count + 1)}
        for name in ready:
            Camera(shape, name).film()
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_serve(cameras, host, port))
    except SimulatorError as error:
        typer.echo(f"utaa: {error}", err=True)
        raise typer.Exit(error.exit_code) from None
    except OSError as error:
        typer.echo(f"utaa: --port {port}: {error.strerror}", err=True)
        raise typer.Exit(2) from None


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()) or min(int(width), int(height)) < 64:
        raise SimulatorError("--size", f"{text}: expected WIDTHxHEIGHT, at least 64x64")
    return int(width) // 2 * 2, int(height) // 2 * 2


def _check(fault: str | None) -> None:
    if fault is not None and fault not in FAULTS and fault not in PICTURE_FAULTS:
        raise SimulatorError("--fault", f"{fault}: unknown; see utaa sim camera --faults")


async def _serve(cameras: dict[str, Camera], host: str, port: int) -> None:
    async with Server(cameras, host=host, port=port) as server:
        first = server.url(next(iter(cameras)))
        typer.echo(
            json.dumps({"ready": True, "port": server.port, "first": first, "cameras": len(cameras)})
        )
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        except (ValueError, PermissionError):  # a file or nothing: no orders will come
            await asyncio.Event().wait()
        while line := (await reader.readline()).decode(errors="replace"):
            _order(cameras, line.split())
        await asyncio.Event().wait()


def _order(cameras: dict[str, Camera], words: list[str]) -> None:
    """Change a camera, or all of them."""
    if len(words) != 2 or (words[0] != "*" and words[0] not in cameras):
        typer.echo("utaa: expected CAMERA FAULT, e.g. 'cam1 stall' or '* -'", err=True)
        return
    name, fault = words[0], None if words[1] == "-" else words[1]
    try:
        _check(fault)
    except SimulatorError as error:
        typer.echo(f"utaa: {error}", err=True)
        return
    for camera_name, one in cameras.items():
        if name in ("*", camera_name):
            one.fault = fault
