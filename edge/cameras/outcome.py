"""What a probe found: closed outcomes, measurements, and how they compare with the register."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

Outcome = Literal[
    "reachable", "bad_url", "unknown_host", "no_route", "refused", "connect_timeout", "tls_failed",
    "wrong_password", "unknown_path", "server_error", "redirects", "not_understood", "closed",
    "timeout",
    "no_video", "no_packets", "stalled", "undecodable", "too_large", "hung",
]  # fmt: skip

#: For people, one line each.
MEANING: Final[dict[Outcome, str]] = {
    "reachable": "a picture came",
    "bad_url": "the address is no rtsp, rtsps, http or https URL, or none where a camera may be",
    "unknown_host": "the name has no address",
    "no_route": "the network has no way there",
    "refused": "the machine is there, nothing listens on the port",
    "connect_timeout": "nothing answers at the address",
    "tls_failed": "the encrypted connection could not be made",
    "wrong_password": "user or password is wrong or missing",
    "unknown_path": "the camera does not know this path",
    "server_error": "the camera answers with an error of its own",
    "redirects": "the camera sends from one address to the next without end",
    "not_understood": "what answers does not speak the protocol",
    "closed": "the connection was closed before a picture came",
    "timeout": "the camera accepted the connection and then said nothing in time",
    "no_video": "the stream has no video track",
    "no_packets": "the stream was opened and not one packet came",
    "stalled": "packets came and then stopped",
    "undecodable": "packets come but no picture can be made of them",
    "too_large": "the picture is larger than any camera's",
    "hung": "the probe itself had to be ended by force",
}


class Glance(msgspec.Struct, frozen=True, kw_only=True):
    """A picture in a few numbers: enough to see that it changed, not enough to see what it shows."""

    #: luma of 32 x 18 blocks
    blocks: bytes
    #: mean luma, its spread, and fine detail by the spread
    light: float
    spread: float
    sharp: float
    #: mean distance from grey
    colour: float


class Probed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one probe. Times in seconds from the start of the probe."""

    outcome: Outcome
    #: without credentials
    url: str
    took_s: float = 0.0
    connected_s: float | None = None
    first_picture_s: float | None = None
    codec: str | None = None
    width: int | None = None
    height: int | None = None
    #: pictures per second by the stream's own timestamps, and by their arrival
    rate_fps: float | None = None
    arrival_fps: float | None = None
    bitrate_kbps: float | None = None
    packets: int = 0
    keyframes: int = 0
    corrupt: int = 0
    #: pictures that are missing by the timestamps
    missing: int = 0
    #: timestamps that go back
    time_back: int = 0
    server: str | None = None
    #: of the compressed keyframes; a live sensor never sends the same twice
    keyframe_hashes: list[str] = []
    #: where the stream is not as registered
    differences: list[str] = []
    #: a JPEG of the first picture, when asked for
    picture: bytes | None = None
    #: a glance at the first picture (``edge.cameras.glance``)
    glance: Glance | None = None
    #: what changes in it, when a film was asked for (``edge.cameras.film.Changes.evidence``)
    film: dict[str, float] = {}
    #: a hash of how the server presents itself; another camera at the same address has another one
    banner: str | None = None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What the register says of the stream; None says nothing."""

    codec: str | None = None
    width: int | None = None
    height: int | None = None
    rate_fps: float | None = None
    bitrate_kbps: float | None = None
    #: how the camera presented itself at commissioning (``Probed.banner``)
    banner: str | None = None


#: Of a stream's pictures this share may be damaged or missing; a wireless link loses a few.
MAX_DAMAGED: Final = 0.05
#: A measured rate may be off by this share before it counts as another rate; short probes wobble.
RATE_SLACK: Final = 0.25
#: Bit rates follow the scene: only a multiple or a fraction is a difference.
BITRATE_FACTOR: Final = 4.0


def differences(probed: Probed, registered: Registered) -> list[str]:
    """Where the stream is not as registered: codec, resolution, rate, bitrate, damaged, timestamps,
    identity (another device answers at the address).
    """
    result = []
    if registered.codec and probed.codec and registered.codec != probed.codec:
        result.append("codec")
    size, wanted = (probed.width, probed.height), (registered.width, registered.height)
    if None not in size and None not in wanted and size != wanted:
        result.append("resolution")
    if (
        registered.rate_fps
        and probed.rate_fps
        and abs(probed.rate_fps / registered.rate_fps - 1) > RATE_SLACK
    ):
        result.append("rate")
    if registered.bitrate_kbps and probed.bitrate_kbps:
        share = probed.bitrate_kbps / registered.bitrate_kbps
        if not 1 / BITRATE_FACTOR <= share <= BITRATE_FACTOR:
            result.append("bitrate")
    if probed.packets > 10 and (probed.corrupt + probed.missing) / probed.packets > MAX_DAMAGED:
        result.append("damaged")
    if probed.time_back > 1:
        result.append("timestamps")
    if registered.banner and probed.banner and registered.banner != probed.banner:
        result.append("identity")
    return result


assert set(MEANING) == set(get_args(Outcome))
