"""The rules of Open Fibre Data Standard 0.3 for what we write and read of it, in our own words.

From the standard's reference (``standard.ofds.info``): which fields a network, a node and a span must
have, their types, the closed code lists, and the checks beyond the schema (names used once, spans that
end at nodes which are there, coordinates with their reference system). Fields that we do not use are
only looked at for being empty.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, Final

from registry.fibre.geometry import check_point

SCHEMA: Final = (
    "https://raw.githubusercontent.com/Open-Telecoms-Data/open-fibre-data-standard/"
    "0__3__0/schema/network-schema.json"
)
STATUSES: Final = (
    "proposed", "planned", "underConstruction", "operational", "decommissioned", "inactive",
)  # fmt: skip
MEDIA: Final = ("fibre", "microwave", "copper", "coaxial")
DEPLOYMENTS: Final = ("aboveGround", "belowGround")
#: By field of a span: the list its values are from.
_CLOSED: Final = {"transmissionMedium": MEDIA, "deployment": DEPLOYMENTS}
#: Problems of one package that are told.
MAX_TOLD: Final = 200


def broken_rules(package: Any) -> list[str]:
    """Each rule that the package breaks, with its place; at most ``MAX_TOLD`` of them."""
    told = []
    for problem in _package(package):
        told.append(problem)
        if len(told) == MAX_TOLD:
            break
    return told


def _package(package: Any) -> Iterator[str]:
    networks = package.get("networks") if isinstance(package, dict) else None
    if not isinstance(networks, list) or not networks:
        yield "networks: expected a list of one or more"
        return
    for place, network in enumerate(networks):
        where = f"networks/{place}"
        if not isinstance(network, dict):
            yield f"{where}: expected an object"
            continue
        yield from _network(where, network)


def _network(where: str, network: dict[str, Any]) -> Iterator[str]:
    yield from _empty(where, network)
    if not _is_uuid(network.get("id")):
        yield f"{where}/id: expected a UUID"
    links = network.get("links")
    first = links[0] if isinstance(links, list) and links else None
    if not isinstance(first, dict) or (first.get("href"), first.get("rel")) != (SCHEMA, "describedby"):
        yield f"{where}/links/0: expected the schema of 0.3 with rel describedby"
    if "publisher" in network and not isinstance(network["publisher"], dict):
        yield f"{where}/publisher: expected an object"
    nodes, spans = _listed(network, "nodes"), _listed(network, "spans")
    for kind, items in (("nodes", nodes), ("spans", spans)):
        yield from _ids(f"{where}/{kind}", items)
    for place, node in enumerate(nodes):
        yield from _node(f"{where}/nodes/{place}", node)
    names = {node.get("id") for node in nodes if isinstance(node.get("id"), str)}
    for place, span in enumerate(spans):
        yield from _span(f"{where}/spans/{place}", span, names)
    placed = any("location" in node for node in nodes) or any("route" in span for span in spans)
    crs = network.get("crs")
    if placed and not (isinstance(crs, dict) and _text(crs.get("name")) and _text(crs.get("uri"))):
        yield f"{where}/crs: expected name and uri, because there are coordinates"


def _listed(network: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = network.get(kind)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _empty(where: str, said: dict[str, Any]) -> Iterator[str]:
    """Nothing is said by an empty text, list or object: the field is left out."""
    for name, value in said.items():
        if value is None or value in ("", [], {}):
            yield f"{where}/{name}: empty; leave it out"


def _ids(where: str, items: list[dict[str, Any]]) -> Iterator[str]:
    seen = set[str]()
    for place, one in enumerate(items):
        own = one.get("id")
        if not _text(own):
            yield f"{where}/{place}/id: expected a text"
        elif str(own) in seen:
            yield f"{where}/{place}/id: {str(own)[:64]!r} is used before"
        else:
            seen.add(str(own))


def _node(where: str, node: dict[str, Any]) -> Iterator[str]:
    yield from _empty(where, node)
    yield from _words(where, node, "type", None)
    yield from _status(where, node)
    if "location" in node:
        yield from _geometry(f"{where}/location", node["location"], "Point")


def _span(where: str, span: dict[str, Any], nodes: set[Any]) -> Iterator[str]:
    yield from _empty(where, span)
    yield from _status(where, span)
    for name in ("start", "end"):
        if name in span and (not _text(span[name]) or span[name] not in nodes):
            yield f"{where}/{name}: expected the id of a node of this network"
    for name, words in _CLOSED.items():
        yield from _words(where, span, name, words)
    if "route" in span:
        yield from _geometry(f"{where}/route", span["route"], "LineString")
    count, length = span.get("fibreCount"), span.get("fibreLength")
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 0):
        yield f"{where}/fibreCount: expected a whole number"
    if length is not None and (not isinstance(length, int | float) or not length >= 0):
        yield f"{where}/fibreLength: expected kilometres"


def _status(where: str, said: dict[str, Any]) -> Iterator[str]:
    if "status" in said and said["status"] not in STATUSES:
        yield f"{where}/status: expected one of {', '.join(STATUSES)}"


def _words(where: str, said: dict[str, Any], name: str, words: tuple[str, ...] | None) -> Iterator[str]:
    """A list of texts, each once; of a closed list where ``words`` are given."""
    if name not in said:
        return
    found = said[name]
    if not isinstance(found, list) or not all(map(_text, found)) or len(set(found)) != len(found):
        yield f"{where}/{name}: expected a list of texts, each once"
    elif words is not None and not set(found) <= set(words):
        yield f"{where}/{name}: expected of {', '.join(words)}"


def _geometry(where: str, said: Any, kind: str) -> Iterator[str]:
    if not isinstance(said, dict) or said.get("type") != kind:
        yield f"{where}: expected a {kind}"
        return
    given = said.get("coordinates")
    listed = [given] if kind == "Point" else given
    if not isinstance(listed, list) or (kind == "LineString" and len(listed) < 2):
        yield f"{where}/coordinates: expected those of a {kind}"
        return
    try:
        for point in listed:
            check_point(float(point[0]), float(point[1]))
    except (TypeError, ValueError, IndexError, KeyError):
        yield f"{where}/coordinates: expected longitude and latitude in degrees"


def _text(said: Any) -> bool:
    return isinstance(said, str) and bool(said)


def _is_uuid(said: Any) -> bool:
    try:
        return isinstance(said, str) and str(uuid.UUID(said)) == said.lower()
    except ValueError:
        return False
