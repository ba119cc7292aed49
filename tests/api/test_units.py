"""Administrative units through the door: open to anybody, with their attribution."""

from __future__ import annotations

from datetime import date

import pytest
from shapely import box

from registry.acts import Act
from registry.boundaries import Boundaries, Outline, enter_shipped_units, import_boundaries
from registry.rights import CONSOLE

#: The test runs on both databases.
BOTH = pytest.mark.parametrize(
    "city_url", ["sqlite", pytest.param("postgres", marks=pytest.mark.servers)], indirect=True
)


@BOTH
async def test_units_outlines_and_suggestions_are_open_and_carry_their_attribution(door, city) -> None:
    outline = Outline(
        "1101", "11", "district", "Багануур", "Baganuur", 5, box(108.0, 47.5, 109.0, 48.0)
    )
    async with city.database.write() as session:
        await enter_shipped_units(session)
        file = Boundaries("a.geojson", "0" * 64, "Example Office", (outline,))
        act = Act(CONSOLE, city.clock.now_us(), "console")
        await import_boundaries(session, act, file, valid_from=date(2026, 12, 1))
    async with door.client() as anybody:
        listed = (await anybody.get("/units", params={"parent": "11", "on": "2026-11-30"})).json()
        assert [row["code"] for row in listed["items"]][:2] == ["1101", "1104"]
        assert "CC BY" in listed["items"][0]["source"]
        assert (await anybody.get("/units", params={"on": "2000-01-01"})).json() == {"items": []}
        boundary = await anybody.get("/units/1101/boundary")
        assert boundary.headers["content-type"] == "application/geo+json"
        assert boundary.json()["attribution"] == "Example Office"
        assert (await anybody.get("/units/1104/boundary")).status_code == 404
        found = (await anybody.get("/units/suggest", params={"lat": 47.7, "lon": 108.3})).json()
        assert found["items"] == [{"code": "1101", "attribution": "Example Office"}]
        nowhere = await anybody.get("/units/suggest", params={"lat": 0, "lon": 0})
        assert nowhere.json() == {"items": []}


async def test_a_database_that_was_not_prepared_shows_what_ships(door) -> None:
    async with door.client() as anybody:
        assert len((await anybody.get("/units")).json()["items"]) == 214
