"""The state of one detector's alarms, and its bytes in the spool (at most 1 kB).

All times are µs on the alarm timeline. Doses are integers (``FULL`` raises) and are kept as segments:
a value at a moment and a rate from there, so that how often somebody looks never changes the result.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
import zstandard

from edge.alarms.limits import NEVER, Limits, limits_of
from edge.alarms.settings import Settings
from edge.wire.messages import AlarmKind

STATE_VERSION = 1
#: One detector's state in the spool; 220,000 of them must fit a small disk.
MAX_STATE_BYTES = 1024


_PLAIN, _ZSTD = b"\x00", b"\x01"
#: Below this compressing costs more than it saves.
_COMPRESS_FROM_BYTES = 700


class Active(msgspec.Struct, array_like=True, gc=False):
    """An alarm that is raised. ``told``: the value last announced, or the faults last announced."""

    since_us: int
    test: bool = False
    confidence: float = 0.0
    told: float = 0.0
    peak_co_ppm: float | None = None
    peak_optical_density_db_m: float | None = None
    peak_temperature_c: float | None = None


class Memory(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """Everything that is remembered of one detector but its settings. Append fields, never reorder."""

    now_us: int
    born_us: int
    #: the last reading, its own time, and the usual distance between readings
    heard_us: int = -1
    reading_us: int = -NEVER
    interval_us: int = 0
    offline_us: int = NEVER
    flags: int = 0
    #: why alarms are on besides the flags (``causes.Cause``), and what is wrong (``causes.Fault``)
    causes: int = 0
    faults: int = 0
    #: since when nothing is wrong any more (a fault lasts a while longer)
    sound_us: int = NEVER
    test_us: int = NEVER
    test_end_us: int = NEVER
    mute_us: int = NEVER
    active: dict[AlarmKind, Active] = {}
    #: the earliest moment at which time alone changes something, by sense
    due_us: int = NEVER
    watch_due_us: int = NEVER

    # CO: the segment from co_seg_us on, valid until co_until_us
    co_ppm: float | None = None
    co_seg_us: int = 0
    co_until_us: int = 0
    co_dose: int = 0
    co_rate: int = 0
    co_low_us: int = NEVER
    co_slow_ppm: float = 0.0
    cohb_pct: float = 0.0
    co_flips: int = 0
    co_due_us: int = NEVER
    #: WHO means: integral over the running quarter of an hour, and the finished ones of 24 h
    co_sum: int = 0
    co_cover_us: int = 0
    co_counted_us: int = 0
    co_quarter_us: int = 0
    co_quarters: bytes = b""

    # smoke
    od_db_m: float | None = None
    od_us: int = 0
    od_interval_us: int = 0
    od_seen: int = 0
    od_born_us: int = 0
    od_base: float = 0.0
    od_seg_us: int = 0
    od_until_us: int = 0
    od_dose: int = 0
    od_rate: int = 0
    #: the rate this segment will have had if the next value bears out its first one
    od_alone_rate: int = 0
    od_low_us: int = NEVER
    od_same_us: int = 0
    od_move: float = 0.0
    od_rough: float = 0.0
    od_smooth: float = 0.0
    od_due_us: int = NEVER
    support_us: int = -NEVER
    heat_support_us: int = -NEVER
    steam_us: int = -NEVER

    # heat and the rest of the air
    temperature_c: float | None = None
    temperature_us: int = 0
    temperature_interval_us: int = 0
    temperature_slow_c: float = 0.0
    temperature_usual_c: float = 0.0
    hot_us: int = NEVER
    heat_due_us: int = NEVER
    humidity_slow_pct: float | None = None
    humidity_us: int = 0
    humidity_pct: float = 0.0
    #: whether CO2 (1) and O2 (2) were heard before
    air_seen: int = 0
    #: when to look next whether a channel fell silent
    silence_us: int = 0

    # battery: today's sum and count, then level and trend per day
    battery_pct: float | None = None
    battery_day: int = 0
    battery_sum: float = 0.0
    battery_count: int = 0
    battery_days: int = 0
    battery_level: float = 0.0
    battery_trend: float = 0.0
    battery_low_us: int = NEVER
    battery_due_us: int = 0

    #: of its deadline, what was given for deaf times since it was last heard
    excused_us: int = 0


class State(Memory, kw_only=True, gc=False):
    """Everything ``step`` needs of one detector. A value: ``step`` returns a new one."""

    settings: Settings
    #: derived from the settings, never stored
    limits: Limits

    if TYPE_CHECKING:  # msgspec has it; its stubs do not say so

        def __copy__(self) -> State: ...


#: A state's first fields are its memory.
_REMEMBERED = len(Memory.__struct_fields__)
#: Different settings whose bytes are kept at hand; a site has a handful.
_KNOWN_SETTINGS = 256


class _Envelope(msgspec.Struct, array_like=True):
    version: int
    settings: dict[str, float | int | str | bool | None]
    memory: Memory


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Envelope)


def encode_state(state: State) -> bytes:
    """The state as bytes; ``decode_state`` gives an equal one back.

    One byte says how the rest is packed; only a detector in much trouble is worth compressing.
    """
    memory = msgspec.structs.astuple(state)[:_REMEMBERED]  # as ``_Envelope`` reads it
    raw = _encoder.encode((STATE_VERSION, _packed(state.settings), memory))
    if len(raw) <= _COMPRESS_FROM_BYTES:
        return _PLAIN + raw
    return _ZSTD + zstandard.ZstdCompressor(level=1).compress(raw)


@lru_cache(maxsize=_KNOWN_SETTINGS)
def _packed(settings: Settings) -> msgspec.Raw:
    return msgspec.Raw(_encoder.encode(settings.differing()))


def decode_state(raw: bytes) -> State:
    """The state in the bytes. Raises ``ValueError`` if they are none, or of another version."""
    try:
        stored = _decoder.decode(_unpacked(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, zstandard.ZstdError) as error:
        raise ValueError(f"no alarm state: {error}") from None
    if stored.version != STATE_VERSION:
        raise ValueError(f"alarm state version {stored.version}; expected {STATE_VERSION}")
    settings = Settings.from_mapping(stored.settings)
    memory = {name: getattr(stored.memory, name) for name in Memory.__struct_fields__}
    return State(settings=settings, limits=limits_of(settings), **memory)


def _unpacked(raw: bytes) -> bytes:
    if raw[:1] == _PLAIN:
        return raw[1:]
    if raw[:1] != _ZSTD:
        raise ValueError("no alarm state: it begins with no known packing")
    return zstandard.ZstdDecompressor().decompress(raw[1:], max_output_size=4 * MAX_STATE_BYTES)


def initial(settings: Settings, now_us: int) -> State:
    """A detector of which nothing was heard yet; ``never_seen`` counts from ``now_us``."""
    limits = limits_of(settings)
    due_us = now_us + limits.never_seen_us
    return State(
        settings=settings,
        limits=limits,
        now_us=now_us,
        born_us=now_us,
        cohb_pct=settings.cohb_start_pct,
        watch_due_us=due_us,
        due_us=due_us,
    )
