"""What a home hub is shown: Home Assistant's discovery and states, if the site's owner wants them.

Pure. Each registered detector is a device with ``smoke`` (and heat), ``carbon_monoxide``, ``tamper``,
``battery``, ``connectivity`` and ``problem``; the site is one with ``smoke``, ``carbon_monoxide`` and
``problem``. What is shown is the site's own judgement, tests left out. Everything is retained, and told
again only when it changed. Configurations name ``utaa`` as their origin, by which the source of the
same protocol knows its own and takes nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from edge.sources.base import Order
from edge.wire.messages import CLASS_OF, Alarm, DetectorSettings, DeviceFact
from edge.wire.topics import hub_topic

#: Kinds that switch an entity on, by its device class.
_KINDS: Mapping[str, frozenset[str]] = {
    "smoke": frozenset({"smoke", "heat"}),
    "carbon_monoxide": frozenset({"co"}),
    "tamper": frozenset({"tamper"}),
    "battery": frozenset({"low_battery"}),
    "problem": frozenset({"fault", "end_of_life", "needs_cleaning", "siren_fault"}),
}
#: Kinds that switch ``connectivity`` off.
_GONE = frozenset({"lost", "never_seen"})
_OF_SITE = ("smoke", "carbon_monoxide", "problem")
_OF_DETECTOR = ("smoke", "carbon_monoxide", "tamper", "battery", "connectivity", "problem")
_SMOKE = frozenset({"smoke_alarm", "heat_alarm", "optical_density_db_m"})
_CO = frozenset({"co_alarm", "co_ppm"})
_NAMES = {
    "smoke": "Smoke", "carbon_monoxide": "Carbon monoxide", "tamper": "Tamper", "battery": "Battery",
    "connectivity": "Connectivity", "problem": "Problem",
}  # fmt: skip
_ORIGIN = {"name": "utaa"}


class HomeHub:
    """Remembers what the hub was told. ``addresses``: only these detectors; None: all registered."""

    def __init__(self, site: str, prefix: str, addresses: Collection[str] | None = None) -> None:
        self._site = site
        self._prefix = prefix.strip("/")
        self._addresses = addresses
        self._wanted: dict[str, bytes] = {}
        self._shown: dict[str, tuple[str, ...]] = {}
        self._told: dict[str, bytes] = {}

    @property
    def status_topic(self) -> str:
        """Where ``online`` stands while the agent runs; ``offline`` is its will."""
        return hub_topic(self._site, self._site, "status")

    def unsure(self) -> None:
        """Nobody knows what the hub was told."""
        self._told = dict.fromkeys(self._told, b"?")

    def configure(
        self,
        detectors: Mapping[str, DetectorSettings],
        fact_of: Callable[[str], DeviceFact | None],
    ) -> None:
        """Other detectors, or more is known of them."""
        self._wanted = {self.status_topic: b"online"}
        self._shown = {self._site: _OF_SITE}
        site_device = {
            "identifiers": [f"utaa_{self._site}"],
            "name": self._site,
            "manufacturer": "Utaa",
        }
        self._announce(self._site, _OF_SITE, site_device)
        for detector, entry in detectors.items():
            if self._addresses is not None and entry.address not in self._addresses:
                continue
            fact = fact_of(detector)
            device: dict[str, Any] = {
                "identifiers": [f"utaa_{detector}"],
                "name": (fact and fact.name) or entry.address,
                "via_device": f"utaa_{self._site}",
            }
            if fact is not None and fact.maker:
                device["manufacturer"] = fact.maker
            if fact is not None and fact.model:
                device["model"] = fact.model
            shown = _entities(fact)
            self._shown[detector] = shown
            self._announce(detector, shown, device)

    def _announce(self, ident: str, entities: Iterable[str], device: Mapping[str, Any]) -> None:
        for entity in entities:
            config = {
                "name": _NAMES[entity],
                "unique_id": f"utaa_{ident}_{entity}",
                "device_class": entity,
                "state_topic": hub_topic(self._site, ident, "state"),
                "value_template": f"{{{{ value_json.{entity} }}}}",
                "payload_on": "ON",
                "payload_off": "OFF",
                "availability_topic": self.status_topic,
                "device": device,
                "origin": _ORIGIN,
            }
            topic = f"{self._prefix}/binary_sensor/utaa_{ident}/{entity}/config"
            self._wanted[topic] = msgspec.json.encode(config)

    def orders(self, active: Iterable[Alarm]) -> list[Order]:
        """What the hub is to be told now: what changed, and what is gone as an empty message."""
        wanted = self._wanted | self._states(active)
        orders = [
            Order(topic, payload, retain=True)
            for topic, payload in wanted.items()
            if self._told.get(topic) != payload
        ]
        orders += [Order(topic, b"", retain=True) for topic in self._told if topic not in wanted]
        self._told = wanted
        return orders

    def _states(self, active: Iterable[Alarm]) -> dict[str, bytes]:
        kinds: dict[str, set[str]] = {ident: set() for ident in self._shown}
        for alarm in active:
            if alarm.test:
                continue
            if alarm.detector in kinds:
                kinds[alarm.detector].add(alarm.kind)
            kinds[self._site].add(alarm.kind)
        return {
            hub_topic(self._site, ident, "state"): msgspec.json.encode(
                {entity: self._state(ident, entity, kinds[ident]) for entity in entities}
            )
            for ident, entities in self._shown.items()
        }

    def _state(self, ident: str, entity: str, kinds: set[str]) -> str:
        if entity == "connectivity":
            return "OFF" if kinds & _GONE else "ON"
        if entity == "problem" and ident == self._site:
            return "ON" if any(CLASS_OF[kind] == "trouble" for kind in kinds) else "OFF"  # type: ignore[index]
        return "ON" if kinds & _KINDS[entity] else "OFF"


def _entities(fact: DeviceFact | None) -> tuple[str, ...]:
    """What the detector is shown with: smoke and CO only where it senses them, if that is known."""
    if fact is None or fact.senses is None:
        return _OF_DETECTOR
    senses = set(fact.senses)
    absent = {
        name for name, signs in (("smoke", _SMOKE), ("carbon_monoxide", _CO)) if not senses & signs
    }
    return tuple(name for name in _OF_DETECTOR if name not in absent)
