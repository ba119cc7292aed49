"""What a byte codec is, and how a LoRaWAN source finds the one for a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from edge.wire.errors import WireError


class Bytes(msgspec.Struct, frozen=True, kw_only=True):
    """What an uplink's bytes say.

    ``is_reading`` False: a start-up report or the answer to a command, nothing measured.
    """

    is_reading: bool = True
    values: dict[str, float] = {}
    flags: int = 0
    flags_known: int = 0
    maker: str | None = None
    model: str | None = None
    firmware: str | None = None
    report_interval_s: float | None = None


class Codec(msgspec.Struct, frozen=True, kw_only=True):
    """One device family's bytes."""

    name: str
    #: words that name the device in a profile, a device name or a version id; lower case
    words: tuple[str, ...]
    #: ports it speaks; empty: any
    ports: frozenset[int]
    #: whether bytes from an unnamed device look like this family's
    fits: Callable[[int, bytes], bool]
    #: raises ``WireError``: wrong_port, truncated, bad_checksum, unknown_device, unknown_version, …
    decode: Callable[[int, bytes], Bytes]


def choose(codecs: Mapping[str, Codec], hints: Iterable[str], port: int, payload: bytes) -> Codec:
    """The codec for a device: by the words in what its server calls it, else by its bytes.

    Raises ``WireError``: wrong_port (nobody speaks the port), unknown_device.
    """
    text = " ".join(hints).lower()
    for codec in codecs.values():
        if any(word in text for word in codec.words):
            return codec
    for codec in codecs.values():
        if codec.fits(port, payload):
            return codec
    if not any(port in codec.ports for codec in codecs.values()):
        raise WireError("wrong_port", f"no codec speaks port {port}")
    raise WireError("unknown_device", f"no codec knows these bytes on port {port}")


def need(payload: bytes, length: int) -> None:
    """Raises ``WireError`` empty or truncated if there are fewer bytes."""
    if not payload:
        raise WireError("empty", "the frame carries no application payload")
    if len(payload) < length:
        raise WireError("truncated", f"{len(payload)} bytes; expected {length}")
