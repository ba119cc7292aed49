"""Administrative units: what ships, how outlines come in, and which units hold a point."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.registry_commands import app
from registry.acts import Act
from registry.boundaries import (
    BoundariesRefused,
    enter_shipped_units,
    import_boundaries,
    read_boundaries,
    suggest_units,
    units_on,
)
from registry.rights import CONSOLE

OFFICIAL = Path(__file__).parents[3] / "shared/data/admin-boundaries"
DAY = date(2026, 11, 21)
ACT = Act(CONSOLE, 1_795_000_000_000_000, "console")


def _feature(code: str, west: float, **properties: Any) -> dict[str, Any]:
    ring = [[west, 47.0], [west + 1, 47.0], [west + 1, 48.0], [west, 48.0], [west, 47.0]]
    names = {"name_mn": "Жишээ", "name_en": "Example", "type": "district", "parent": "MN99"}
    return {
        "type": "Feature",
        "properties": {"nso_code": code, **names, **properties},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def _file(folder: Path, *features: Any, **members: Any) -> Path:
    path = folder / "outlines.geojson"
    whole = {"type": "FeatureCollection", "attribution": "Example Office, CC BY", "features": features}
    path.write_text(json.dumps({**whole, **members}), encoding="utf-8")
    return path


async def test_what_ships_is_entered_once_with_its_day_and_source(database) -> None:
    async with database.write() as session:
        assert await enter_shipped_units(session) == 1 + 9 + 204
        assert await enter_shipped_units(session) == 0
        assert len(await units_on(session, DAY, "1116")) == 43
        assert await units_on(session, date(2020, 1, 1)) == []
        (first, *_) = await units_on(session, DAY, "11")
        assert (first.name_mn, first.khoroo_count, first.valid_from) == ("Багануур", 5, DAY)
        assert "CC BY 3.0 IGO" in first.source


async def test_a_renamed_unit_keeps_its_old_name_for_older_days(database, tmp_path) -> None:
    async with database.write() as session:
        first = read_boundaries(_file(tmp_path, _feature("9901", 106.0)))
        await import_boundaries(session, ACT, first, valid_from=date(2020, 1, 1))
        again = read_boundaries(_file(tmp_path, _feature("9901", 107.0, name_mn="Шинэ")))
        taken = await import_boundaries(session, ACT, again, valid_from=date(2026, 1, 1))
        assert (taken.units_new, taken.units_changed) == (0, 1)
    async with database.read() as session:
        names = [
            [unit.name_mn for unit in await units_on(session, day)]
            for day in (date(2019, 1, 1), date(2025, 12, 31), date(2026, 1, 1))
        ]
        assert names == [[], ["Жишээ"], ["Шинэ"]]
        assert await suggest_units(session, 47.5, 106.5) == [], "the newer outline replaced the older"
        assert [row.code for row in await suggest_units(session, 47.5, 107.5)] == ["9901"]


async def test_the_smallest_unit_that_holds_a_point_comes_first(database, tmp_path) -> None:
    small = _feature("990151", 106.0, type="khoroo", parent="9901")
    file = _file(tmp_path, _feature("9901", 106.0), small, _feature("9902", 107.5))
    async with database.write() as session:
        await import_boundaries(session, ACT, read_boundaries(file), valid_from=DAY)
        found = await suggest_units(session, 47.5, 106.5)
        assert [row.code for row in found] == ["990151", "9901"]
        assert {row.attribution for row in found} == {"Example Office, CC BY"}


BOWTIE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}


@pytest.mark.parametrize(
    ("features", "members", "expected"),
    [
        ([_feature("9901", 106.0)], {"attribution": ""}, "attribution: expected who made it"),
        ([], {}, "expected 1 to 5000 features"),
        ([_feature("9901", 106.0)], {"type": "Feature"}, "expected a GeoJSON FeatureCollection"),
        ([_feature("A", 106.0)], {}, "feature 1, nso_code: expected 2 to 8 digits"),
        ([_feature("9901", 106.0), _feature("9901", 107.0)], {}, "unit 9901 is in it twice"),
        ([_feature("9901", 190.0)], {}, "expected degrees"),
        ([{**_feature("9901", 1.0), "geometry": BOWTIE}], {}, "expected a valid Polygon"),
        ([{**_feature("9901", 1.0), "geometry": {"type": "Point"}}], {}, "expected properties and"),
        ([_feature("9901", 106.0, type="county")], {}, "type: expected one of capital"),
        ([_feature("9901", 106.0, name_mn=None)], {}, "name_mn and name_en"),
        ([7], {}, "expected properties and a geometry"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_in_one_line(
    tmp_path, features, members, expected
) -> None:
    with pytest.raises(BoundariesRefused) as refused:
        read_boundaries(_file(tmp_path, *features, **members))
    assert expected in str(refused.value)
    assert str(refused.value).startswith("outlines.geojson")
    assert "\n" not in str(refused.value)


def test_the_command_takes_the_official_files_and_a_point_finds_its_district(
    tmp_path, monkeypatch
) -> None:
    if not OFFICIAL.is_dir():
        pytest.skip(f"no official outlines in {OFFICIAL}")
    monkeypatch.setenv("UTAA_REGISTRY_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("UTAA_REGISTRY_DATABASE_URL", f"sqlite:///{tmp_path}/city.db")
    (tmp_path / "empty.csv").write_text("site\n", encoding="utf-8")
    runner = CliRunner()
    made = runner.invoke(app, ["import", "--create", str(tmp_path / "empty.csv")])
    assert made.exit_code == 0, made.output
    for name, outlines, new in (("ub_districts", 9, 0), ("darkhan_uul_soums", 4, 4)):
        told = runner.invoke(app, ["boundaries", "import", str(OFFICIAL / f"{name}.geojson"), "--json"])
        assert told.exit_code == 0, told.output
        taken = json.loads(told.stdout)
        assert (taken["boundaries"], taken["units_new"]) == (outlines, new)
        assert "CC BY 3.0 IGO" in taken["attribution"]
    wrong = runner.invoke(app, ["boundaries", "import", str(tmp_path / "empty.csv")])
    assert (wrong.exit_code, "expected a GeoJSON" in wrong.output) == (1, True)
