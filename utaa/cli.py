"""``utaa``: one command, each room's own commands below it.

A room is imported only when one of its commands is called, so ``utaa edge …`` on a small box never
loads the city's libraries.
"""

from __future__ import annotations

import contextlib
import importlib
import resource
import sys
from importlib import metadata
from typing import Annotated

import typer

#: First word → where its commands are (a module's ``app``, or ``module:name``), what they are for.
ROOMS: dict[str, tuple[str, str]] = {
    "edge": ("edge.cli", "On site: run an agent, decode payloads, evaluate recordings."),
    "cameras": ("edge.cameras.cli", "Camera health: probe streams, judge pictures."),
    "gateway": ("gateway.cli", "In the city: take in readings and alarms, serve API and pages."),
    "registry": ("gateway.registry_commands", "The register: import, check, list; keys and tokens."),
    "alerts": ("alerts.cli", "Who was told what: explain an incident, work on dead letters."),
    "sim": ("firmware_sim.cli", "Detectors and fires that do not exist; replay of recordings."),
    "backup": ("gateway.backup.commands", "Keep the city, encrypted; bring it back anywhere."),
    "ca": ("gateway.broker.commands:ca", "Certificates of the broker, gateways, sites and devices."),
    "broker": ("gateway.broker.commands:broker", "The broker's rules: who may say and hear what."),
    "supply": ("utaa.supply", "What Utaa is made of, and whether any of it is known to be broken."),
    "bench": ("utaa.bench", "Measure this machine."),
}
_OWN = "utaa.commands"


def build(words: list[str]) -> typer.Typer:
    """The command tree as far as these words need it; all of it for help."""
    app = typer.Typer(
        name="utaa",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Utaa: smoke and CO alarms from the detector to the person who must wake up. "
        "Begin with 'utaa demo'.",
    )
    app.callback()(_front)
    first = next((word for word in words if not word.startswith("-")), None)
    if first not in ROOMS:
        importlib.import_module(_OWN).mount(app)
    for name, (module, purpose) in ROOMS.items():
        if first == name:
            app.add_typer(_commands(module), name=name, help=purpose)
        elif first not in ROOMS:
            app.add_typer(typer.Typer(help=purpose), name=name, help=purpose)
    return app


def _commands(place: str) -> typer.Typer:
    module, _, name = place.partition(":")
    commands: typer.Typer = getattr(importlib.import_module(module), name or "app")
    return commands


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"utaa {metadata.version('utaa')}")
        raise typer.Exit


def _front(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    pass


def _no_core() -> None:
    """A core file would hold keys and addresses: none is ever written, by us or what we start."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """The entry point."""
    _no_core()
    app = build(sys.argv[1:])
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
