"""What is known of every device seen: facts add up, and the city is told of those on no list."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import NamedTuple

import msgspec

from edge.wire.messages import DeviceFact

#: Facts that come and go by themselves are kept, but no reason to tell the city.
_QUIET = frozenset({"online"})
_KEYS = frozenset({"detector", "source", "address"})
_FACTS = tuple(name for name in DeviceFact.__struct_fields__ if name not in _KEYS)


class News(NamedTuple):
    """What a fact brought. ``changed``: the whole of what is known now, None if nothing is new."""

    changed: DeviceFact | None
    first: bool = False
    #: worth an event, if the device is on no list
    telling: bool = False


_NOTHING = News(None)


class Devices:
    """Facts by detector."""

    def __init__(self, known: dict[str, DeviceFact], listed: Container[str]) -> None:
        self._known = known
        self._last: dict[str, DeviceFact] = {}
        #: unlisted devices that the city was told of
        self.announced = {detector for detector in known if detector not in listed}

    def __len__(self) -> int:
        return len(self._known)

    def seen(self, detector: str) -> bool:
        """Whether it was ever heard."""
        return detector in self._known

    def fact(self, detector: str) -> DeviceFact | None:
        """What is known of it."""
        return self._known.get(detector)

    def learn(self, fact: DeviceFact) -> News:
        """Add what the fact says; what it leaves out stays as it was."""
        if self._last.get(fact.detector) is fact:
            return _NOTHING  # the same object again: the usual case, a bare fact
        self._last[fact.detector] = fact
        known = self._known.get(fact.detector)
        if known is None:
            self._known[fact.detector] = fact
            return News(fact, first=True, telling=True)
        said = {
            name: value
            for name in _FACTS
            if (value := getattr(fact, name)) is not None and value != getattr(known, name)
        }
        if not said:
            return _NOTHING
        merged = msgspec.structs.replace(known, **said)
        self._known[fact.detector] = merged
        return News(merged, telling=bool(said.keys() - _QUIET))

    def unlisted(self, listed: Container[str]) -> Iterator[DeviceFact]:
        """Devices that are on no list and that the city was not told of."""
        for detector, fact in self._known.items():
            if detector not in listed and detector not in self.announced:
                yield fact
