"""One probe of one camera, in the calling thread: RTSP by PyAV, HTTP by ourselves. Runs in the worker.

Each step has a deadline: connecting, opening, the wait for a packet, and the whole. PyAV's errors carry
the URL with its password, so no error text leaves this module; only closed outcomes do. When PyAV
cannot
say what is wrong, ``diagnose`` asks the camera once more in plain RTSP.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import urljoin

import av
import cv2
import msgspec
import numpy as np

from edge.cameras.film import Changes
from edge.cameras.glance import glance, of_picture, planes
from edge.cameras.outcome import Outcome, Probed
from edge.cameras.pictures import MAX_BYTES, MAX_PIXELS, BadPicture, decode
from edge.cameras.talk import Address, Reply, Talk, TalkError, answer_challenge

#: Redirects that are followed before we call it a ring.
MAX_REDIRECTS: Final = 3
#: Bytes read from one HTTP stream; a 4K MJPEG of 3 s is about 60 MB, of which we need two pictures.
MAX_HTTP_BYTES: Final = MAX_BYTES + (4 << 20)
#: Packets of one probe; 60 pictures a second for a minute.
MAX_PACKETS: Final = 3600
#: Pictures of one film; twelve seconds at 60 a second.
MAX_FILM: Final = 720

Depth = Literal["cheap", "full", "film"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What to probe and how long. ``cheap`` stops at the first picture; ``full`` watches ``watch_s``;
    ``film`` decodes all of it, until two groups of pictures are seen or ``watch_s`` is over twice.
    """

    id: int
    url: str
    depth: Depth = "cheap"
    watch_s: float = 3.0
    connect_s: float = 3.0
    packet_s: float = 4.0
    total_s: float = 10.0
    want_picture: bool = False

    def __repr__(self) -> str:
        return f"Request(id={self.id}, depth={self.depth})"


@dataclass(slots=True)
class _Seen:
    """What a stream has shown so far."""

    began: float
    times: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    keyframes: int = 0
    corrupt: int = 0
    time_back: int = 0
    first_picture_s: float | None = None
    size: tuple[int, int] | None = None
    codec: str | None = None
    frame: Any = None
    picture: Any = None
    banner: str | None = None
    changes: Changes | None = None

    @property
    def shown(self) -> bool:
        """Whether a picture was seen."""
        return self.frame is not None or self.picture is not None


def probe(request: Request) -> Probed:
    """Probe once. Never raises for what a camera does."""
    began = time.monotonic()
    try:
        address = Address.parse(request.url)
    except ValueError:
        return Probed(outcome="bad_url", url="")
    seen = _Seen(began)
    deadline = began + request.total_s
    connected = None
    try:
        if address.scheme.startswith("rtsp"):
            with Talk(address, deadline, request.connect_s) as talk:
                connected = time.monotonic() - began
                # a name that says something else a moment later changes nothing
                judged = replace(address, host=talk.peer)
                if request.depth == "full":
                    seen.banner = _banner(talk, address)
            outcome = _rtsp(judged, request, seen, deadline)
        else:
            outcome = _http(address, request, seen, deadline)
    except TalkError as error:
        outcome = error.outcome  # type: ignore[assignment]  # TalkError carries outcomes only
    return _result(outcome, address, request, seen, connected)


