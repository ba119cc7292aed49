"""RTSP over TCP and HTTP for any number of cameras: the path names the camera, the fault is a word.

A camera is ``Camera(shape, fault, user, password)`` under a path; ``Server.cameras`` may be changed
while
it runs, and streams under way change with it within a second. Faults of the connection and of the
stream
live here (``FAULTS``), faults of the picture in ``picture``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Final

from firmware_sim.camera.film import Film, Shape, film, rtp_packets
from firmware_sim.camera.picture import PICTURE_FAULTS

#: Fault → what it does. Faults of the picture are in ``picture.PICTURE_FAULTS``.
FAULTS: Final[dict[str, str]] = {
    "wrong_password": "refuses every password",
    "unknown_path": "404",
    "server_error": "500",
    "hang": "takes the connection and says nothing",
    "drip": "answers one byte a second",
    "garbage": "answers noise",
    "garbage_stream": "answers well, then sends noise instead of packets",
    "redirects": "sends to itself, for ever",
    "closes": "closes at once",
    "no_packets": "plays and sends nothing",
    "stall": "sends for a second, then nothing, and never closes",
    "loss": "loses one packet of eight",
    "slow": "half the rate",
    "no_video": "a stream with sound alone",
    "time_back": "timestamps that go back",
    "repeat": "the same compressed pictures again and again",
    "stuck": "a stuck sensor behind a live encoder; the clock ticks",
    "huge": "a picture of 100 megapixels (HTTP)",
    "endless": "a header without an end",
}
#: Bytes a client may send as one request.
MAX_REQUEST = 8192


@dataclass(slots=True)
class Camera:
    """One camera of the simulator."""

    shape: Shape = field(default_factory=Shape)
    fault: str | None = None
    user: str | None = None
    password: str | None = None

    def film(self) -> Film:
        """What it sends, by shape and fault."""
        shape = self.shape
        values = {name: getattr(shape, name) for name in Shape.__slots__}
        if self.fault in PICTURE_FAULTS:
            values["fault"] = self.fault
        if self.fault == "stuck":
            values["stuck"] = True
        return film(Shape(**values))


class Server:
    """RTSP and HTTP on one free port (or a given one): the first bytes tell which. ``async with``."""

    def __init__(self, cameras: dict[str, Camera], *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.cameras = cameras
        self._host, self._asked_port = host, port
        self.port = 0
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._nonce = secrets.token_hex(8)

    async def __aenter__(self) -> Server:
        for camera in self.cameras.values():
            await asyncio.to_thread(camera.film)
        self._server = await asyncio.start_server(
            self._serve, self._host, self._asked_port, limit=MAX_REQUEST
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close the door and every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._talks):
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        self._server = None

    async def restart(self) -> None:
        """Open again on the same port."""
        self._asked_port = self.port
        await self.__aenter__()

    def url(self, path: str, *, scheme: str = "rtsp", user: str = "", password: str = "") -> str:
        """The address of a camera."""
        who = f"{user}:{password}@" if user else ""
        return f"{scheme}://{who}{self._host}:{self.port}/{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        try:
            await _Conversation(self, reader, writer, self._nonce).run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._talks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, OSError, asyncio.CancelledError):
                await writer.wait_closed()


class _Conversation:
    def __init__(
        self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, nonce: str
    ) -> None:
        self._server, self._reader, self._writer, self._nonce = server, reader, writer, nonce
        self._session = secrets.token_hex(4)
        self._playing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        try:
            while True:
                head = await self._reader.readuntil(b"\r\n\r\n")
                while head[:1] == b"$":  # receiver reports of the client, between requests
                    size = int.from_bytes(head[2:4], "big") + 4
                    head = (
                        head[size:] if len(head) > size else await self._reader.readuntil(b"\r\n\r\n")
                    )
                if not await self._answer(head.decode("latin-1")):
                    return
        finally:
            if self._playing is not None:
                self._playing.cancel()
                await asyncio.gather(self._playing, return_exceptions=True)

    async def _answer(self, text: str) -> bool:
        """Answer one request; False ends the conversation."""
        match = re.match(r"(\w+) (\S+) (RTSP|HTTP)/", text)
        if match is None:
            return False
        method, target, protocol = match.groups()
        path = (
            re.sub(r"^\w+://[^/]*/?", "", target)
            .lstrip("/")
            .partition("/track")[0]
            .partition("?")[0]
            .strip("/")
        )
        camera = self._server.cameras.get(path)
        number = re.search(r"(?im)^cseq:\s*(\d+)", text)
        say = _Reply(self._writer, protocol, number[1] if number else "")
        fault = camera.fault if camera else None
        if method == "OPTIONS":
            await say(200, "OK", {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"})
            return True
        if camera is None or fault == "unknown_path":
            await say(404, "Not Found")
            return True
        if (rough := await self._rough(fault, say, target)) is not None:
            return rough
        if not self._may(camera, text, method):
            asks = f'Digest realm="camera", nonce="{self._nonce}", algorithm=MD5'
            await say(401, "Unauthorized", {"WWW-Authenticate": asks})
            return True
        if protocol == "HTTP":
            await self._http(camera, say, path)
            return False
        return await self._rtsp(method, camera, say, target)

    async def _rough(self, fault: str | None, say: _Reply, target: str) -> bool | None:
        """What an ill-behaved server does instead of an answer; None goes on."""
        write = self._writer.write
        if fault == "server_error":
            await say(500, "Internal Server Error")
            return True
        if fault == "closes":
            return False
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "drip":
            for byte in b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 600:
                write(bytes([byte]))
                await self._writer.drain()
                await asyncio.sleep(1.0)
        if fault == "garbage":
            write(secrets.token_bytes(4096))
            await self._writer.drain()
            return False
        if fault == "endless":
            write(f"{say.protocol}/1.0 200 OK\r\n".encode())
            while True:
                write(b"X-Header: " + b"a" * 1000 + b"\r\n")
                await self._writer.drain()
                await asyncio.sleep(0.001)
        if fault == "redirects":
            await say(302, "Moved", {"Location": target})
            return True
        return None

    def _may(self, camera: Camera, text: str, method: str) -> bool:
        if camera.fault == "wrong_password":
            return False
        if camera.user is None:
            return True
        said = dict(re.findall(r'(\w+)="([^"]*)"', text.partition("Authorization: Digest")[2]))

        def md5(value: str) -> str:
            return hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()

        first = md5(f"{camera.user}:camera:{camera.password}")
        second = md5(f"{method}:{said.get('uri', '')}")
        wanted = md5(f"{first}:{self._nonce}:{second}")
        return said.get("nonce") == self._nonce and secrets.compare_digest(
            said.get("response", ""), wanted
        )

    async def _rtsp(self, method: str, camera: Camera, say: _Reply, target: str) -> bool:
        session = {"Session": self._session}
        if method == "DESCRIBE":
            body = _description(await asyncio.to_thread(camera.film), camera.fault)
            base = {"Content-Type": "application/sdp", "Content-Base": target + "/"}
            await say(200, "OK", base, body)
        elif method == "SETUP":
            await say(200, "OK", {**session, "Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"})
        elif method == "PLAY":
            await say(200, "OK", {**session, "Range": "npt=0.000-"})
            self._playing = asyncio.create_task(self._play(camera), name="simulated camera plays")
        elif method == "TEARDOWN":
            await say(200, "OK", session)
            return False
        elif method == "GET_PARAMETER":
            await say(200, "OK", session)
        else:
            await say(501, "Not Implemented")
        return True

    async def _play(self, camera: Camera) -> None:
        began = time.monotonic()
        sequence, ssrc = secrets.randbelow(30000), secrets.randbits(32)
        # where a client comes in is chance, as with a real camera; it begins at a keyframe
        made = await asyncio.to_thread(camera.film)
        keys = [i for i, unit in enumerate(made.units) if unit.keyframe]
        at, sent = secrets.choice(keys), 0
        shown: tuple[str | None, Shape] = (camera.fault, camera.shape)
        with contextlib.suppress(ConnectionError):
            while True:
                fault = camera.fault
                if (fault, camera.shape) != shown:
                    shown = (fault, camera.shape)
                    made = await asyncio.to_thread(camera.film)
                    at = 0
                rate = made.rate_fps / (2 if fault == "slow" else 1)
                await asyncio.sleep(max(began + sent / rate - time.monotonic(), 0))
                if fault == "no_packets" or (fault == "stall" and sent >= rate):
                    await asyncio.sleep(0.2)
                    began += 0.2
                    continue
                if fault == "garbage_stream":
                    self._writer.write(b"$\0\x05\x78" + secrets.token_bytes(1400))
                    await self._writer.drain()
                    sent += 1
                    continue
                place = at % (round(rate) if fault == "repeat" else len(made.units))
                stamp = int(
                    (sent - (40 if fault == "time_back" and sent % 50 > 45 else 0)) * 90000 / rate
                )
                packets = rtp_packets(
                    made.units[place], sequence=sequence, timestamp=stamp, ssrc=ssrc, codec=made.codec
                )
                sequence += len(packets)
                for packet in packets:
                    if not (fault == "loss" and secrets.randbelow(8) == 0):
                        self._writer.write(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                await self._writer.drain()
                at, sent = at + 1, sent + 1

    async def _http(self, camera: Camera, say: _Reply, path: str) -> None:
        made = await asyncio.to_thread(camera.film)
        jpegs = made.jpegs
        if camera.fault == "huge":
            await say(200, "OK", {"Content-Type": "image/png"}, huge_png())
            return
        if not path.endswith(".mjpg"):
            jpeg = jpegs[int(time.time()) % len(jpegs)] if camera.fault != "repeat" else jpegs[0]
            await say(200, "OK", {"Content-Type": "image/jpeg"}, jpeg)
            return
        await say(200, "OK", {"Content-Type": "multipart/x-mixed-replace; boundary=cut"}, None)
        number = 0
        while True:
            if camera.fault == "no_packets" or (camera.fault == "stall" and number > 5):
                await asyncio.sleep(0.2)
                continue
            jpeg = jpegs[0 if camera.fault == "repeat" else number % len(jpegs)]
            head = f"--cut\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self._writer.write(head.encode() + jpeg + b"\r\n")
            await self._writer.drain()
            number += 1
            await asyncio.sleep(0.2 if camera.fault != "slow" else 0.8)


class _Reply:
    def __init__(self, writer: asyncio.StreamWriter, protocol: str, number: str) -> None:
        self._writer, self.protocol, self._number = writer, protocol, number

    async def __call__(
        self, status: int, word: str, headers: dict[str, str] | None = None, body: bytes | None = b""
    ) -> None:
        version = "RTSP/1.0" if self.protocol == "RTSP" else "HTTP/1.1"
        lines = [f"{version} {status} {word}"]
        if self._number:
            lines.append(f"CSeq: {self._number}")
        lines += [f"{k}: {v}" for k, v in {"Server": "utaa-sim", **(headers or {})}.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))
        await self._writer.drain()


def _description(made: Film, fault: str | None) -> bytes:
    """SDP of one video track; of a sound track for ``no_video``."""
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
    if fault == "no_video":
        lines += ["m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=control:track1"]
        return ("\r\n".join(lines) + "\r\n").encode()
    sets = [base64.b64encode(p).decode() for p in made.parameters]
    if made.codec == "h264":
        name, profile = "H264", made.parameters[0][1:4].hex()
        parameters = (
            f"packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={','.join(sets)}"
        )
    else:
        name = "H265"
        parameters = ";".join(
            f"sprop-{n}={v}" for n, v in zip(("vps", "sps", "pps"), sets, strict=True)
        )
    lines += [
        "m=video 0 RTP/AVP 96", f"a=rtpmap:96 {name}/90000", f"a=fmtp:96 {parameters}",
        "a=framerate:50", "a=control:track1",
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n").encode()


def huge_png() -> bytes:
    """A PNG that says it is 10,000 x 10,000 and holds almost nothing."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
