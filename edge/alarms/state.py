"""The state of one detector's alarms, and its bytes in the spool (at most 1 kB)."""

from __future__ import annotations

import msgspec

from edge.alarms.settings import Settings

STATE_VERSION = 1
#: One detector's state in the spool; 220,000 of them must fit a small disk.
MAX_STATE_BYTES = 1024


class Active(msgspec.Struct, array_like=True):
    """An alarm that is raised."""

    since_us: int
    test: bool = False
    peak: dict[str, float] = {}


class State(msgspec.Struct, kw_only=True):
    """Everything that is remembered of one detector. Treat it as a value: ``step`` returns a new one."""

    settings: Settings
    now_us: int
    born_us: int
    heard_us: int | None = None
    flags: int = 0
    active: dict[str, Active] = {}


class _Stored(msgspec.Struct, array_like=True):
    version: int
    state: State


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Stored)


def encode_state(state: State) -> bytes:
    """The state as bytes; ``decode_state`` gives an equal one back."""
    return _encoder.encode(_Stored(STATE_VERSION, state))


def decode_state(raw: bytes) -> State:
    """The state in the bytes. Raises ``ValueError`` if they are none, or of another version."""
    try:
        stored = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"no alarm state: {error}") from None
    if stored.version != STATE_VERSION:
        raise ValueError(f"alarm state version {stored.version}; expected {STATE_VERSION}")
    return stored.state