def _result(
    outcome: Outcome, address: Address, request: Request, seen: _Seen, connected: float | None
) -> Probed:
    span = seen.times[-1] - seen.times[0] if len(seen.times) > 1 else 0.0
    arrival = seen.arrivals[-1] - seen.arrivals[0] if len(seen.arrivals) > 1 else 0.0
    steps = np.diff(seen.times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    missing = int(sum(round(s / usual) - 1 for s in steps if s > 1.6 * usual)) if usual > 0 else 0
    data = None
    if request.want_picture and seen.shown:
        picture = seen.picture if seen.picture is not None else seen.frame.to_ndarray(format="bgr24")
        _, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        data = jpeg.tobytes()
    glanced = None
    if seen.shown:
        luma, colour = planes(seen.frame) if seen.frame is not None else of_picture(seen.picture)
        glanced = glance(luma, colour)
    long_enough = span > 0.5
    return Probed(
        outcome=outcome, url=str(address), took_s=round(time.monotonic() - seen.began, 3),
        connected_s=None if connected is None else round(connected, 3),
        first_picture_s=None if seen.first_picture_s is None else round(seen.first_picture_s, 3),
        codec=seen.codec, width=seen.size[0] if seen.size else None,
        height=seen.size[1] if seen.size else None,
        rate_fps=round((len(seen.times) - 1) / span, 2) if long_enough else None,
        arrival_fps=round((len(seen.arrivals) - 1) / arrival, 2) if arrival > 0.5 else None,
        bitrate_kbps=round(sum(seen.sizes[:-1]) * 8 / span / 1000, 1) if long_enough else None,
        packets=len(seen.sizes), keyframes=seen.keyframes, corrupt=seen.corrupt, missing=missing,
        time_back=seen.time_back, keyframe_hashes=seen.hashes[-8:], picture=data,
        glance=glanced, banner=seen.banner, film=seen.changes.evidence() if seen.changes else {},
    )  # fmt: skip


def _rtsp(address: Address, request: Request, seen: _Seen, deadline: float) -> Outcome:
    left = max(deadline - time.monotonic(), 0.1)
    options = {
        "rtsp_transport": "tcp", "analyzeduration": "300000", "probesize": "65536",
        "timeout": str(int(min(left, request.packet_s + 1) * 1e6)), "max_delay": "0",
        "allowed_media_types": "video", "max_pixels": str(MAX_PIXELS),
    }  # fmt: skip
    try:
        container = av.open(
            address.secret_url,
            options=options,
            timeout=(min(left, request.packet_s + 1), request.packet_s),
        )
    except (av.FFmpegError, OSError, ValueError) as error:
        return _open_outcome(error) or diagnose(address, deadline)
    try:
        return _watch(container, request, seen, deadline)
    finally:
        container.close()


def _open_outcome(error: Exception) -> Outcome | None:
    """What PyAV's error says; None if it does not say."""
    if isinstance(error, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
        return "wrong_password"
    if isinstance(error, av.HTTPNotFoundError):
        return "unknown_path"
    if isinstance(error, av.HTTPServerError):
        return "server_error"
    return None


def _watch(container: Any, request: Request, seen: _Seen, deadline: float) -> Outcome:
    if not container.streams.video:
        return "no_video"
    stream = container.streams.video[0]
    seen.codec = stream.codec_context.name
    if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
        return "too_large"
    film = request.depth == "film"
    stream.codec_context.skip_frame = "DEFAULT" if film else "NONKEY"
    stream.codec_context.thread_count = 1
    began = time.monotonic()
    end = min(deadline, began + {"full": request.watch_s, "film": 2 * request.watch_s, "cheap": 60.0}[
        request.depth])  # fmt: skip
    if film:
        seen.changes = Changes()
    outcome: Outcome = "no_packets"
    failures = 0
    try:
        for packet in container.demux(stream):
            now = time.monotonic()
            if packet.size:
                _note(packet, seen, now)
                if film or (packet.is_keyframe and (not seen.shown or request.depth == "full")):
                    failures += _picture(packet, seen)
            if seen.shown and (
                (request.depth == "cheap" and len(seen.times) >= 2)
                or (film and now > began + request.watch_s and seen.keyframes >= 4)
                or now > end
            ):
                return "reachable"
            if now > end or len(seen.sizes) > MAX_PACKETS or failures > 20:
                break
        outcome = _why_no_picture(seen)
    except av.InvalidDataError:
        outcome = "undecodable"
    except (av.FFmpegError, OSError):
        outcome = "stalled" if seen.sizes else "no_packets"
    if outcome == "stalled" and seen.shown and not _silent(seen):
        return "reachable"
    return outcome


def _silent(seen: _Seen) -> bool:
    """Has nothing come for much longer than is usual in this stream?"""
    usual = float(np.median(np.diff(seen.arrivals))) if len(seen.arrivals) > 2 else 0.1
    return time.monotonic() - seen.arrivals[-1] > max(1.0, 8 * usual)


def _why_no_picture(seen: _Seen) -> Outcome:
    if seen.shown:
        return "reachable" if len(seen.sizes) > 1 else "stalled"
    return "undecodable" if seen.sizes else "no_packets"


def _note(packet: Any, seen: _Seen, now: float) -> None:
    seen.sizes.append(packet.size)
    seen.arrivals.append(now)
    seen.corrupt += bool(packet.is_corrupt)
    stamp = packet.dts if packet.dts is not None else packet.pts
    if stamp is not None and packet.time_base:
        at = float(stamp * packet.time_base)
        if seen.times and at <= seen.times[-1]:
            seen.time_back += 1
        else:
            seen.times.append(at)
    if packet.is_keyframe:
        seen.keyframes += 1
        digest = hashlib.blake2b(bytes(packet), digest_size=8)
        seen.hashes.append(digest.hexdigest())


def _picture(packet: Any, seen: _Seen) -> int:
    """Decode a keyframe; 1 if that failed."""
    try:
        frames = packet.decode()
    except av.FFmpegError:
        return 1
    for frame in frames:
        seen.corrupt += bool(frame.is_corrupt)
        if frame.width * frame.height > MAX_PIXELS:
            raise TalkError("too_large")
        if seen.changes is not None and seen.changes.pictures < MAX_FILM:
            seen.changes.add(planes(frame)[0], keyframe=bool(frame.key_frame))
        if seen.frame is None:
            seen.frame = frame
            seen.size = (frame.width, frame.height)
            seen.first_picture_s = time.monotonic() - seen.began
    return 0


def _banner(talk: Talk, address: Address) -> str | None:
    """A hash of what the server says of itself before anybody signs in: software, realm, methods."""
    talk.send(
        f"DESCRIBE {address.plain} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: utaa\r\n"
        f"Accept: application/sdp\r\n\r\n".encode()
    )
    try:
        reply = talk.read_reply()
    except TalkError:
        return None
    realms = sorted(realm for c in reply.challenges for realm in re.findall(r'realm="([^"]*)"', c))
    said = [reply.headers.get("server", ""), *realms]
    if not any(said):
        return None
    return hashlib.blake2b("\0".join(said).encode(), digest_size=8).hexdigest()


def diagnose(address: Address, deadline: float) -> Outcome:
    """Ask for the stream's description in plain RTSP and say what the answer means."""
    try:
        for _ in range(MAX_REDIRECTS + 1):
            with Talk(address, deadline, 3.0) as talk:
                reply = _describe(talk, address)
            if 300 <= reply.status < 400:
                try:
                    target = Address.parse(reply.headers.get("location", ""))
                except ValueError:
                    return "not_understood"
                address = target  # credentials do not follow
                continue
            return _status_outcome(reply, "no_packets")
    except TalkError as error:
        return error.outcome  # type: ignore[return-value]  # TalkError carries outcomes only
    return "redirects"


def _describe(talk: Talk, address: Address) -> Reply:
    authorization = ""
    reply = None
    for turn in (1, 2):
        talk.send(
            f"DESCRIBE {address.plain} RTSP/1.0\r\nCSeq: {turn}\r\nUser-Agent: utaa\r\n"
            f"Accept: application/sdp\r\n{authorization}\r\n".encode()
        )
        reply = talk.read_reply()
        answer = answer_challenge(address, "DESCRIBE", address.plain, reply.challenges)
        if reply.status != 401 or answer is None:
            break
        authorization = f"Authorization: {answer}\r\n"
    assert reply is not None
    return reply


def _status_outcome(reply: Reply, good: Outcome) -> Outcome:
    if reply.status in (401, 403, 407):
        return "wrong_password"
    if reply.status in (404, 410, 454):
        return "unknown_path"
    if reply.status >= 400:
        return "server_error"
    return good


def _http(address: Address, request: Request, seen: _Seen, deadline: float) -> Outcome:
    home = (address.host, address.port)
    for _ in range(MAX_REDIRECTS + 1):
        authorization = ""
        for turn in (1, 2):
            with Talk(address, deadline, request.connect_s) as talk:
                talk.send(
                    f"GET {address.path} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n"
                    f"User-Agent: utaa\r\nAccept: image/jpeg, multipart/x-mixed-replace\r\n"
                    f"Connection: close\r\n{authorization}\r\n".encode()
                )
                reply = talk.read_reply()
                answer = answer_challenge(address, "GET", address.path, reply.challenges)
                if reply.status == 401 and answer is not None and turn == 1:
                    authorization = f"Authorization: {answer}\r\n"
                    continue
                if 200 <= reply.status < 300:
                    return _http_pictures(talk, reply, request, seen, deadline)
            break
        if not 300 <= reply.status < 400:
            return _status_outcome(reply, "not_understood")
        try:
            target = Address.parse(urljoin(address.plain, reply.headers.get("location", "")))
        except ValueError:
            return "not_understood"
        if (target.host, target.port) == home:  # the same camera: credentials stay
            target = Address(target.scheme, target.host, target.port, target.path,
                             address.user, address.password)  # fmt: skip
        address = target
    return "redirects"


def _http_pictures(talk: Talk, reply: Reply, request: Request, seen: _Seen, deadline: float) -> Outcome:
    """Pictures of a JPEG reply or an endless MJPEG one, found by their own markers."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith(("image/", "multipart/")):
        return "no_video"
    if int(reply.headers.get("content-length", "0") or 0) > MAX_BYTES:
        return "too_large"
    many = kind.startswith("multipart/")
    end = min(deadline, time.monotonic() + request.watch_s)
    data, total = b"", 0
    try:
        while total < MAX_HTTP_BYTES:
            more = talk.read_some()
            total += len(more)
            data += more
            while (found := _cut_jpeg(data, whole=not many and not more)) is not None:
                jpeg, data = found
                problem = _http_picture(jpeg, kind, seen)
                if problem is not None:
                    return problem
            done = seen.picture is not None
            if done and (not many or request.depth == "cheap" or time.monotonic() > end):
                return "reachable"
            if not more:
                break
    except TalkError as error:
        if seen.picture is not None:
            return "reachable" if time.monotonic() > end else "stalled"
        return "timeout" if error.outcome == "timeout" and total else error.outcome  # type: ignore[return-value]
    if not many and data and seen.picture is None:  # another kind of picture, or an unmarked end
        return _http_picture(data, kind, seen) or "reachable"
    if total >= MAX_HTTP_BYTES:
        return "too_large"
    return "reachable" if seen.picture is not None else ("undecodable" if total else "no_packets")


def _cut_jpeg(data: bytes, *, whole: bool) -> tuple[bytes, bytes] | None:
    start = data.find(b"\xff\xd8\xff")
    if start < 0:
        return None
    end = data.find(b"\xff\xd9", start)
    if end < 0:
        return (data[start:], b"") if whole and len(data) > start else None
    # a thumbnail inside the header ends early; the picture's own end is followed by none of its bytes
    following = data.find(b"\xff\xd8\xff", start + 2)
    if 0 < following < end:
        later = data.find(b"\xff\xd9", end + 2)
        if later < 0:
            return None
        end = later
    return data[start : end + 2], data[end + 2 :]


def _http_picture(jpeg: bytes, kind: str, seen: _Seen) -> Outcome | None:
    now = time.monotonic()
    seen.sizes.append(len(jpeg))
    seen.arrivals.append(now)
    seen.times.append(now)
    seen.keyframes += 1
    seen.hashes.append(hashlib.blake2b(jpeg, digest_size=8).hexdigest())
    if seen.picture is not None:
        return None
    try:
        picture = decode(jpeg)
    except BadPicture as error:
        return "too_large" if error.reason == "too_large" else "undecodable"
    seen.picture = picture
    seen.size = (picture.shape[1], picture.shape[0])
    seen.codec = (
        "mjpeg" if kind.startswith("multipart") or "jpeg" in kind else kind.removeprefix("image/")
    )
    seen.first_picture_s = now - seen.began
    return None
