"""Who loses the connection when parts of the plant fail, and who is to be told of planned work."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from registry.fibre.network import Network, Subject
from registry.fibre.plant import Plant
from registry.fibre.values import PlantError

#: What can be named, and how: ``trench:T1``.
ELEMENT_KINDS = ("trench", "route", "cable", "node", "device", "provider")


@dataclass(frozen=True)
class Impact:
    """Who is lost, the most critical first; ``homes`` are the households behind the lost sites."""

    elements: tuple[str, ...]
    subjects: tuple[Subject, ...]

    def of_kind(self, kind: str) -> tuple[str, ...]:
        """Their own ids: ``of_kind("camera")``."""
        return tuple(
            subject.key.partition(":")[2]
            for subject in self.subjects
            if subject.key.startswith(f"{kind}:")
        )

    @property
    def homes(self) -> int:
        return sum(subject.homes for subject in self.subjects)


def risks_of(network: Network, elements: Iterable[str]) -> set[int]:
    """The risks that named elements stand for. Raises ``PlantError`` for a name that is none."""
    found: set[int] = set()
    for element in elements:
        kind, _, name = element.partition(":")
        if kind not in ELEMENT_KINDS or not name:
            raise PlantError(
                "bad_name",
                element[:140],
                f"expected one of {', '.join(ELEMENT_KINDS)}, a colon, a name",
            )
        if kind == "provider":
            found |= _of_provider(network, name)
        elif kind == "route" and name in network.plant.routes:
            # a route by itself, such as one duct of a trench, takes the cables in it
            found |= _of_route(network, name)
        else:
            found.add(network.risk(element))
    return found


def _of_provider(network: Network, provider: str) -> set[int]:
    plant = network.plant
    found = {network.risk(f"cable:{c.id}") for c in plant.cables.values() if c.provider == provider}
    found |= {
        network.risk(f"device:{e.id}")
        for e in plant.equipment.values()
        if e.provider == provider and e.kind != "odf"
    }
    if not found:
        raise PlantError("unknown", f"provider:{provider}"[:140], "nothing of the plant is theirs")
    return found


def _of_route(network: Network, route: str) -> set[int]:
    unit = network.plant.routes[route].unit
    if unit == f"route:{route}":
        return {network.risk(unit)}
    return {network.risk(f"cable:{c}") for c in cables_in(network.plant, {route})}


def cables_in(plant: Plant, routes: Collection[str]) -> list[str]:
    """The cables that lie in any of these routes."""
    return [cable.id for cable in plant.cables.values() if not set(routes).isdisjoint(cable.routes)]


def impact(network: Network, elements: Collection[str]) -> Impact:
    """Everybody who loses the connection when all of these fail together.

    Elements: ``trench:T1``, ``route:R1``, ``cable:C1``, ``node:N1``, ``device:OLT1``, ``provider:P1``.
    Raises ``PlantError``.
    """
    lost = network.lost_subjects(risks_of(network, elements))
    subjects = [network.subjects[number] for number in lost.tolist()]
    subjects.sort(key=lambda subject: (subject.criticality, -subject.homes, subject.key))
    return Impact(tuple(elements), tuple(subjects))
