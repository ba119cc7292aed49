"""Splice plans and as-built sheets of one node, to print: data here, the paper by Typst."""

from __future__ import annotations

from typing import Any

from registry.fibre.budget import Losses, hop_loss_db
from registry.fibre.plant import FREE, Cable, Plant
from registry.fibre.trace import Hop
from registry.fibre.values import PlantError


def splice_plan(plant: Plant, node: str, losses: Losses | None = None) -> dict[str, Any]:
    """What a splicer needs at a closure: each tray's joints with colours, and the cables that come in.

    Raises ``PlantError`` for a node that is not there.
    """
    if node not in plant.nodes:
        raise PlantError("unknown", f"node {node[:64]}", "there is none of this name")
    use = losses or Losses()
    joints: list[dict[str, Any]] = []
    for joint in plant.joints():
        if joint.node == node:
            hop = Hop(joint.kind, joint.id, (node,), loss_db=joint.loss_db)
            a, b = (_end(plant, end) for end in joint.ends)
            joints.append(
                {
                    "id": joint.id, "kind": joint.kind, "tray": joint.tray or "",
                    "a": a, "b": b, "measured": joint.loss_db is not None,
                    "loss_db": round(hop_loss_db(hop, 1310, use), 3),
                }
            )  # fmt: skip
    joints.sort(key=lambda each: (each["tray"], each["a"]["key"]))
    at = plant.nodes[node]
    return {
        "node": node, "kind": at.kind, "lon": at.lon, "lat": at.lat, "joints": joints,
        "trays": [
            {"id": tray.id, "capacity": tray.capacity, "used": tray.used}
            for tray in plant.trays.values()
            if tray.node == node
        ],
        "cables": [_cable(plant, cable, node) for cable in _cables_at(plant, node)],
        "slack": [
            {"cable": each.cable, "length_m": each.length_m}
            for each in plant.slack
            if each.node == node
        ],
    }  # fmt: skip


def _end(plant: Plant, end: int) -> dict[str, Any]:
    owner, number = plant.piece(end >> 1)
    said: dict[str, Any] = {"key": plant.key(end), "name": owner.id, "number": number}
    if isinstance(owner, Cable):
        colours = owner.colours(number)
        said |= {
            "tube": colours.tube_colour,
            "strand": colours.strand_colour,
            "tube_number": colours.tube,
        }
    else:
        said |= {"tube": "", "strand": ""}
    return said


def _cables_at(plant: Plant, node: str) -> list[Cable]:
    ending = [cable for cable in plant.cables.values() if node in (cable.a, cable.b)]
    return sorted(ending, key=lambda cable: cable.id)


def _cable(plant: Plant, cable: Cable, node: str) -> dict[str, Any]:
    side = 0 if node == cable.a else 1
    first = cable.first_piece
    pieces = range(first, first + cable.type.strands)
    used = sum(plant.mate[2 * piece + side] != FREE for piece in pieces)
    return {
        "id": cable.id, "type": cable.type.id, "strands": cable.type.strands, "used": used,
        "to": cable.b if side == 0 else cable.a, "status": cable.status,
        "geographic_m": round(cable.geographic_m, 1), "sheath_m": round(cable.sheath_m, 1),
        "optical_m": round(cable.optical_m, 1),
        "install": sorted({plant.routes[route].now.install for route in cable.routes}),
        "trenches": [plant.routes[route].unit for route in cable.routes][:40],
    }  # fmt: skip
