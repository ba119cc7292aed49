"""``utaa registry …`` over the fibre plant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway import schema
from gateway.registry_commands import app
from utaa import demo_fibre


@pytest.fixture
async def city(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    url = f"sqlite:///{tmp_path}/city.db"
    await schema.upgrade(url)
    monkeypatch.setenv("UTAA_GATEWAY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("UTAA_REGISTRY_DATABASE_URL", url)
    return tmp_path


def _say(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


async def test_a_plant_is_imported_asked_and_exported_at_the_console(city: Path) -> None:
    import asyncio

    await asyncio.to_thread(_round, city)


def _round(city: Path) -> None:
    file = city / "plant.json"
    file.write_text(json.dumps(demo_fibre.operations()), encoding="utf-8")
    count = len(demo_fibre.operations())
    dry = json.loads(_say("fibre-import", str(file), "--dry-run", "--json").stdout)
    assert dry == {"taken": count, "dry_run": True, "notes": []}
    assert _say("fibre-import", str(file)).stdout == f"{count} operations taken\n"
    lost = json.loads(_say("impact", demo_fibre.TRENCH, "--json").stdout)
    assert (lost["cameras"], lost["sites"]) == (8, 1)
    told = _say("locate", *(each["subject"] for each in lost["subjects"]))
    assert "trench:T-2 (" in told.stdout
    drawing = city / "way.svg"
    way = json.loads(_say("trace", "ONU-1-1/1/front", "--json", "--svg", str(drawing)).stdout)
    assert way["budget"]["verdict"] == "ok"
    assert drawing.read_text().startswith("<svg")
    paper = city / "plan.pdf"
    assert _say("splice-plan", "CAB-1", "--out", str(paper)).exit_code == 0
    assert paper.read_bytes().startswith(b"%PDF")
    assert _say("fibre-export", str(city / "out.geojson")).exit_code == 0
    unknown = _say("trace", "NOPE/1/A")
    assert unknown.exit_code == 1
    assert "cable NOPE: there is none of this name" in unknown.output
