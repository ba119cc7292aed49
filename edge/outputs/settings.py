"""The ``outputs`` of a site's settings: what sounds, and when it is tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edge.outputs.weekly import parse_weekly

#: Names of relays and sirens of one site at most; a site is a house or a street.
MAX_OUTPUTS = 200
#: When outputs are tested unless the settings say otherwise: noon is when a test wakes nobody.
WEEKLY_TEST = "wed 12:00+08:00"


class Relay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Anything that is switched by a message: a lamp, a plug, a bell. Its rhythm is its own."""

    name: str
    topic: str
    on: str = "ON"
    off: str = "OFF"
    #: where it says what it does; unset: nobody notices when it fails
    state_topic: str | None = None
    #: a relay that must not be switched for a test (a valve) is not
    tested: bool = True


class OutputSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``sirens``: names on the site's broker, or ``<source>:<address>`` for a siren of a source.

    ``sounders``: ids of the registered detectors that sound with the others; None: all that can.
    ``weekly_test``: weekday, time and offset, or empty for never.
    """

    sirens: list[str] = []
    relays: list[Relay] = []
    sounders: list[str] | None = None
    weekly_test: str = WEEKLY_TEST

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> OutputSettings:
        """Raises ``ValueError`` that says what was expected."""
        try:
            settings = msgspec.convert(dict(values), cls)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        for siren in settings.sirens:
            _check_siren(siren)
        for relay in settings.relays:
            _check_relay(relay)
        names = [relay.name for relay in settings.relays]
        if len(set(names)) < len(names):
            raise ValueError("relays: two have the same name")
        if len(names) + len(settings.sirens) > MAX_OUTPUTS:
            raise ValueError(f"more than {MAX_OUTPUTS} sirens and relays")
        parse_weekly(settings.weekly_test)
        return settings


def _check_siren(siren: str) -> None:
    source, colon, address = siren.partition(":")
    if colon and source and address and not set(address) & set("+#\0"):
        return
    if colon or not siren or set(siren) & set("/+#\0"):
        raise ValueError(
            f"siren {siren!r}; expected a name without '/', '+' and '#', or <source>:<address>"
        )


def _check_relay(relay: Relay) -> None:
    for topic in (relay.topic, relay.state_topic):
        if topic is not None and (not topic or set(topic) & set("+#\0")):
            raise ValueError(f"relay {relay.name!r}: {topic!r} is no topic to publish or listen to")
    if not relay.name:
        raise ValueError("relay: expected a name")
