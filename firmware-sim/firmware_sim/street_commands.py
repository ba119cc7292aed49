"""``utaa sim streets``, ``cut`` and ``mend``: a plant that does not exist, and an excavator in it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from edge.wire.clock import SystemClock
from firmware_sim.errors import SimulatorError
from firmware_sim.link import broker_from_text
from firmware_sim.publish import publish
from firmware_sim.streets import CUT_TOPIC, Order, Streets, read_plan

BrokerOption = Annotated[str, typer.Option("--broker", help="HOST:PORT of the city's broker.")]
Elements = Annotated[list[str], typer.Argument(help="trench:T1, cable:C1, node:N1, …")]


def streets(
    plan: Annotated[Path, typer.Argument(help="JSON: cameras by site, losers by element.")],
    broker: BrokerOption = "localhost:1883",
) -> None:
    """Simulated sites with cameras, for as long as this runs; cut their plant with 'utaa sim cut'."""

    async def run() -> None:
        await Streets(read_plan(plan.read_bytes()), broker_from_text(broker), SystemClock()).run()

    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run())
    except (SimulatorError, OSError) as error:
        _fail(error)


def cut(elements: Elements, broker: BrokerOption = "localhost:1883") -> None:
    """Cut the plant of the simulated streets."""
    _order("cut", elements, broker)


def mend(elements: Elements, broker: BrokerOption = "localhost:1883") -> None:
    """Mend what was cut."""
    _order("mend", elements, broker)


def _order(do: Literal["cut", "mend"], elements: list[str], broker: str) -> None:
    strange = [each for each in elements if ":" not in each]
    try:
        if strange:
            raise SimulatorError(strange[0], "expected a kind and a name, as in trench:T1")
        payload = msgspec.json.encode(Order(do, elements)).decode()
        asyncio.run(publish(broker_from_text(broker), CUT_TOPIC, payload))
    except SimulatorError as error:
        _fail(error)
    typer.echo(f"{do}: {', '.join(elements)}")


def _fail(error: Exception) -> None:
    typer.echo(f"utaa: {error}", err=True)
    raise typer.Exit(getattr(error, "exit_code", 1))
