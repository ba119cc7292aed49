"""What every source is built from: the raw message, the decoded one, the builder of readings.

Cast: ``RawMessage`` (as it came from the site's broker), ``Source`` (decodes one protocol),
``Decoded`` (readings, facts, repairs), ``Builder`` (final wire readings: opaque id, settled time,
checked values), ``Router`` (which source takes a topic).

A rule that all sources share: a message with an impossible value is refused whole, unless it says
that there is fire or CO. Then the alarm goes through, the bad part is left out and noted as the
repair ``part_dropped``: a broken thermometer must not silence a smoke alarm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

import msgspec

from edge.wire.clock import EARLIEST_US, FUTURE_SLACK_US, US_PER_S, us_from_datetime
from edge.wire.errors import WireError
from edge.wire.identity import check_site, detector_id
from edge.wire.messages import DeviceFact
from edge.wire.readings import Flag, Reading
from edge.wire.units import check_value

#: No detector says more at once; larger is an attack or a bug.
MAX_PAYLOAD_BYTES = 256 << 10
#: Inventories (Zigbee2MQTT's list of devices grows by about 5 kB a device) may be this large.
MAX_INVENTORY_BYTES = 4 << 20
#: A device's name in its own protocol, as long as the register takes; MQTT would allow 65,535.
MAX_ADDRESS_CHARS = 200
#: Detectors whose ids are kept at hand; above it the cache starts anew (a site has hundreds).
MAX_KNOWN = 20_000
#: Names of makers, models and versions are cut to this; longer is no name.
MAX_TEXT_CHARS = 100
#: Epoch seconds above this are no time of this century; also keeps the arithmetic finite.
_MAX_EPOCH_S = 1e11

#: Flags that say: people are in danger.
ALARM_FLAGS = Flag.SMOKE_ALARM | Flag.CO_ALARM | Flag.HEAT_ALARM


class RawMessage(msgspec.Struct, frozen=True):
    """A message of the site's broker. ``received_us``: when it arrived, µs UTC."""

    topic: str
    payload: bytes
    retained: bool
    received_us: int


class Order(NamedTuple):
    """Something to publish on the site's broker, QoS 1; retained only where it is a state."""

    topic: str
    payload: bytes
    retain: bool = False


class Decoded(msgspec.Struct):
    """What a message says.

    Each detector that has a reading here also has a fact here, so that its address is known.
    ``repairs`` are words of ``edge.wire.errors.REPAIRS``, once for each repair made. ``orders`` are
    what the protocol wants published in answer, such as a request to introduce oneself again.
    ``answers`` are the ids of devices that show with this message that they obeyed an order.
    """

    readings: list[Reading] = []
    facts: list[DeviceFact] = []
    repairs: list[str] = []
    orders: list[Order] = []
    answers: list[str] = []


#: What a device can be told: test itself; be quiet about its own alarm for as long as it sees fit;
#: sound for others' alarm in the rhythm of fire (T3) or CO (T4) where it has rhythms, and stop that.
Action = Literal["self_test", "silence", "sound_t3", "sound_t4", "hush"]
#: Who was told to sound falls silent by itself after this long without being told again (seconds).
SOUND_HOLD_S = 300


class Example(NamedTuple):
    """A message as a real device sends it."""

    topic: str
    payload: str


class Source(Protocol):
    """One protocol of detectors. ``decode`` raises ``WireError`` and nothing else."""

    name: str
    #: one line on what it speaks with
    summary: str
    #: a detector silent for longer is lost, where neither registry nor model says otherwise
    deadline_s: float
    example: Example

    def filters(self) -> list[str]:
        """The MQTT topic filters to subscribe to."""
        ...

    def decode(self, message: RawMessage) -> Decoded:
        """The readings and facts in the message."""
        ...

    def order(self, address: str, action: Action, command_id: str) -> Order | None:
        """What to publish to have a detector do it; None if it cannot, or not by this protocol."""
        ...


