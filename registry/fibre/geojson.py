"""The plant as GeoJSON and as Open Fibre Data Standard 0.3, and operations from such files.

An import becomes a list of operations: what the plant has already is left alone, what is new is added,
and each problem names its feature. Lengths in the file are compared with the line's own.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any, Final

from registry.fibre.geometry import line_length_m
from registry.fibre.ofds_rules import SCHEMA, broken_rules
from registry.fibre.operations import ChangesRefused, Problem
from registry.fibre.plant import Plant, Route
from registry.fibre.standing import LAYERS, operation_of, points
from registry.fibre.values import INSTALLS, NODE_KINDS

#: Files of a city of 70,000 cameras are about 60 MB; they come in parts.
MAX_FILE_BYTES: Final = 16 << 20
#: A length in a file may differ from its line's by this share before it is told.
LENGTH_DIFFERS: Final = 0.05
#: Our words in the standard's lists; that of nodes is open, so buildings, poles and manholes stay.
_NODE_TYPE: Final = {
    "building": "building", "pop": "pop", "pole": "pole", "manhole": "manhole",
    "closure": "aggregationPoint", "odf": "exchange", "cabinet": "cabinet",
}  # fmt: skip
_DEPLOYMENT: Final = {
    "trenched": "belowGround", "ducted": "belowGround", "aerial": "aboveGround", "wall": "aboveGround",
    "indoor": "aboveGround",
}  # fmt: skip
#: Their word for a span by the cables in it: the first that fits.
_SPAN_STATUS: Final = {
    "operational": {"built", "accepted", "active", "damaged"}, "planned": {"planned"},
    "decommissioned": {"removed"},
}  # fmt: skip


def features(plant: Plant) -> dict[str, Any]:
    """Nodes, routes, cables, and what stands and is joined at nodes, as one FeatureCollection."""
    drawn = [*_nodes(plant), *_routes(plant), *_cables(plant)]
    stands = (
        _feature({"type": "Point", "coordinates": list(place)}, **said) for place, said in points(plant)
    )
    return {"type": "FeatureCollection", "features": [*drawn, *stands]}


def _feature(geometry: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _nodes(plant: Plant) -> Iterator[dict[str, Any]]:
    for node in plant.nodes.values():
        point = {"type": "Point", "coordinates": list(node.point)}
        yield _feature(point, layer="node", id=node.id, kind=node.kind)


def _routes(plant: Plant) -> Iterator[dict[str, Any]]:
    for route in plant.routes.values():
        now = route.now
        line = {"type": "LineString", "coordinates": [list(point) for point in now.line]}
        yield _feature(
            line, layer="route", id=route.id, a=route.a, b=route.b, install=now.install,
            trench=now.trench, duct=now.duct, contractor=now.contractor,
            length_m=round(now.length_m, 1),
        )  # fmt: skip


def _cables(plant: Plant) -> Iterator[dict[str, Any]]:
    for cable in plant.cables.values():
        line = {"type": "LineString", "coordinates": [list(point) for point in plant.line_of(cable)]}
        yield _feature(
            line, layer="cable", id=cable.id, type=cable.type.id, tubes=cable.type.tubes,
            strands_per_tube=cable.type.strands_per_tube, scheme=cable.type.scheme,
            helix=cable.type.helix, a=cable.a, b=cable.b, routes=list(cable.routes),
            status=cable.status, provider=cable.provider, sheath_m=cable.sheath_m,
            optical_m=cable.optical_m, length_m=round(cable.geographic_m, 1),
        )  # fmt: skip


def read_features(content: bytes, plant: Plant) -> tuple[list[dict[str, Any]], list[str]]:
    """Operations for what is new in a file of ``features``, and where its lengths differ.

    Raises ``ChangesRefused`` with every feature that cannot be read.
    """
    said = _json(content)
    listed = said.get("features") if isinstance(said, dict) else None
    if not isinstance(listed, list):
        raise ChangesRefused([Problem(0, "bad_form", "expected a FeatureCollection")])
    operations, notes, problems = list[dict[str, Any]](), list[str](), list[Problem]()
    order = {name: rank for rank, name in enumerate((*_READERS, *LAYERS))}
    rows: list[tuple[int, int, dict[str, Any], Any]] = []
    for place, feature in enumerate(listed):
        layer, properties, geometry = _parts(feature)
        if layer not in order:
            problems.append(Problem(place, "bad_form", f"layer: expected one of {', '.join(order)}"))
            continue
        rows.append((order[layer], place, properties, geometry))
    known_types = set(plant.types)
    for rank, place, properties, coordinates in sorted(rows, key=lambda row: row[:2]):
        try:
            if rank >= len(_READERS):
                one = operation_of(str(properties["layer"]), properties, plant)
                operations += [one] if one is not None else []
                continue
            read = _READERS[tuple(_READERS)[rank]]
            made = read(properties, coordinates, plant, known_types)
            told = _length_note(properties, coordinates)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            problems.append(Problem(place, "bad_form", f"feature {place}: {str(error)[:120]}"))
            continue
        operations += made
        notes += told
    if problems:
        raise ChangesRefused(problems)
    return operations, notes


def _json(content: bytes) -> Any:
    if len(content) > MAX_FILE_BYTES:
        wanted = f"{len(content)} bytes; at most {MAX_FILE_BYTES}: send it in parts"
        raise ChangesRefused([Problem(0, "bad_form", wanted)])
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ChangesRefused([Problem(0, "bad_form", f"no JSON: {str(error)[:100]}")]) from None


def _parts(feature: Any) -> tuple[str, dict[str, Any], Any]:
    if not isinstance(feature, dict):
        return "", {}, None
    properties, geometry = feature.get("properties"), feature.get("geometry")
    if not isinstance(properties, dict) or not isinstance(geometry, dict):
        return "", {}, None
    return str(properties.get("layer", "")), properties, geometry.get("coordinates")


def _node_of(
    said: dict[str, Any], at: Any, plant: Plant, _types: set[str]
) -> list[dict[str, Any]]:  # fmt: skip
    if said["id"] in plant.nodes:
        return []
    lon, lat = float(at[0]), float(at[1])
    return [{"do": "node", "id": said["id"], "kind": said["kind"], "lon": lon, "lat": lat}]


def _route_of(
    said: dict[str, Any], line: Any, plant: Plant, _types: set[str]
) -> list[dict[str, Any]]:  # fmt: skip
    if said["id"] in plant.routes:
        return []
    names = ("id", "a", "b", "install", "trench", "duct", "contractor")
    made = {name: said[name] for name in names if said.get(name)}
    return [{"do": "route", **made, "line": [[float(p[0]), float(p[1])] for p in line]}]


def _cable_of(
    said: dict[str, Any], _line: Any, plant: Plant, types: set[str]
) -> list[dict[str, Any]]:  # fmt: skip
    if said["id"] in plant.cables:
        return []
    made: list[dict[str, Any]] = []
    if said["type"] not in types:
        types.add(said["type"])
        names = ("tubes", "strands_per_tube", "scheme", "helix")
        made.append(
            {"do": "cable_type", "id": said["type"], **{n: said[n] for n in names if n in said}}
        )
    own = ("id", "type", "a", "routes", "sheath_m", "optical_m", "status", "provider")
    made.append({"do": "cable", **{name: said[name] for name in own if said.get(name) is not None}})
    return made


_READERS: Final = {"node": _node_of, "route": _route_of, "cable": _cable_of}


def _length_note(said: dict[str, Any], coordinates: Any) -> list[str]:
    """A length in the file that its own line contradicts."""
    told = said.get("length_m")
    if not isinstance(told, int | float) or not isinstance(coordinates, list) or len(coordinates) < 2:
        return []
    own = line_length_m([(float(p[0]), float(p[1])) for p in coordinates])
    if abs(own - told) <= max(LENGTH_DIFFERS * own, 1.0):
        return []
    return [f"{said.get('id')}: {told:.1f} m in the file, {own:.1f} m along its line; the line holds"]


# ---- Open Fibre Data Standard 0.3 -------------------------------------------------------------


def ofds(plant: Plant, *, name: str, publisher: str, network_id: str | None = None) -> dict[str, Any]:
    """A network package: nodes and spans (our routes), without customers, strands or services."""
    counts = dict.fromkeys(plant.routes, 0)
    lying: dict[str, set[str]] = {route: set() for route in plant.routes}
    for cable in plant.cables.values():
        for route in cable.routes:
            lying[route].add(cable.status)
            counts[route] += cable.type.strands if cable.status != "removed" else 0
    network = {
        "id": network_id or str(uuid.uuid4()), "name": name, "publisher": {"name": publisher},
        "links": [{"href": SCHEMA, "rel": "describedby"}],
        "crs": {
            "name": "urn:ogc:def:crs:OGC::CRS84", "uri": "http://www.opengis.net/def/crs/OGC/1.3/CRS84",
        },
        "nodes": [
            {
                "id": node.id, "name": node.id, "type": [_NODE_TYPE[node.kind]],
                "location": {"type": "Point", "coordinates": list(node.point)},
            }
            for node in plant.nodes.values()
        ],
        "spans": [_span(route, lying[route.id], counts[route.id]) for route in plant.routes.values()],
    }  # fmt: skip
    return {"networks": [{name: value for name, value in network.items() if value != []}]}


def _span(route: Route, cables: set[str], strands: int) -> dict[str, Any]:
    now = route.now
    states = [theirs for theirs, ours in _SPAN_STATUS.items() if not ours.isdisjoint(cables)]
    return {
        "id": route.id, "name": route.id, "start": route.a, "end": route.b,
        **({"status": states[0]} if states else {}),  # a route without a cable has none
        "route": {"type": "LineString", "coordinates": [list(point) for point in now.line]},
        "transmissionMedium": ["fibre"],
        "deployment": [_DEPLOYMENT[now.install]], "deploymentDetails": {"description": now.install},
        "fibreCount": strands, "fibreLength": round(now.length_m / 1000, 4),
    }  # fmt: skip


def read_ofds(content: bytes, plant: Plant) -> tuple[list[dict[str, Any]], list[str]]:
    """Operations for the nodes and spans that are new in a network package.

    Raises ``ChangesRefused``.
    """
    said = _json(content)
    networks = said.get("networks") if isinstance(said, dict) else None
    if not isinstance(networks, list):
        raise ChangesRefused([Problem(0, "bad_form", "expected a package with networks")])
    kinds = {theirs: ours for ours, theirs in _NODE_TYPE.items()}
    operations, problems = list[dict[str, Any]](), list[Problem]()
    notes = [f"not as the standard says: {broken}" for broken in broken_rules(said)]
    place = 0
    for network in networks:
        for kind in ("nodes", "spans"):
            for each in network.get(kind, []) if isinstance(network, dict) else []:
                try:
                    read = _ofds_node if kind == "nodes" else _ofds_span
                    made, told = read(each, plant, kinds)
                    operations += made
                    notes += told
                except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                    detail = f"{kind[:-1]} {place}: {type(error).__name__} {str(error)[:80]}"
                    problems.append(Problem(place, "bad_form", detail))
                place += 1
    if problems:
        raise ChangesRefused(problems)
    return operations, notes


def _ofds_node(
    said: dict[str, Any], plant: Plant, kinds: dict[str, str]
) -> tuple[list[dict[str, Any]], list[str]]:
    if said["id"] in plant.nodes:
        return [], []
    theirs = [kinds[word] for word in said.get("type", []) if word in kinds]
    kind = theirs[0] if theirs else "manhole"
    assert kind in NODE_KINDS
    lon, lat = said["location"]["coordinates"][:2]
    return [{"do": "node", "id": said["id"], "kind": kind, "lon": float(lon), "lat": float(lat)}], []


def _ref(said: Any) -> str:
    """A node's id; the standard's GeoJSON form embeds the node instead."""
    return str(said["id"] if isinstance(said, dict) else said)


def _ofds_span(
    said: dict[str, Any], plant: Plant, _kinds: dict[str, str]
) -> tuple[list[dict[str, Any]], list[str]]:
    if said["id"] in plant.routes:
        return [], []
    install = "aerial" if "aboveGround" in said.get("deployment", []) else "ducted"
    details = said.get("deploymentDetails")
    if isinstance(details, dict) and details.get("description") in INSTALLS:  # one of our own files
        install = details["description"]
    line = said.get("route", {}).get("coordinates")
    made: dict[str, Any] = {
        "do": "route", "id": said["id"], "a": _ref(said["start"]), "b": _ref(said["end"]),
        "install": install,
    }  # fmt: skip
    notes: list[str] = []
    if line:
        made["line"] = [[float(p[0]), float(p[1])] for p in line]
        if isinstance(told := said.get("fibreLength"), int | float):
            notes = _length_note({"id": said["id"], "length_m": 1000 * told}, line)
    return [made], notes
