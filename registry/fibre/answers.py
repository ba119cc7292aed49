"""Questions to a compiled plant and their answers as plain data, for the API and the console alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from registry.fibre import allocate, sheets
from registry.fibre import drawing as drawings
from registry.fibre import impact as impacts
from registry.fibre import redundancy as ways
from registry.fibre.budget import Budget, budget, hop_loss_db
from registry.fibre.locate import Finding, Section
from registry.fibre.services import Compiled
from registry.fibre.sor import point_at, read_sor
from registry.fibre.trace import Hop
from registry.fibre.trace import trace as trace_way
from registry.fibre.values import PlantError


@dataclass(frozen=True)
class Summary:
    """How much there is."""

    version: int
    nodes: int
    routes: int
    cables: int
    equipment: int
    endpoints: dict[str, int]


def summary(kept: Compiled) -> Summary:
    plant = kept.plant
    kinds = Counter(each.kind for each in plant.endpoints)
    return Summary(
        kept.version, len(plant.nodes), len(plant.routes), len(plant.cables), len(plant.equipment),
        {str(kind): count for kind, count in kinds.items()},
    )  # fmt: skip


def trace(
    kept: Compiled, end: str, to: str | None, wavelength_nm: int, target_db: float | None
) -> dict[str, Any]:
    """Raises ``PlantError``."""
    way = trace_way(kept.plant, end, to=to)
    found = budget(way, wavelength_nm=wavelength_nm, target_db=target_db, losses=kept.losses)
    return {
        "a_stop": way.a_stop, "z_stop": way.z_stop, "length_m": round(way.length_m, 1),
        "sheath_m": round(way.sheath_m, 1), "geographic_m": round(way.geographic_m, 1),
        "hops": [_hop(hop, kept, wavelength_nm) for hop in way.hops],
        "anomalies": [asdict(each) for each in way.anomalies], "budget": budget_of(found),
    }  # fmt: skip


def _hop(hop: Hop, kept: Compiled, wavelength_nm: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "kind": hop.kind, "ref": hop.ref, "nodes": list(hop.nodes),
        "loss_db": round(hop_loss_db(hop, wavelength_nm, kept.losses), 3),
        "measured": hop.loss_db is not None,
    }  # fmt: skip
    if hop.length_m:
        said["length_m"] = round(hop.length_m, 1)
        said["geographic_m"] = round(hop.geographic_m, 1)
    if hop.colours is not None:
        said |= hop.colours._asdict()
    return said


def budget_of(found: Budget) -> dict[str, Any]:
    """A budget as plain data."""
    return {
        **asdict(found), "loss_db": round(found.loss_db, 2), "left_db": round(found.left_db, 2),
        "mends": [each._asdict() for each in found.mends],
    }  # fmt: skip


def drawing(kept: Compiled, end: str, to: str | None, wavelength_nm: int) -> str:
    """SVG. Raises ``PlantError``."""
    way = trace_way(kept.plant, end, to=to)
    return drawings.svg_of(way, wavelength_nm=wavelength_nm, losses=kept.losses)


def impact(kept: Compiled, elements: Sequence[str]) -> dict[str, Any]:
    """Raises ``PlantError``."""
    found = impacts.impact(kept.network, elements)
    return {
        "elements": list(found.elements), "homes": found.homes,
        "organisations": len(found.of_kind("organisation")), "cameras": len(found.of_kind("camera")),
        "sites": len(found.of_kind("site")), "pops": len(found.of_kind("pop")),
        "subjects": [
            {"subject": each.key, "criticality": each.criticality, "homes": each.homes}
            for each in found.subjects
        ],
    }  # fmt: skip


def redundancy(kept: Compiled, kind: str, limit: int) -> dict[str, Any]:
    """Of one kind of subject."""
    found = ways.redundancy(kept.network, kinds=(kind,))
    top = sorted(found.bridges.items(), key=lambda each: (-each[1], each[0]))
    nodes = sorted(found.articulations.items(), key=lambda each: (-each[1], each[0]))
    return {
        "subjects": found.subjects, "on_a_single_way": len(found.single),
        "redundant_on_paper_only": sum(each.shares for each in found.single),
        "single": [
            {
                "subject": each.subject.key, "criticality": each.subject.criticality,
                "risks": list(each.risks), "on_paper_only": each.shares,
            }
            for each in found.single[:limit]
        ],
        "bridges": dict(top[:limit]), "articulations": dict(nodes[:limit]),
        "unconnected": list(found.unconnected[:limit]),
    }  # fmt: skip


def second_way(kept: Compiled, subject: str) -> dict[str, Any]:
    """Raises ``PlantError``."""
    return asdict(ways.second_way(kept.network, subject))


def locate(kept: Compiled, lost: Iterable[str], unknown: Iterable[str] = ()) -> dict[str, Any]:
    """Every cause of these losses. Raises ``PlantError`` for a subject that is none."""
    causes = kept.locator.causes(_numbers(kept, lost), unknown=_numbers(kept, unknown))
    return {"causes": [_finding(each) for each in causes]}


def _numbers(kept: Compiled, subjects: Iterable[str]) -> list[int]:
    known, found = kept.network.number_of, list[int]()
    for key in subjects:
        if key not in known:
            raise PlantError("unknown", key[:140], "nobody of the plant is called so")
        found.append(known[key])
    return found


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "explained": len(finding.explained),
        "sections": [_section(section) for section in finding.sections],
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "elements": list(section.elements), "shares": [round(share, 4) for share in section.shares],
        "and_elements": list(section.and_elements),
        "more_elements": section.more_elements, "confidence": round(section.confidence, 4),
        "hits": section.hits, "misses": section.misses, "lost": section.lost, "point": section.point,
    }  # fmt: skip


def otdr(kept: Compiled, end: str, content: bytes, distance_m: float | None) -> dict[str, Any]:
    """Raises ``SorError`` or ``PlantError``."""
    said: dict[str, Any] = {}
    if content:
        read = read_sor(content)
        said = {"cable": read.cable, "strand": read.strand, "wavelength_nm": read.wavelength_nm,
                "events": [asdict(event) for event in read.events]}  # fmt: skip
        distance_m = read.end_m if distance_m is None else distance_m
    if distance_m is None:
        raise PlantError(
            "bad_number", end[:140], "no distance: the file has no event, and none is given"
        )
    place = point_at(kept.plant, end, distance_m)
    return {**said, "distance_m": distance_m, "place": asdict(place)}


def free_way(kept: Compiled, a: str, b: str, wavelength_nm: int) -> dict[str, Any]:
    """Raises ``PlantError``."""
    found = allocate.free_way(kept.plant, a, b, wavelength_nm=wavelength_nm, losses=kept.losses)
    legs = [asdict(leg) for leg in found.legs]
    for leg, plain in zip(found.legs, legs, strict=True):
        plain |= kept.plant.cables[leg.cable].colours(leg.strand)._asdict() | {"strand": leg.strand}
    return {"legs": legs, "budget": budget_of(found.budget)}


def splice_plan(kept: Compiled, node: str) -> dict[str, Any]:
    """Raises ``PlantError``."""
    return sheets.splice_plan(kept.plant, node, kept.losses)