class Builder:
    """Makes wire readings and facts for one source of one site."""

    def __init__(self, site: str, source: str) -> None:
        self._site = check_site(site)
        self._source = source
        self._known: dict[str, DeviceFact] = {}
        self._last: dict[str, DeviceFact] = {}

    def fact(self, address: str) -> DeviceFact:
        """The bare fact of an address: who it is and nothing more. The same object each time."""
        known = self._known.get(address)
        if known is None:
            known = self._fact(address)
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[address] = known
        return known

    def _fact(self, address: str) -> DeviceFact:
        if not address:
            raise WireError("missing_field", "the device has no address")
        if len(address) > MAX_ADDRESS_CHARS:
            raise WireError(
                "too_large", f"an address of {len(address)} characters; at most {MAX_ADDRESS_CHARS}"
            )
        try:
            detector = detector_id(self._site, self._source, address)
        except UnicodeEncodeError:
            raise WireError("wrong_type", f"the address {address!r} is no UTF-8 text") from None
        return DeviceFact(detector=detector, source=self._source, address=address)

    def decoded(
        self,
        fact: DeviceFact,
        message: RawMessage,
        *,
        time_us: int | None = None,
        values: Mapping[str, float | None],
        flags: int = 0,
        flags_known: int = 0,
        repairs: Sequence[str] = (),
    ) -> Decoded:
        """One reading with its fact. A value of None is not stated; ``time_us`` None: arrival.

        Raises ``WireError`` (not_finite, out_of_range) for an impossible value without an alarm.
        """
        notes = list(repairs)
        reading = self.reading(
            fact,
            received_us=message.received_us,
            time_us=time_us,
            values=values,
            flags=flags,
            flags_known=flags_known,
            notes=notes,
        )
        return Decoded(readings=[reading], facts=[self._interned(fact)], repairs=notes)

    def _interned(self, fact: DeviceFact) -> DeviceFact:
        """The object given out last for the detector, if it says the same."""
        last = self._last.get(fact.address)
        if last == fact:
            return last
        if len(self._last) >= MAX_KNOWN:
            self._last.clear()
        self._last[fact.address] = fact
        return fact

    def reading(
        self,
        fact: DeviceFact,
        *,
        received_us: int,
        time_us: int | None,
        values: Mapping[str, float | None],
        flags: int,
        flags_known: int,
        notes: list[str],
    ) -> Reading:
        """One reading; repairs are appended to ``notes``. Raises as ``decoded`` does."""
        checked: dict[str, float] = {}
        for name, value in values.items():
            if value is None:
                continue
            try:
                checked[name] = check_value(name, value)
            except WireError:
                if not flags & ALARM_FLAGS:
                    raise
                notes.append("part_dropped")
        return Reading(
            detector=fact.detector,
            time_us=settled_time(time_us, received_us, notes),
            flags=int(flags),
            flags_known=int(flags_known),
            **checked,
        )


def settled_time(time_us: int | None, received_us: int, notes: list[str]) -> int:
    """The device's time if it can be believed, else the time of arrival and a note."""
    if time_us is None:
        return received_us
    if time_us < EARLIEST_US:
        notes.append("time_too_old")
        return received_us
    if time_us > received_us + FUTURE_SLACK_US:
        notes.append("time_in_future")
        return received_us
    return time_us


def time_from_text(text: str) -> int:
    """µs UTC of an RFC 3339 time (nanoseconds are cut). Raises ``WireError`` wrong_type."""
    try:
        moment = datetime.fromisoformat(text)
        return us_from_datetime(moment)
    except (ValueError, OverflowError):
        raise WireError("wrong_type", f"time {text[:40]!r}; expected RFC 3339 with a zone") from None


def time_from_epoch(seconds: float) -> int:
    """µs UTC of epoch seconds. Raises ``WireError`` not_finite or out_of_range."""
    if seconds != seconds or seconds in (float("inf"), float("-inf")):
        raise WireError("not_finite", f"time is {seconds}")
    if abs(seconds) > _MAX_EPOCH_S:
        raise WireError("out_of_range", f"time {seconds:g} s since 1970; is it in milliseconds?")
    return round(seconds * US_PER_S)


def clean_text(text: str) -> str:
    """A device's text, cut to a sane length and fit for UTF-8."""
    return text[:MAX_TEXT_CHARS].encode("utf-8", "replace").decode()


def check_size(payload: bytes, bound: int = MAX_PAYLOAD_BYTES) -> None:
    """Raises ``WireError`` too_large or empty."""
    if len(payload) > bound:
        raise WireError("too_large", f"{len(payload)} bytes; at most {bound}")
    if not payload:
        raise WireError("empty", "the payload is empty")


def online_from_word(payload: bytes) -> bool:
    """True for ``online``, False for ``offline``. Raises ``WireError`` wrong_type."""
    word = payload[:16].strip().lower()
    if word not in (b"online", b"offline"):
        raise WireError("wrong_type", f"state {payload[:16]!r}; expected online or offline")
    return word == b"online"


def matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT filter takes the topic (``$``-topics only by their own name)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for place, word in enumerate(wanted):
        if word == "#":
            return True
        if place >= len(levels) or (word != "+" and word != levels[place]):
            return False
    return len(wanted) == len(levels)


def _specificity(topic_filter: str) -> tuple[int, ...]:
    """Sorts the more specific filter first: level by level a word before ``+`` before ``#``."""
    return tuple(2 if word == "#" else int(word == "+") for word in topic_filter.split("/"))


class Router:
    """Which source takes a topic: the one with the most specific filter; the earlier one on a tie."""

    #: Topics whose answer is kept; above it the cache starts anew, so garbage topics cost no memory.
    MAX_CACHED = 20_000

    def __init__(self, sources: Iterable[Source]) -> None:
        self.sources = list(sources)
        pairs = [(wanted, source) for source in self.sources for wanted in source.filters()]
        self._pairs = sorted(pairs, key=lambda pair: _specificity(pair[0]))
        self._cache: dict[str, Source | None] = {}

    def filters(self) -> list[str]:
        """All filters of all sources, each once."""
        return list(dict.fromkeys(wanted for wanted, _ in self._pairs))

    def route(self, topic: str) -> Source | None:
        """The source that takes the topic; None if nobody does."""
        try:
            return self._cache[topic]
        except KeyError:
            pass
        found = next((source for wanted, source in self._pairs if matches(wanted, topic)), None)
        if len(self._cache) >= self.MAX_CACHED:
            self._cache.clear()
        self._cache[topic] = found
        return found
