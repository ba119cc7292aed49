"""``utaa registry accept``: heard detectors into service, from the console."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.wire.identity import detector_id
from registry import audit
from registry.cli import build_app
from registry.db import Database
from registry.models import Detector, Site
from tests.made import make_tables

SITE = "home-1"


async def _prepare(database: Database) -> None:
    await make_tables(database)


async def _hear(url: str, addresses: list[str]) -> None:
    database = Database(url)
    await _prepare(database)
    async with database.write() as session:
        session.add(Site(id=SITE, title="", alarm_settings={}, output_settings={}, created_us=1))
        await session.flush()
        for address in addresses:
            session.add(
                Detector(
                    id=detector_id(SITE, "generic", address), site_id=SITE, source="generic",
                    address=address, status="unregistered", place="", alarm_settings={},
                    maker="Acme", model_name="G1", proposed={"senses": ["co_ppm"], "deadline_s": 60.0},
                )
            )  # fmt: skip
    await database.close()


@pytest.fixture
def accept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    url = f"sqlite:///{tmp_path}/city.sqlite"
    monkeypatch.setenv("UTAA_REGISTRY_DATABASE_URL", url)
    monkeypatch.setenv("UTAA_REGISTRY_DATA_DIR", str(tmp_path))
    asyncio.run(_hear(url, ["attic", "kitchen"]))

    def run(*words: str) -> Any:
        return CliRunner().invoke(build_app(_prepare), ["accept", *words])

    run.url = url  # type: ignore[attr-defined]
    return run


def test_all_that_a_site_heard_are_accepted_and_audited(accept: Any) -> None:
    result = accept("--site", SITE, "--all", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert {(row["address"], row["model_id"]) for row in rows} == {
        ("attic", "acme-g1"), ("kitchen", "acme-g1"),
    }  # fmt: skip

    async def entries() -> int:
        database = Database(accept.url)
        async with database.read() as session:
            verdict = await audit.verify(session)
        await database.close()
        return verdict.entries if verdict.ok else -1

    assert asyncio.run(entries()) == 2
    assert json.loads(accept("--site", SITE, "--all", "--json").stdout) == []


def test_one_is_accepted_by_its_id(accept: Any) -> None:
    result = accept("--site", SITE, detector_id(SITE, "generic", "attic"))
    assert result.exit_code == 0, result.output
    assert "attic" in result.stdout
    assert "kitchen" not in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--site", SITE), "all"),
        (("--site", "elsewhere", "--all"), "elsewhere"),
        (("--site", SITE, "d-nobody"), "d-nobody"),
        (("--site", SITE, "--all", "--household", "GER-9"), "GER-9"),
    ],
)
def test_what_cannot_be_accepted_is_one_line(accept: Any, words: tuple[str, ...], said: str) -> None:
    result = accept(*words)
    assert result.exit_code == 1
    [line] = result.stderr.strip().splitlines()
    assert line.startswith("utaa: ")
    assert said in line
