"""What stands at the nodes of a plant and joins its strands, as operations and as points of GeoJSON.

Equipment, trays, splices and cords, slack, what is said of strands, and endpoints. An import leaves
alone what is there already, as it does with nodes, routes and cables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from registry.fibre.geometry import Point
from registry.fibre.plant import Plant
from registry.fibre.values import PlantError

#: By layer, in the order in which they refer to each other: the properties that are an operation's.
LAYERS: Final[dict[str, tuple[str, ...]]] = {
    "equipment": ("id", "node", "kind", "ports", "provider"),
    "tray": ("id", "node", "capacity"),
    "joint": ("id", "kind", "a", "b", "tray", "loss_db", "length_m"),
    "slack": ("cable", "node", "length_m"),
    "strand": ("cable", "number", "state"),
    "endpoint": ("kind", "ref", "equipment", "criticality"),
}


def standing(plant: Plant) -> Iterator[dict[str, Any]]:
    """All of it as operations, in an order in which it can be entered."""
    for held in plant.equipment.values():
        yield without_none(
            {"do": "equipment", "id": held.id, "node": held.node, "kind": held.kind,
             "ports": held.ports, "provider": held.provider}
        )  # fmt: skip
    for tray in plant.trays.values():
        yield {"do": "tray", "id": tray.id, "node": tray.node, "capacity": tray.capacity}
    for joint in plant.joints():
        a, b = joint.ends
        yield without_none(
            {"do": "joint", "id": joint.id, "kind": joint.kind, "a": plant.key(a), "b": plant.key(b),
             "tray": joint.tray, "loss_db": joint.loss_db, "length_m": joint.length_m}
        )  # fmt: skip
    for slack in plant.slack:
        yield {"do": "slack", "cable": slack.cable, "node": slack.node, "length_m": slack.length_m}
    for piece, state in plant.said.items():
        owner, number = plant.piece(piece)
        yield {"do": "strand", "cable": owner.id, "number": number, "state": state}
    for each in plant.endpoints:
        yield {
            "do": "endpoint", "kind": each.kind, "ref": each.ref, "equipment": each.equipment,
            "criticality": each.criticality,
        }  # fmt: skip


def without_none(said: dict[str, Any]) -> dict[str, Any]:
    """Without the fields that nothing was said of."""
    return {name: value for name, value in said.items() if value is not None}


def points(plant: Plant) -> Iterator[tuple[Point, dict[str, Any]]]:
    """The same with its place: the properties of a feature, its operation's name as ``layer``."""
    for said in standing(plant):
        node = plant.nodes[_node_of(plant, said)]
        yield node.point, {"layer": said.pop("do"), **said}


def _node_of(plant: Plant, said: dict[str, Any]) -> str:
    match said["do"]:
        case "joint":
            return plant.joint_named(said["id"]).node
        case "strand":
            return plant.cables[said["cable"]].a
        case "endpoint":
            return plant.equipment[said["equipment"]].node
        case _:
            return str(said["node"])


def operation_of(layer: str, properties: dict[str, Any], plant: Plant) -> dict[str, Any] | None:
    """The operation of a feature; None where the plant has it. Raises ``KeyError``, ``TypeError``."""
    said = {name: properties[name] for name in LAYERS[layer] if properties.get(name) is not None}
    if _is_there(plant, layer, said):
        return None
    return {"do": layer, **said}


def _is_there(plant: Plant, layer: str, said: dict[str, Any]) -> bool:
    try:
        match layer:
            case "equipment":
                return said["id"] in plant.equipment
            case "tray":
                return said["id"] in plant.trays
            case "joint":
                return plant.mate[plant.end(str(said["a"]))] == plant.end(str(said["b"]))
            case "slack":
                held = {(each.cable, each.node, each.length_m) for each in plant.slack}
                return (said["cable"], said["node"], said["length_m"]) in held
            case "strand":
                strand = plant.strand(str(said["cable"]), int(said["number"]))
                return bool(plant.said.get(strand) == said["state"])
            case _:
                own = {(each.kind, each.ref, each.equipment) for each in plant.endpoints}
                return (said["kind"], said["ref"], said["equipment"]) in own
    except PlantError:  # of a cable or a device that is new itself
        return False
