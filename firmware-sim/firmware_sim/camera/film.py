"""H.264 encoded once, at the start, with PyAV: a list of access units to be sent again and again.

``shown`` says which moment each picture shows: a stuck sensor behind a live encoder is a film in which
only the clock (and the encoder's own life) goes on.
"""

from __future__ import annotations

import importlib
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from firmware_sim.camera.picture import PICTURE_FAULTS, Street
from firmware_sim.errors import SimulatorError

#: Seconds of film: longer than any probe watches, so that keyframes do not repeat within one.
FILM_S = 12
CODECS = {"h264": "libx264", "hevc": "libx265"}


@dataclass(frozen=True, slots=True)
class Unit:
    """One picture, compressed: its NAL units without start codes."""

    nals: tuple[bytes, ...]
    keyframe: bool


@dataclass(frozen=True, slots=True)
class Film:
    """What a camera sends in a loop."""

    units: tuple[Unit, ...]
    parameters: tuple[bytes, ...]
    rate_fps: int
    codec: str
    #: the same pictures as JPEG, one a second
    jpegs: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """Everything that makes a film what it is."""

    width: int = 640
    height: int = 360
    rate_fps: int = 25
    bitrate_kbps: int = 512
    gop_s: float = 1.0
    seed: int = 1
    fault: str | None = None
    night: bool = False
    codec: str = "h264"
    #: the picture of this second, again and again, from the sensor; the clock and the encoder go on
    stuck: bool = False
    length_s: float = FILM_S


@lru_cache(maxsize=64)
def film(shape: Shape) -> Film:
    """Encode it. Raises ``SimulatorError`` without PyAV or its encoder."""
    if shape.fault is not None and shape.fault not in PICTURE_FAULTS:
        raise SimulatorError("--fault", f"{shape.fault} is no fault of the picture")
    av = _av()
    street = Street(shape.width, shape.height, shape.seed)
    context = av.CodecContext.create(CODECS[shape.codec], "w")
    context.width, context.height, context.pix_fmt = shape.width, shape.height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, shape.rate_fps), Fraction(shape.rate_fps)
    context.bit_rate = shape.bitrate_kbps * 1000
    context.thread_count = 1
    context.gop_size = max(int(shape.gop_s * shape.rate_fps), 1)
    context.options = {
        "preset": "ultrafast", "tune": "zerolatency", "bf": "0", "scenecut": "0", "refs": "1",
        "profile": "baseline" if shape.codec == "h264" else "main",
    }  # fmt: skip
    units: list[Unit] = []
    jpegs = []
    for number in range(int(shape.length_s * shape.rate_fps)):
        seen = 0 if shape.stuck else number
        rgb = street.picture(
            seen, at_s=seen / shape.rate_fps, clock=36_000 + number // shape.rate_fps,
            fault=shape.fault, night=shape.night,
        )  # fmt: skip
        if number % shape.rate_fps == 0:
            jpegs.append(_jpeg(rgb))
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts = number
        units += [_unit(bytes(packet), shape.codec) for packet in context.encode(frame)]
    units += [_unit(bytes(packet), shape.codec) for packet in context.encode(None)]
    heads = _parameter_sets(units, bytes(context.extradata or b""), shape.codec)
    return Film(tuple(units), heads, shape.rate_fps, shape.codec, tuple(jpegs))


def _av() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError:
        raise SimulatorError(
            "sim camera", "PyAV is not installed; pip install 'utaa[cameras]'"
        ) from None


def _jpeg(rgb: np.ndarray[Any, Any]) -> bytes:
    av = _av()
    context = av.CodecContext.create("mjpeg", "w")
    context.width, context.height, context.pix_fmt = rgb.shape[1], rgb.shape[0], "yuvj420p"
    context.time_base = Fraction(1, 25)
    context.options = {"q": "4"}
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuvj420p")
    packets = [bytes(p) for p in [*context.encode(frame), *context.encode(None)]]
    return b"".join(packets)


def _unit(data: bytes, codec: str) -> Unit:
    nals = tuple(_split(data))
    if codec == "h264":
        return Unit(nals, any(nal[0] & 31 == 5 for nal in nals))
    return Unit(nals, any(16 <= (nal[0] >> 1 & 63) <= 21 for nal in nals))


def _split(data: bytes) -> list[bytes]:
    """NAL units of an Annex B stream."""
    parts = data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [part for part in parts if part]


def _parameter_sets(units: list[Unit], extradata: bytes, codec: str) -> tuple[bytes, ...]:
    wanted = (7, 8) if codec == "h264" else (32, 33, 34)

    def kind(nal: bytes) -> int:
        return nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63

    found: dict[int, bytes] = {}
    for nal in [*_split(extradata), *(n for unit in units[:1] for n in unit.nals)]:
        if kind(nal) in wanted:
            found.setdefault(kind(nal), nal)
    return tuple(found[k] for k in wanted if k in found)


def rtp_packets(unit: Unit, *, sequence: int, timestamp: int, ssrc: int, codec: str) -> list[bytes]:
    """RFC 6184 (and 7798 for HEVC): single NAL units and fragments, 1,400 bytes at most."""
    result: list[bytes] = []
    pieces: list[bytes] = []
    for nal in unit.nals:
        pieces += [nal] if len(nal) <= 1400 else _fragments(nal, codec)
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        head = struct.pack(
            ">BBHII", 0x80, 96 | (0x80 if last else 0), (sequence + number) & 0xFFFF,
            timestamp & 0xFFFFFFFF, ssrc,
        )  # fmt: skip
        result.append(head + piece)
    return result


def _fragments(nal: bytes, codec: str) -> list[bytes]:
    size = 1390
    if codec == "h264":
        indicator, kind, body = bytes([nal[0] & 0xE0 | 28]), nal[0] & 31, nal[1:]
    else:
        indicator, kind, body = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), nal[0] >> 1 & 63, nal[2:]
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return [
        indicator
        + bytes([(0x80 if i == 0 else 0) | (0x40 if i == len(parts) - 1 else 0) | kind])
        + part
        for i, part in enumerate(parts)
    ]
