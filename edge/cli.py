"""``utaa edge …``: run an agent; try payloads and recordings without one."""

from __future__ import annotations

import json

import typer

from edge.agent.command import run
from edge.evaluate import evaluate
from edge.evidence import evidence
from edge.sources.command import decode, sources
from edge.sources.listen import listen
from edge.wire.asyncapi import asyncapi as describe

app = typer.Typer(
    no_args_is_help=True, help="On site: run an agent, decode payloads, evaluate recordings."
)
app.command()(run)
app.command()(decode)
app.command()(sources)
app.command()(listen)
app.command()(evaluate)
app.command()(evidence)


@app.command()
def asyncapi() -> None:
    """Print the MQTT interface between site and city as an AsyncAPI document."""
    typer.echo(json.dumps(describe(), ensure_ascii=False, indent=2))
