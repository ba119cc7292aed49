"""What sounds at a site, made from its settings, its devices and its sources.

A native siren is told on ``utaa/v1/siren/<name>/command`` and says on ``…/state`` what it does; a relay
is told the words of its settings; a siren or detector of a source is told as its source knows how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from edge.outputs.settings import OutputSettings, Relay
from edge.outputs.sirens import Target
from edge.sources.base import SOUND_HOLD_S, Action, Order, Source, online_from_word
from edge.wire.errors import WireError
from edge.wire.identity import detector_id, new_id
from edge.wire.messages import Alarm, DetectorSettings, DeviceFact
from edge.wire.topics import siren_topic

#: Native sirens and relays get their ids under these names, as detectors do under their source's.
SIREN_SOURCE = "siren"
RELAY_SOURCE = "relay"
#: The target of a command that means all of them.
OUTPUTS_TARGET = "outputs"
_PATTERNS: Mapping[Action, str] = {"sound_t3": "T3", "sound_t4": "T4"}


class SirenState(msgspec.Struct, frozen=True, kw_only=True):
    """What a native siren says. ``button``: somebody pressed its button to have silence."""

    state: Literal["on", "off", "online", "offline"] | None = None
    #: the same as a boolean, by simple firmware
    on: bool | None = None
    button: bool = False
    fault: bool = False


def decode_state(payload: bytes) -> SirenState:
    """A siren's word: JSON, or the bare ``online`` and ``offline`` of a will. Raises ``WireError``."""
    if payload.lstrip()[:1] != b"{":
        return SirenState(state="online" if online_from_word(payload) else "offline")
    try:
        return msgspec.json.decode(payload, type=SirenState)
    except msgspec.ValidationError as error:
        raise WireError("wrong_type", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError("not_json", str(error)) from None


class Outputs(msgspec.Struct):
    """The targets, and by state topic whose word comes there."""

    targets: list[Target]
    state_topics: dict[str, str]


def build_targets(
    site: str,
    settings: OutputSettings,
    sources: Iterable[Source],
    detectors: Mapping[str, DetectorSettings],
    fact_of: Callable[[str], DeviceFact | None],
) -> Outputs:
    """Sirens first, then relays, then the registered detectors that are known to have a sounder."""
    by_name = {source.name: source for source in sources}
    outputs = Outputs([], {})
    for siren in settings.sirens:
        source_name, colon, address = siren.partition(":")
        if not colon:
            ident = detector_id(site, SIREN_SOURCE, siren)
            outputs.targets.append(Target(ident, _native(siren)))
            outputs.state_topics[siren_topic(siren, "state")] = ident
        elif source_name in by_name:
            ident = detector_id(site, source_name, address)
            outputs.targets.append(Target(ident, _by_source(by_name[source_name], address)))
        else:  # not listened to at this site: its test will say that it does not work
            ident = detector_id(site, source_name, address)
            outputs.targets.append(Target(ident, lambda _action, _alarms: None))
    for relay in settings.relays:
        ident = detector_id(site, RELAY_SOURCE, relay.name)
        answers = relay.state_topic is not None
        outputs.targets.append(Target(ident, _relay(relay), answers=answers, tested=relay.tested))
        if relay.state_topic is not None:
            outputs.state_topics[relay.state_topic] = ident
    taken = {target.detector for target in outputs.targets}
    for detector, entry in detectors.items():
        fact = fact_of(detector)
        wanted = settings.sounders is None or detector in settings.sounders
        if not wanted or detector in taken or fact is None or not fact.sounder:
            continue
        if entry.source in by_name:
            outputs.targets.append(Target(detector, _by_source(by_name[entry.source], entry.address)))
    return outputs


def _native(name: str) -> Callable[[Action, Sequence[Alarm]], Order | None]:
    def order(action: Action, alarms: Sequence[Alarm]) -> Order | None:
        command: dict[str, Any] = {"v": 1, "state": "off"}
        if action == "self_test":
            command = {"v": 1, "state": "test", "id": new_id()}
        elif action in _PATTERNS:
            command = {
                "v": 1,
                "state": "on",
                "pattern": _PATTERNS[action],
                "alarms": [alarm.id for alarm in alarms],
                "kinds": sorted({alarm.kind for alarm in alarms}),
                "hold_s": SOUND_HOLD_S,
            }
        return Order(siren_topic(name, "command"), msgspec.json.encode(command))

    return order


def _relay(relay: Relay) -> Callable[[Action, Sequence[Alarm]], Order | None]:
    def order(action: Action, _alarms: Sequence[Alarm]) -> Order | None:
        if action == "self_test":
            return None
        return Order(relay.topic, (relay.on if action in _PATTERNS else relay.off).encode())

    return order


def _by_source(source: Source, address: str) -> Callable[[Action, Sequence[Alarm]], Order | None]:
    def order(action: Action, alarms: Sequence[Alarm]) -> Order | None:
        return source.order(address, action, alarms[0].id if alarms else new_id())

    return order
