"""The demo's fibre plant: one POP, two cabinets on one line of trenches, cameras, and a school's site.

The plant is entered through the public API; the sites that watch its cameras are simulated, speak to
the city's own broker, and lose what ``utaa sim cut`` takes from them.
"""

from __future__ import annotations

from typing import Any, Final

from firmware_sim.streets import Plan
from registry.fibre.network import Network
from registry.fibre.operations import check_all, operations_of
from registry.fibre.plant import Plant
from utaa.readback import Api

#: Watches the cameras from the POP.
WATCH: Final = "street-cameras"
#: Hangs on the second cabinet, with its homes.
SCHOOL: Final = "school-7"
#: The trench between the cabinets: behind it the second cabinet's cameras and the school's homes.
TRENCH: Final = "trench:T-2"
HOMES: Final = 5
_PER_CABINET: Final = 8
_AT: Final = (106.9330, 47.9190)


def operations() -> list[dict[str, Any]]:
    """The plant."""
    lon, lat = _AT
    made: list[dict[str, Any]] = [
        {"do": "node", "id": "POP-1", "kind": "pop", "lon": lon, "lat": lat},
        {
            "do": "node",
            "id": "CAB-1",
            "kind": "cabinet",
            "lon": _at(lon + 0.004),
            "lat": _at(lat + 0.001),
        },
        {
            "do": "node",
            "id": "CAB-2",
            "kind": "cabinet",
            "lon": _at(lon + 0.009),
            "lat": _at(lat + 0.002),
        },
        {
            "do": "node",
            "id": "SCHOOL",
            "kind": "building",
            "lon": _at(lon + 0.0095),
            "lat": _at(lat + 0.0025),
        },
        {"do": "route", "id": "R-1", "a": "POP-1", "b": "CAB-1", "trench": "T-1"},
        {"do": "route", "id": "R-2", "a": "CAB-1", "b": "CAB-2", "trench": "T-2"},
        {"do": "route", "id": "R-3", "a": "CAB-2", "b": "SCHOOL", "trench": "T-3"},
        {"do": "cable_type", "id": "G652-12", "tubes": 1, "strands_per_tube": 12, "helix": 1.01},
        {"do": "cable_type", "id": "G652-2", "tubes": 1, "strands_per_tube": 2},
        {"do": "equipment", "id": "CORE", "node": "POP-1", "kind": "core", "ports": 8},
        {"do": "equipment", "id": "OLT", "node": "POP-1", "kind": "olt", "ports": 16},
        _joint("patch", "CORE/1/front", "OLT/16/front"),
    ]
    for number, routes in ((1, ["R-1"]), (2, ["R-1", "R-2"])):
        made += _cabinet(number, routes)
    made += [
        _cable("K-SCHOOL", "CAB-2", ["R-3"]),
        {"do": "equipment", "id": "ONU-SCHOOL", "node": "SCHOOL", "kind": "onu", "ports": 1},
        _joint("splice", f"S-2/{_PER_CABINET + 1}/front", "K-SCHOOL/1/A"),
        _joint("termination", "K-SCHOOL/1/B", "ONU-SCHOOL/1/front"),
        {"do": "endpoint", "kind": "site", "ref": SCHOOL, "equipment": "ONU-SCHOOL", "criticality": 2},
    ]
    return made


def _cabinet(number: int, routes: list[str]) -> list[dict[str, Any]]:
    cabinet, splitter, feeder = f"CAB-{number}", f"S-{number}", f"F-{number}"
    made: list[dict[str, Any]] = [
        {**_cable(feeder, "POP-1", routes), "type": "G652-12"},
        {"do": "equipment", "id": splitter, "node": cabinet, "kind": "splitter", "ports": 16},
        _joint("termination", f"OLT/{number}/front", f"{feeder}/1/A"),
        _joint("splice", f"{feeder}/1/B", f"{splitter}/0/front"),
    ]
    lon, lat = _AT[0] + (0.004, 0.009)[number - 1], _AT[1] + 0.001 * number
    for place in range(1, _PER_CABINET + 1):
        pole, onu = f"P-{number}-{place}", f"ONU-{number}-{place}"
        away = 0.0003 * place
        made += [
            {"do": "node", "id": pole, "kind": "pole", "lon": _at(lon - away), "lat": _at(lat + away)},
            {"do": "route", "id": f"R-{pole}", "a": cabinet, "b": pole, "install": "aerial"},
            _cable(f"K-{pole}", cabinet, [f"R-{pole}"]),
            {"do": "equipment", "id": onu, "node": pole, "kind": "onu", "ports": 1},
            _joint("splice", f"{splitter}/{place}/front", f"K-{pole}/1/A"),
            _joint("termination", f"K-{pole}/1/B", f"{onu}/1/front"),
            {"do": "endpoint", "kind": "camera", "ref": f"cam-{number}-{place}", "equipment": onu},
        ]
    return made


def _at(degrees: float) -> float:
    """To the centimetre, as surveyors write it."""
    return round(degrees, 7)


def _cable(name: str, a: str, routes: list[str]) -> dict[str, Any]:
    return {"do": "cable", "id": name, "type": "G652-2", "a": a, "routes": routes, "status": "active"}


def _joint(kind: str, a: str, b: str) -> dict[str, Any]:
    return {"do": "joint", "kind": kind, "a": a, "b": b}


def plan() -> Plan:
    """Who is watched from where, and who is lost with what."""
    plant = Plant()
    check_all(plant, operations_of(operations()))
    network = Network(plant)
    cameras = [each.ref for each in plant.endpoints if each.kind == "camera"]
    losers = {
        name: [network.subjects[number].key for number in network.losers.row(risk).tolist()]
        for risk, name in enumerate(network.risks)
    }
    return Plan({WATCH: cameras, SCHOOL: []}, {name: lost for name, lost in losers.items() if lost})


async def register(api: Api, unit_code: str | None = None) -> None:
    """Sites, the school's homes, and the plant, through the public API."""
    for site, title in ((WATCH, "Гудамжны камерууд"), (SCHOOL, "7-р сургууль")):
        await api.post(
            "/sites",
            {"id": site, "title": title, "unit_code": unit_code, "lat": _AT[1], "lon": _AT[0]},
        )
    for number in range(1, HOMES + 1):
        await api.post("/households", {"label": f"{SCHOOL}, айл {number}", "site_id": SCHOOL})
    await api.post("/fibre/changes", {"operations": operations()})
