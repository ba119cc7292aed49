"""The ledger: what was published and acknowledged, so that the city can be held against it.

A JSONL file. Every line has ``line``, its kind:

* ``start``: scenario, site, seed, when;
* ``reading``: a valid reading that the broker acknowledged (PUBACK). ``detector`` is the opaque id of
  the wire, ``time_us`` the time it must be found under, unless ``redated`` is true: then the device's
  clock was so wrong that the edge dates it by its arrival, about ``sent_us``;
* ``aside``: acknowledged by the broker, but no new reading: a ``duplicate`` or ``garbage``;
* ``happening``: the first published reading of a scripted danger that breached a limit;
* ``siren``: a simulated siren was told something;
* ``summary``: the counts, last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from firmware_sim.errors import SimulatorError

Aside = Literal["duplicate", "garbage"]


class ReadingLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="reading"):
    """One published and acknowledged reading, as it must be found in the city."""

    detector: str
    source: str
    address: str
    time_us: int
    values: dict[str, float]
    #: the flags it stated, with what it stated
    flags: dict[str, bool]
    redated: bool = False
    sent_us: int = 0
    acked_us: int = 0


class HappeningLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="happening"):
    """A scripted danger as its readings showed it.

    ``first_breach_us``: when, by the clock, the first reading with the detector's own alarm was
    published; it is enough for an alarm at once. ``first_over_us``: when the first one over a limit
    was (0.15 dB/m, 50 ppm, 54 °C), which a cautious edge confirms first.
    """

    what: str
    home: str
    #: when it began, seconds of the scenario
    at_s: float
    first_over_us: int
    address: str
    detector: str
    first_breach_us: int
    #: the time the reading states
    reading_us: int
    values: dict[str, float]


class AsideLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="aside"):
    """Acknowledged by the broker, but no new reading."""

    kind: Aside
    address: str
    sent_us: int


class SirenLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="siren"):
    """A siren was told something at ``at_us`` and did it (``on``) or could not read it (None).

    ``command`` is what it was told, as it came; empty when it fell silent because its order ran out.
    """

    address: str
    at_us: int
    on: bool | None
    command: str


class StartLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="start"):
    """Who published."""

    name: str
    site: str
    at_us: int
    detectors: int
    seed: int | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="summary"):
    """The counts at the end.

    ``published`` readings were acknowledged, ``redated`` are those among them whose time is the
    arrival's. ``dropped`` were given up because the queue was full, ``unacknowledged`` were still
    waiting at the end: of these the city may have some or none.
    """

    detectors: int
    published: int
    redated: int
    duplicates: int
    garbage: int
    dropped: int
    unacknowledged: int
    happenings: int
    sirens: int


Line = ReadingLine | HappeningLine | AsideLine | SirenLine | StartLine | Summary
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


@dataclass(frozen=True, slots=True)
class Danger:
    """A scripted danger as a reading shows it: over a limit, or (``breach``) the detector alarms."""

    what: str
    home: str
    at_s: float
    breach: bool

    @property
    def key(self) -> tuple[str, str, float]:
        """Which happening of the scenario it is."""
        return self.what, self.home, self.at_s


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message on its way to the broker, and what the ledger shall say once it is acknowledged."""

    topic: str
    payload: bytes
    retain: bool = False
    reading: ReadingLine | None = None
    aside: Aside | None = None
    address: str = ""
    #: the scripted danger this reading is a sign of, if it is one
    danger: Danger | None = None


@dataclass(slots=True)
class Ledger:
    """Written line by line; use as a context manager. One writer."""

    path: Path | None
    counts: Counter[str] = field(default_factory=Counter)
    addresses: set[str] = field(default_factory=set)
    _over_us: dict[tuple[str, str, float], int] = field(default_factory=dict)
    _breached: set[tuple[str, str, float]] = field(default_factory=set)
    _file: Any = None

    def __enter__(self) -> Ledger:
        if self.path is not None:
            try:
                self._file = self.path.open("wb")
            except OSError as error:
                raise SimulatorError(str(self.path), f"cannot be written: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, line: Line) -> None:
        if self._file is not None:
            self._file.write(_encoder.encode(line) + b"\n")

    def start(self, name: str, site: str, at_us: int, detectors: int, seed: int | None = None) -> None:
        """The first line."""
        self._write(StartLine(name=name, site=site, at_us=at_us, detectors=detectors, seed=seed))

    def acknowledged(self, message: Outgoing, sent_us: int, acked_us: int) -> None:
        """The broker has it."""
        if message.reading is not None:
            self._acknowledged_reading(message, message.reading, sent_us, acked_us)
        elif message.aside is not None:
            self.counts[message.aside] += 1
            self._write(AsideLine(kind=message.aside, address=message.address, sent_us=sent_us))

    def _acknowledged_reading(
        self, message: Outgoing, reading: ReadingLine, sent_us: int, acked_us: int
    ) -> None:
        self.counts["published"] += 1
        self.counts["redated"] += reading.redated
        self.addresses.add(reading.detector)
        self._write(msgspec.structs.replace(reading, sent_us=sent_us, acked_us=acked_us))
        if message.danger is not None:
            self._danger(message.danger, reading, sent_us)

    def _danger(self, danger: Danger, reading: ReadingLine, sent_us: int) -> None:
        over_us = self._over_us.setdefault(danger.key, sent_us)
        if not danger.breach or danger.key in self._breached:
            return
        self._breached.add(danger.key)
        self._write(
            HappeningLine(
                what=danger.what,
                home=danger.home,
                at_s=danger.at_s,
                address=reading.address,
                detector=reading.detector,
                first_over_us=over_us,
                first_breach_us=sent_us,
                reading_us=reading.time_us,
                values=reading.values,
            )
        )

    def dropped(self, message: Outgoing) -> None:
        """The queue was full: this one never went out."""
        self.counts["dropped"] += message.reading is not None

    def siren(self, line: SirenLine) -> None:
        """A siren was told something."""
        self.counts["siren"] += 1
        self._write(line)

    def flush(self) -> None:
        """What is written so far becomes readable by others."""
        if self._file is not None:
            self._file.flush()

    def summary(self, unacknowledged: int = 0) -> Summary:
        """The counts so far."""
        return Summary(
            detectors=len(self.addresses),
            published=self.counts["published"],
            redated=self.counts["redated"],
            duplicates=self.counts["duplicate"],
            garbage=self.counts["garbage"],
            dropped=self.counts["dropped"],
            unacknowledged=unacknowledged,
            happenings=len(self._breached),
            sirens=self.counts["siren"],
        )

    def finish(self, unacknowledged: int = 0) -> Summary:
        """The last line; returns it."""
        summary = self.summary(unacknowledged)
        self._write(summary)
        self.flush()
        return summary


def read_ledger(path: Path) -> Iterator[Line]:
    """The lines of a ledger. A last line cut off by a crash is left out.

    Raises ``SimulatorError`` for a file that is no ledger.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):
                return
            try:
                yield _decoder.decode(raw)
            except msgspec.MsgspecError as error:
                raise SimulatorError(f"{path}:{number}", f"is no line of a ledger: {error}") from None
