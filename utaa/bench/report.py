"""A bench's account of itself: machine and versions, parameters, figures; as a table or as JSON.

Keys that benches share: ``readings_per_s``, ``alarms_per_s``, ``p50_ms``, ``p99_ms``, ``rss_mb`` and
``cpu_s`` (by process), ``lost`` and ``doubled`` (the publisher's ledger against a read-back).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from utaa.bench.measure import machine


@dataclass
class Report:
    """What a run was asked for and what it found."""

    bench: str
    parameters: dict[str, Any]
    figures: dict[str, Any] = field(default_factory=dict)
    #: what was aimed for, by figure
    targets: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=machine)

    def as_dict(self) -> dict[str, Any]:
        return {
            "bench": self.bench,
            "machine": self.machine,
            "parameters": self.parameters,
            "targets": self.targets,
            **self.figures,
        }

    def show(self, *, as_json: bool) -> None:
        """On stdout, as a table for people or as one JSON object."""
        if as_json:
            print(json.dumps(self.as_dict(), ensure_ascii=False))
            return
        console = Console()
        console.print(self._table())

    def _table(self) -> Table:
        table = Table(title=f"utaa bench {self.bench}", show_header=True, title_justify="left")
        table.add_column("figure")
        table.add_column("found", overflow="fold")
        table.add_column("aim")
        for name, value in _flat(self.machine):
            table.add_row(f"[dim]{name}[/]", f"[dim]{_text(value)}[/]", "")
        table.add_section()
        for name, value in _flat(self.parameters):
            table.add_row(name, _text(value), "")
        table.add_section()
        for name, value in _flat(self.figures):
            table.add_row(name, _text(value), self.targets.get(name, ""))
        return table


def _flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list) and len(value) > 12:
        return f"{len(value)} points, {_text(value[0])} … {_text(value[-1])}"
    return str(value)


class Teller:
    """Progress on stderr: a bar for what has an end, a line for what happens once."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)

    def say(self, line: str) -> None:
        self.console.print(f"[dim]{line}[/]")

    @contextmanager
    def bar(self, what: str, total: float) -> Iterator[Bar]:
        columns = (
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        with Progress(
            *columns,
            console=self.console,
            transient=True,
            refresh_per_second=2,
            disable=not self.console.is_terminal,
        ) as progress:
            yield Bar(progress, what, total)


class Bar:
    """One bar."""

    def __init__(self, progress: Progress, what: str, total: float) -> None:
        self._progress = progress
        self._task = progress.add_task(what, total=total, note="")

    def at(self, done: float, note: str = "") -> None:
        self._progress.update(self._task, completed=done, note=note)
