"""What is known of every device seen: facts add up, and the city is told of those on no list."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any, NamedTuple

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

    def __init__(
        self, known: dict[str, DeviceFact], listed: Container[str], heard: Container[str] = ()
    ) -> None:
        self._known = known
        self._last: dict[str, DeviceFact] = {}
        #: devices of which nothing is known but that they are there: perhaps none of ours
        self._waiting = {
            detector for detector, fact in known.items() if detector not in heard and not _tells(fact)
        }
        #: unlisted devices that the city was told of
        self.announced = {
            detector for detector in known if detector not in listed and detector not in self._waiting
        }

        self._counted: tuple[int, Container[str] | None, int] = (0, None, 0)

    def __len__(self) -> int:
        return len(self._known)

    def seen(self, detector: str) -> bool:
        """Whether it was ever heard."""
        return detector in self._known

    def fact(self, detector: str) -> DeviceFact | None:
        """What is known of it."""
        return self._known.get(detector)

    def learn(self, fact: DeviceFact, *, speaks: bool = True) -> News:
        """Add what the fact says; what it leaves out stays as it was.

        ``speaks``: a reading came with it. Who never spoke and says of itself no more than that it is
        there is not told of yet.
        """
        detector = fact.detector
        if self._last.get(detector) is fact and detector not in self._waiting:
            return _NOTHING  # the same object again: the usual case, a bare fact
        self._last[detector] = fact
        known = self._known.get(detector)
        shows = speaks or _tells(fact)
        if known is None:
            self._known[detector] = fact
            if not shows:
                self._waiting.add(detector)
            return News(fact, first=shows, telling=shows)
        if shows and detector in self._waiting:
            self._waiting.discard(detector)
            merged = _merged(known, _said(fact, known))
            self._known[detector] = merged
            return News(merged, first=True, telling=True)
        said = _said(fact, known)
        if not said:
            return _NOTHING
        merged = _merged(known, said)
        self._known[detector] = merged
        return News(merged, telling=bool(said.keys() - _QUIET))

    def forget(self, detector: str) -> None:
        """As if it had never been heard."""
        self._known.pop(detector, None)
        self._last.pop(detector, None)
        self._waiting.discard(detector)
        self.announced.discard(detector)

    def strangers(self, listed: Container[str]) -> int:
        """How many are on no list. Counted anew only when there are more or fewer, or another list."""
        known, counted_for, count = self._counted
        if known != len(self._known) or counted_for is not listed:
            count = sum(1 for _ in self.unlisted_ids(listed))
            self._counted = (len(self._known), listed, count)
        return count

    def unlisted_ids(self, listed: Container[str]) -> Iterator[str]:
        """Those that are on no list, the longest known first."""
        return (detector for detector in self._known if detector not in listed)

    def unlisted(self, listed: Container[str]) -> Iterator[DeviceFact]:
        """Devices that are on no list and that the city was not told of."""
        for detector, fact in self._known.items():
            if (
                detector not in listed
                and detector not in self.announced
                and detector not in self._waiting
            ):
                yield fact


def _tells(fact: DeviceFact) -> bool:
    """It says more of the device than that it is there."""
    return any(value is not None for value in (fact.maker, fact.model, fact.name, fact.senses))


def _said(fact: DeviceFact, known: DeviceFact) -> dict[str, Any]:
    """What the fact says that was not known."""
    return {
        name: value
        for name in _FACTS
        if (value := getattr(fact, name)) is not None and value != getattr(known, name)
    }


def _merged(known: DeviceFact, said: dict[str, Any]) -> DeviceFact:
    return msgspec.structs.replace(known, **said)
