"""Our own JSON, for detectors we build and for gateways that can be told what to say.

``utaa/v1/detector/<address>/reading``: a flat object, or a list of them (a batch; each then needs
its ``time``). ``time`` is RFC 3339 with a zone or epoch seconds; without it the time of arrival
counts. Quantities by the names of ``edge.wire.units``, flags by the lower-case names of ``Flag``,
``maker``, ``model``, ``firmware``, ``report_interval_s`` and ``sounder`` (it can be told to sound for
others' alarms). Other names are ignored.

``utaa/v1/detector/<address>/status``: ``online``, and as last will ``offline``, both retained.
``utaa/v1/detector/<address>/answer``: anything; the device has done what it was told on ``…/command``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from edge.sources import jsontext
from edge.sources.base import (
    SOUND_HOLD_S,
    Action,
    Builder,
    Decoded,
    Example,
    Order,
    RawMessage,
    check_size,
    clean_text,
    online_from_word,
    time_from_epoch,
    time_from_text,
)
from edge.wire.errors import WireError
from edge.wire.messages import DeviceFact
from edge.wire.readings import Flag
from edge.wire.topics import ROOT, detector_topic
from edge.wire.units import QUANTITY_NAMES

_PATTERNS: Mapping[Action, str] = {"sound_t3": "T3", "sound_t4": "T4"}
#: One batch is one frame's worth.
MAX_BATCH = 4096

_FLAG_BITS: tuple[int, ...] = tuple(int(flag) for flag in Flag if flag.name)
_flags_of = attrgetter(*(flag.name.lower() for flag in Flag if flag.name))
_quantities_of = attrgetter(*QUANTITY_NAMES)
_about_of = attrgetter("maker", "model", "firmware", "sounder", "report_interval_s")
_NOTHING = (None,) * 5
#: Combinations of flags that are kept at hand; a site's detectors use a handful.
_KNOWN_FLAGS = 512


class _Native(msgspec.Struct, kw_only=True):
    """A native reading as it is on the wire."""

    time: float | str | None = None
    co_ppm: float | None = None
    optical_density_db_m: float | None = None
    temperature_c: float | None = None
    humidity_pct: float | None = None
    battery_pct: float | None = None
    battery_v: float | None = None
    co2_ppm: float | None = None
    o2_pct: float | None = None
    pm25_ug_m3: float | None = None
    signal_dbm: float | None = None
    smoke_alarm: bool | None = None
    co_alarm: bool | None = None
    heat_alarm: bool | None = None
    tamper: bool | None = None
    battery_low: bool | None = None
    fault: bool | None = None
    test: bool | None = None
    muted: bool | None = None
    end_of_life: bool | None = None
    maker: str | None = None
    model: str | None = None
    firmware: str | None = None
    report_interval_s: float | None = None
    sounder: bool | None = None


_one = msgspec.json.Decoder(_Native)
_many = msgspec.json.Decoder(list[msgspec.Raw])
_is_alarm = jsontext.is_true("smoke_alarm", "co_alarm", "heat_alarm")


class NativeSource:
    """Native JSON (see the module)."""

    name = "native"
    summary = "Utaa's own JSON: your firmware, a script, a gateway that can be told what to say"
    #: firmware of one's own can report every quarter of an hour
    deadline_s = 3600.0
    example = Example(
        detector_topic("kitchen-1", "reading"),
        '{"time":"2026-01-31T19:12:00+08:00","co_ppm":4.5,"smoke_alarm":false,"battery_pct":87}',
    )

    def __init__(self, site: str) -> None:
        self._builder = Builder(site, self.name)

    def filters(self) -> list[str]:
        # The whole tree, so that a mistyped topic is counted and shown instead of never heard.
        return [f"{ROOT}/detector/#"]

    def decode(self, message: RawMessage) -> Decoded:
        address, leaf = _parse_topic(message.topic)
        if leaf == "command":
            return Decoded()  # our own orders to devices pass here too
        fact = self._builder.fact(address)
        if leaf == "status":
            return self._status(message, fact)
        if leaf == "answer":
            return Decoded(answers=[] if message.retained else [fact.detector])
        check_size(message.payload)
        if message.payload.lstrip()[:1] == b"[":
            return self._batch(message, fact)
        return self._single(message.payload, message, fact, needs_time=False)

    def order(self, address: str, action: Action, command_id: str) -> Order:
        told: dict[str, Any] = {"v": 1, "action": action, "id": command_id}
        if action in _PATTERNS:
            told |= {"action": "sound", "pattern": _PATTERNS[action], "hold_s": SOUND_HOLD_S}
        return Order(detector_topic(address, "command"), msgspec.json.encode(told))

    def _status(self, message: RawMessage, fact: DeviceFact) -> Decoded:
        if not message.payload:
            return Decoded()  # the retained status was cleared
        online = online_from_word(message.payload)
        return Decoded(facts=[msgspec.structs.replace(fact, online=online)])

    def _batch(self, message: RawMessage, fact: DeviceFact) -> Decoded:
        """The rows that can be read; the others are noted. Raises if there is none."""
        rows = jsontext.decode(_many, message.payload)
        if not rows:
            raise WireError("empty", "a batch without readings")
        if len(rows) > MAX_BATCH:
            raise WireError("too_large", f"{len(rows)} readings in one batch; at most {MAX_BATCH}")
        whole = Decoded()
        refusal: WireError | None = None
        for row in rows:
            try:
                part = self._single(bytes(row), message, fact, needs_time=True)
            except WireError as error:
                refusal = error
                whole.repairs.append("part_dropped")
                continue
            whole.readings += part.readings
            whole.repairs += part.repairs
            whole.facts = part.facts
        if refusal is not None and not whole.facts:
            raise refusal
        return whole

    def _single(
        self, payload: bytes, message: RawMessage, bare: DeviceFact, *, needs_time: bool
    ) -> Decoded:
        native, repairs = jsontext.decode_object(_one, payload, _Native, _is_alarm)
        fact = _fact(native, bare, repairs)
        flags, known = _flag_bits(_flags_of(native))
        stated = zip(QUANTITY_NAMES, _quantities_of(native), strict=True)
        values = {name: value for name, value in stated if value is not None}
        if not known and not values:
            if fact is bare:
                raise WireError("empty", "no quantity, no flag and nothing about the device")
            return Decoded(facts=[fact])
        time_us = _time(native, repairs, alarm=_says_alarm(native), needed=needs_time)
        return self._builder.decoded(
            fact,
            message,
            time_us=time_us,
            values=values,
            flags=flags,
            flags_known=known,
            repairs=repairs,
        )


@lru_cache(maxsize=_KNOWN_FLAGS)
def _flag_bits(states: tuple[bool | None, ...]) -> tuple[int, int]:
    """(flags that are set, flags that are known)."""
    flags = known = 0
    for bit, state in zip(_FLAG_BITS, states, strict=True):
        if state is not None:
            known |= bit
            flags |= bit if state else 0
    return flags, known


def _says_alarm(native: _Native) -> bool:
    return bool(native.smoke_alarm or native.co_alarm or native.heat_alarm)


_LEAVES = ("reading", "status", "command", "answer")


def _parse_topic(topic: str) -> tuple[str, str]:
    parts = topic.split("/")
    if len(parts) == 5 and topic.startswith(f"{ROOT}/detector/") and parts[4] in _LEAVES:
        return parts[3], parts[4]
    raise WireError("unknown_topic", f"{topic[:80]!r} is no topic of a native detector")


def _fact(native: _Native, bare: DeviceFact, repairs: list[str]) -> DeviceFact:
    if _about_of(native) == _NOTHING:
        return bare
    said: dict[str, Any] = {
        name: clean_text(value)
        for name in ("maker", "model", "firmware")
        if (value := getattr(native, name)) is not None
    }
    if native.sounder is not None:
        said["sounder"] = native.sounder
    interval_s = native.report_interval_s
    if interval_s is not None:
        if 0 < interval_s < float("inf"):
            said["report_interval_s"] = interval_s
        elif _says_alarm(native):
            repairs.append("part_dropped")
        else:
            raise WireError("out_of_range", f"report_interval_s is {interval_s}; expected above 0")
    return msgspec.structs.replace(bare, **said) if said else bare


def _time(native: _Native, repairs: list[str], *, alarm: bool, needed: bool) -> int | None:
    """µs UTC, None if unstated. An alarm goes through without a readable time."""
    try:
        if native.time is None:
            if needed:
                raise WireError("missing_field", "each reading of a batch needs its time")
            return None
        if isinstance(native.time, str):
            return time_from_text(native.time)
        return time_from_epoch(native.time)
    except WireError:
        if not alarm:
            raise
        repairs.append("time_unset")
        return None
