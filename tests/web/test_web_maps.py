"""The ground of the maps, and cameras as points or clusters."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from gateway.app import csp
from gateway.web.maps import SINGLES, cell_deg
from registry.boundaries import enter_shipped_units
from registry.cameras.models import Camera
from registry.models import UnitBoundary
from tests.web.conftest import Web

CITY = "106.5,47.7,107.5,48.2"


def _camera(number: int, **more: Any) -> dict[str, Any]:
    row, column = divmod(number, 40)
    return {
        "id": f"c{number}", "number": f"K-{number:05}", "lat": 47.8 + row * 0.005,
        "lon": 106.7 + column * 0.01, "state": "active", "created_us": 1, "unit_code": "1125", **more,
    }  # fmt: skip


async def _cameras(web: Web, rows: list[dict[str, Any]]) -> None:
    async with web.database.write() as session:
        await session.execute(insert(Camera), rows)


async def _features(web: Web, zoom: int, box: str = CITY) -> dict[str, Any]:
    answer = await web.browser.get("/map/cameras", params={"bbox": box, "zoom": zoom})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def test_without_boundaries_the_ground_is_the_districts_centre_points(web: Web) -> None:
    async with web.database.write() as session:
        await enter_shipped_units(session)
    ground = (await web.browser.get("/map/base")).json()
    assert len(ground["features"]) == 9
    names = {each["properties"]["code"]: each["properties"]["mn"] for each in ground["features"]}
    assert names["1125"].startswith("Чингэлтэй")


async def test_imported_boundaries_are_the_ground_and_name_their_maker(web: Web) -> None:
    ring = [[106.8 + step * 0.00001, 47.9] for step in range(1000)]
    ring += [[106.81, 47.95], [106.8, 47.95], [106.8, 47.9]]
    async with web.database.write() as session:
        await enter_shipped_units(session)
        session.add(
            UnitBoundary(
                code="1125", geometry={"type": "Polygon", "coordinates": [ring]}, min_lat=47.9,
                min_lon=106.8, max_lat=47.95, max_lon=106.81, attribution="Somebody, CC BY",
                file_name="a.geojson", file_sha256="0" * 64, imported_us=1,
            )
        )  # fmt: skip
    ground = (await web.browser.get("/map/base")).json()
    assert ground["attribution"] == "Somebody, CC BY"
    (outline,) = ground["features"]
    assert len(outline["geometry"]["coordinates"][0]) < 10  # thinned for a screen


async def test_few_cameras_are_points_that_lead_to_their_record(web: Web) -> None:
    await _cameras(web, [_camera(n) for n in range(3)])
    await web.enter("clerk", "registrar")
    found = await _features(web, 12)
    assert not found["clustered"]
    assert {each["properties"]["address"] for each in found["features"]} == {
        "/cameras/c0", "/cameras/c1", "/cameras/c2",
    }  # fmt: skip


async def test_many_cameras_are_clusters_that_count_every_one_and_the_faulty(web: Web) -> None:
    many = SINGLES + 200
    await _cameras(web, [_camera(n, state="faulty" if n < 7 else "active") for n in range(many)])
    await web.enter("clerk", "registrar")
    found = await _features(web, 11)
    assert found["clustered"]
    assert sum(each["properties"]["count"] for each in found["features"]) == many
    assert sum(each["properties"]["faulty"] for each in found["features"]) == 7
    assert len(found["features"]) < 100
    near = await _features(web, 17, "106.695,47.795,106.705,47.803")
    assert [each["properties"]["title"] for each in near["features"]] == ["K-00000"]


async def test_only_cameras_inside_ones_own_district_are_shown(web: Web) -> None:
    await _cameras(web, [_camera(1), _camera(2, unit_code="1116")])
    await web.enter("clerk", "registrar", unit="1116")
    found = await _features(web, 12)
    assert [each["properties"]["title"] for each in found["features"]] == ["K-00002"]


async def test_a_stranger_sees_no_camera_and_a_wrong_box_is_named(web: Web) -> None:
    assert (await web.browser.get("/map/cameras", params={"bbox": CITY})).status_code == 401
    await web.enter("clerk", "registrar")
    wrong = await web.browser.get("/map/cameras", params={"bbox": "1,2,3"})
    assert wrong.status_code == 422


def test_cells_halve_with_each_zoom_and_tiles_open_the_policy_for_their_host_alone() -> None:
    assert cell_deg(10) == 2 * cell_deg(11)
    assert "https://tiles.example" in csp("https://tiles.example/a/{z}/{x}/{y}.png")
    assert "http" not in csp(None)
