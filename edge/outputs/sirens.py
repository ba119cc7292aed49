"""Which siren is to be told what. Pure: active alarms and time in, orders out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from edge.wire.messages import Alarm
from edge.wire.topics import siren_topic

#: Only these wake people by themselves.
SOUNDING_KINDS = frozenset({"smoke", "co", "heat"})
#: Sounding sirens are told again this often (seconds) …
REPEAT_S = 60.0
#: … and hold for this long without being told.
HOLD_S = 300
_US_PER_S = 1_000_000


class OutputSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ``outputs`` of a site's settings. ``sirens``: their addresses on the site's broker."""

    sirens: list[str] = []

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> OutputSettings:
        """Raises ``ValueError`` that says what was expected."""
        try:
            settings = msgspec.convert(dict(values), cls)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        for address in settings.sirens:
            if not address or set(address) & set("/+#\0"):
                raise ValueError(f"siren {address!r}; expected a name without '/', '+' and '#'")
        return settings


class SirenOrder(NamedTuple):
    """A message for the site's broker."""

    topic: str
    payload: bytes


class Sirens:
    """Remembers what the sirens were told last."""

    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings
        self._silenced: set[str] = set()
        self._sounding_for: frozenset[str] = frozenset()
        # after a start nobody knows what they were told before
        self._told = list(settings.sirens)
        self._unsure = True
        self._repeat_us: int | None = None

    def configure(self, settings: OutputSettings) -> None:
        """Other sirens from now on; those that were sounding and are gone are told to stop."""
        self._settings = settings
        self._repeat_us = 0 if self._sounding_for else None

    def unsure(self) -> None:
        """Nobody knows what the sirens were told: tell them again."""
        self._unsure = True

    def silence(self, alarms: Iterable[str]) -> None:
        """These alarms make no noise any more; new ones do."""
        self._silenced.update(alarms)

    @property
    def wake_us(self) -> int | None:
        """When ``orders`` is to be asked again although nothing happened."""
        return self._repeat_us

    def orders(self, active: Iterable[Alarm], now_us: int) -> list[SirenOrder]:
        """What is to be told now."""
        loud = {alarm.id: alarm for alarm in active if alarm.kind in SOUNDING_KINDS and not alarm.test}
        self._silenced &= loud.keys()
        sounding = frozenset(loud.keys() - self._silenced)
        repeat = bool(sounding) and self._repeat_us is not None and now_us >= self._repeat_us
        if sounding == self._sounding_for and not repeat and not self._unsure:
            return []
        self._unsure = False
        if (
            self._sounding_for
            and bool(sounding) == bool(self._sounding_for)
            and sounding <= self._sounding_for
            and not repeat
        ):
            self._sounding_for = sounding  # one of several is over: the sirens go on
            return []
        self._sounding_for = sounding
        self._repeat_us = now_us + int(REPEAT_S * _US_PER_S) if sounding else None
        wanted = self._settings.sirens if sounding else []
        orders = [_order(address, loud, sounding) for address in wanted]
        orders += [
            _order(address, loud, frozenset()) for address in self._told if address not in wanted
        ]
        self._told = list(wanted)
        return orders


def _order(address: str, loud: Mapping[str, Alarm], sounding: frozenset[str]) -> SirenOrder:
    command: dict[str, Any] = {"v": 1, "state": "on" if sounding else "off"}
    if sounding:
        command["alarms"] = sorted(sounding)
        command["kinds"] = sorted({loud[alarm].kind for alarm in sounding})
        command["hold_s"] = HOLD_S
    return SirenOrder(siren_topic(address, "command"), msgspec.json.encode(command))
