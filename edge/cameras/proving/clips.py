"""Short films for the frozen judge: living and stuck, street by day and empty at night, with a clock.

A living sensor has grain of its own in every picture; a stuck one gives the same picture for ever. Both
go through the same camera: clock overlay, then H.264 at a stated bit rate. The seeds of ``tuning`` and
``held_out`` never meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av
import cv2
import numpy as np

from edge.cameras.film import Changes
from edge.cameras.proving.plan import Part, moment_of
from edge.cameras.proving.scenes import Moment, Picture, draw_scene
from edge.cameras.proving.weather import light_of

CLIPS: Final[dict[Part, range]] = {"tuning": range(400, 424), "held_out": range(700, 748)}
RATES_KBPS: Final = (256, 512, 1024, 2048)
_FPS: Final = 12
_SECONDS: Final = 6


@dataclass(frozen=True, slots=True)
class Clip:
    """One film to judge. ``night``: an empty street at night, nothing moves."""

    seed: int
    stuck: bool
    night: bool
    rate_kbps: int


def clips(part: Part) -> list[Clip]:
    """Half of them stuck, half at night, at each bit rate in turn."""
    return [
        Clip(seed, stuck=bool(i % 2), night=bool(i // 2 % 2), rate_kbps=RATES_KBPS[i // 4 % 4])
        for i, seed in enumerate(CLIPS[part])
    ]


def pictures(clip: Clip) -> list[Picture]:
    """What the sensor gives, with the clock laid over, 640x360."""
    rng = np.random.default_rng([76, clip.seed])
    scene = draw_scene(20_000 + clip.seed)
    hours = (22.0, 28.0) if clip.night else (9.0, 17.0)
    moment = moment_of(rng, has_infrared=scene.has_infrared and clip.night, hours=hours)
    moment = Moment(
        hour=moment.hour, cloud=moment.cloud, fog=moment.fog, snow_cover=moment.snow_cover,
        traffic=0 if clip.night else 3, infrared=moment.infrared, seed=moment.seed,
    )  # fmt: skip
    light = light_of(scene, moment)
    gain = float(np.clip(0.15 / (np.minimum(light, 2).mean() + 1e-3), 0.25, scene.gain_limit))
    base = cv2.GaussianBlur(light * gain, (0, 0), 0.5)
    # an encoder's own noise reduction takes part of the grain; what stays is this much
    sigma = float(rng.uniform(0.8, 2.5)) * np.sqrt(max(gain, 1.0)) * 0.8
    shown = np.power(np.clip(base, 0, 1), 1 / 2.2) * 255
    result = []
    frozen_picture = None
    for number in range(_FPS * _SECONDS):
        if frozen_picture is None or not clip.stuck:
            grain = rng.standard_normal(shown.shape[:2], dtype=np.float32)[..., None]
            frozen_picture = np.clip(shown + grain * sigma, 0, 255).astype(np.uint8)
        out = frozen_picture.copy()
        if not clip.night and not clip.stuck:
            x = int((number * 9 + clip.seed * 31) % 760) - 60
            cv2.rectangle(out, (x, 250), (x + 55, 280), (60, 60, 160), -1)
        text = f"2031-02-03 {int(moment.hour) % 24:02d}:{clip.seed % 60:02d}:{number // _FPS:02d}"
        cv2.putText(out, text, (12, 26), 0, 0.6, (0, 0, 0), 3)
        cv2.putText(out, text, (12, 26), 0, 0.6, (255, 255, 255), 1)
        result.append(out)
    return result


def encode(frames: list[Picture], rate_kbps: int, *, gop: int = 2 * _FPS) -> list[Any]:
    """H.264 packets of these pictures."""
    context: Any = av.CodecContext.create("libx264", "w")
    height, width = frames[0].shape[:2]
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, _FPS), Fraction(_FPS)
    context.bit_rate, context.gop_size, context.thread_count = rate_kbps * 1000, gop, 1
    context.options = {
        "preset": "veryfast", "tune": "zerolatency", "scenecut": "0", "maxrate": f"{rate_kbps}k",
        "bufsize": f"{rate_kbps}k",
    }  # fmt: skip
    packets: list[Any] = []
    for number, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    return [(context.extradata, packets)]


def measure_clip(clip: Clip) -> dict[str, float]:
    """The numbers of ``film.Changes`` for this clip."""
    cv2.setNumThreads(1)
    ((extradata, packets),) = encode(pictures(clip), clip.rate_kbps)
    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.extradata = extradata
    decoder.thread_count = 1
    changes = Changes()
    for packet in [*packets, None]:
        for frame in decoder.decode(packet):
            plane = frame.planes[0]
            data = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            luma = np.ascontiguousarray(data[: frame.height, : frame.width])
            changes.add(luma, keyframe=bool(frame.key_frame))
    return changes.evidence()
