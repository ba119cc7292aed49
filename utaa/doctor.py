"""``utaa doctor``: the city's report and each agent's, side by side, for a person or a program."""

from __future__ import annotations

import os
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.spool import inspect
from edge.wire.errors import REASONS

#: Samples shown of each agent on a console; ``--json`` gives all.
_SAMPLES_SHOWN = 10
#: Where ``utaa up`` leaves its settings when no other folder is asked for.
_USUAL = Path("var/utaa/utaa.toml")


class Problem(Exception):
    """The doctor cannot begin; the text says what is wrong and what was expected."""


async def examine(
    config: Path | None, gateway_data: Path | None, edge_folders: list[Path]
) -> dict[str, Any]:
    """``{"well": bool, "city": …, "edges": {folder: …}}``.

    The city is examined unless only agents' folders are given; a settings file with ``[edge]`` names
    its agent's folder. ``well`` is true only of what was really looked at. Raises ``Problem``.
    """
    report: dict[str, Any] = {"well": True, "edges": {}}
    folders = list(edge_folders)
    if config or gateway_data or not edge_folders:
        report["city"] = await _city(config, gateway_data)
        report["well"] = report["city"]["ok"]
        folders = folders or _edge_folder(config)
    for folder in folders:
        try:
            found = inspect(folder)
        except (OSError, sqlite3.Error) as error:
            raise Problem(f"agent in {folder}: {error}; expected an agent's data folder") from None
        report["edges"][str(folder)] = found
        report["well"] = report["well"] and not found["damaged"]
    return report


def usual_config() -> Path | None:
    """The settings of the ``utaa up`` of this folder, for who names no others."""
    named = any(name.startswith(("UTAA_CONFIG", "UTAA_GATEWAY_")) for name in os.environ)
    return _USUAL if not named and _USUAL.exists() else None


def _edge_folder(config: Path | None) -> list[Path]:
    """The agent's folder that a settings file names."""
    from edge.settings import SettingsError, load_settings

    if config is None or "edge" not in tomllib.loads(config.read_text(encoding="utf-8")):
        return []
    try:
        return [load_settings(config).data_dir]
    except SettingsError as error:
        raise Problem(f"wrong setting: {error}") from None


async def _city(config: Path | None, gateway_data: Path | None) -> dict[str, Any]:
    from gateway.doctor import city_report
    from gateway.settings import SettingsError, load_settings

    try:
        return await city_report(load_settings(config, data_dir=gateway_data))
    except SettingsError as error:
        raise Problem(f"wrong setting: {error}") from None


def show(report: dict[str, Any]) -> None:
    """The report for a person."""
    console = Console()
    if "city" in report:
        _show_city(console, report["city"])
    for folder, edge in report["edges"].items():
        _show_edge(console, folder, edge)
    console.print("[bold green]all well[/]" if report["well"] else "[bold red]not well[/]")


def _mark(ok: bool) -> str:
    return "[green]✓[/]" if ok else "[red]✗[/]"


def _show_city(console: Console, city: dict[str, Any]) -> None:
    console.rule("the city")
    for part in ("database", "broker", "store"):
        console.print(f"{_mark(city[part]['ok'])} {part:9} {escape(city[part]['what'])}")
    if sites := city.get("sites"):
        states = ", ".join(f"{count} {state}" for state, count in sites["by_state"].items())
        console.print(f"  sites     {states or 'none heard yet'}")
        for site in sites["unwell"]:
            console.print(f"  [yellow]{site['site']}[/] {site['state']} since {site['heard']}")
    if detectors := city.get("detectors"):
        console.print("  detectors " + ", ".join(f"{n} {status}" for status, n in detectors.items()))
    for channel in city.get("channels", []):
        said = channel["reason"] + (f", {channel['waiting']} waiting" if channel["waiting"] else "")
        console.print(f"{_mark(not channel['failing'])} channel   {channel['channel']}: {said}")
    for group in city.get("set_aside", []):
        console.print(f"  [yellow]set aside[/] {group['kept']} × {group['reason']}: {group['meaning']}")
        table = _samples_table()
        for sample in group["last"]:
            _add_sample(table, sample, group["reason"], sample["payload"])
        console.print(table)


def _show_edge(console: Console, folder: str, edge: dict[str, Any]) -> None:
    console.rule(f"agent in {escape(folder)}")
    console.print(
        f"{_mark(not edge['damaged'])} spool     epoch {edge['epoch']}, {edge['bytes']} bytes"
    )
    console.print(f"  waiting   {edge['queued_events']} events, {edge['queued_readings']} readings")
    console.print(f"  alarms    {len(edge['active_alarms'])} active, {edge['detectors']} detectors")
    for name in edge["set_aside"]:
        console.print(f"  [yellow]a damaged spool was set aside as {escape(name)}[/]")
    for reason, count in edge["counters"].get("refused", {}).items():
        console.print(f"  refused   {count} × {reason}: {REASONS.get(reason, '')}")
    if edge["bad_samples"]:
        table = _samples_table()
        for sample in edge["bad_samples"][-_SAMPLES_SHOWN:]:
            _add_sample(table, sample, sample["reason"], sample["head"])
        console.print(table)


def _samples_table() -> Table:
    """Fits a console of 80 columns: a line for each sample, the rest is in ``--json``."""
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for title, ratio in (("at (UTC)", None), ("topic", 3), ("why", 3), ("payload begins", 2)):
        table.add_column(title, ratio=ratio, no_wrap=True, overflow="ellipsis")
    return table


def _add_sample(table: Table, sample: dict[str, Any], reason: str, payload: str) -> None:
    why = f"{reason}: {sample['detail']}" if sample["detail"] else reason
    at = str(sample["at"])[5:19].replace("T", " ")
    topic = str(sample["topic"]).removeprefix("utaa/v1/")
    table.add_row(at, *(escape(" ".join(text.split())) for text in (topic, why, payload)))
